"""Whoever says nothing is noticed: every function and queue has an alarm that does not depend on it."""

import json
from typing import Any

import pytest

from scripts.toolchain import ROOT
from tests.infra.conftest import Synthesize, Synthesized

pytestmark = pytest.mark.requirement("D7.5", "S4.7")


def alarms_on(synthesized: Synthesized, metric: str) -> list[dict[str, Any]]:
    alarms = synthesized.resources("AWS::CloudWatch::Alarm", "Alarms").values()
    return [each for each in alarms if each["MetricName"] == metric]


def test_every_function_that_fails_is_told(synthesized: Synthesized) -> None:
    """None is left out, also those that come later."""
    alarms = alarms_on(synthesized, "Errors")
    assert len(alarms) == len(synthesized.resources("AWS::Lambda::Function"))
    assert len({json.dumps(each["Dimensions"]) for each in alarms}) == len(alarms)
    assert {(each["Threshold"], each["Statistic"], each["TreatMissingData"]) for each in alarms} == {
        (0, "Sum", "notBreaching")
    }


def test_every_queue_that_nobody_drains_is_told(synthesized: Synthesized) -> None:
    """By the age of its oldest message; and every one for what was given up, by its first message."""
    queues = synthesized.resources("AWS::SQS::Queue").values()
    drained = [each for each in queues if "RedrivePolicy" in each]
    ages, given_up = (
        alarms_on(synthesized, name) for name in ("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible")
    )
    assert len(ages) == len(drained) >= 5
    assert len(given_up) == len(queues) - len(drained) >= 5
    assert sorted(each["Threshold"] for each in ages)[:2] == [600, 600]  # those of the audit log
    assert {each["Threshold"] for each in given_up} == {0}


@pytest.mark.parametrize("environment", ["local", "dev", "production"])
def test_a_witness_or_check_that_does_not_run_is_told(synthesize: Synthesize, environment: str) -> None:
    """No run within its time is bad news, and so is no number."""
    silent = alarms_on(synthesize(environment), "Invocations")
    assert sorted(each["Period"] for each in silent) == ([] if environment == "local" else [15 * 60, 3 * 3600])
    assert all(each["TreatMissingData"] == "breaching" for each in silent)


def test_every_alarm_tells_the_administrators_and_has_a_page(synthesized: Synthesized) -> None:
    """The topic lets CloudWatch publish, and its key lets it encrypt."""
    for alarm in synthesized.resources("AWS::CloudWatch::Alarm").values():
        if "decide_scaling runs" not in alarm["AlarmDescription"]:  # what that one calls is a function
            assert "AdministratorsTopic" in json.dumps(alarm["AlarmActions"])
        page = alarm["AlarmDescription"].partition("follow ")[2]
        assert (ROOT / page).is_file(), page
    (policy,) = synthesized.resources("AWS::SNS::TopicPolicy").values()
    allowed = [each["Principal"] for each in policy["PolicyDocument"]["Statement"]]
    assert {"Service": "cloudwatch.amazonaws.com"} in allowed
    keys = synthesized.resources("AWS::KMS::Key", "AuditLog").values()
    assert "cloudwatch.amazonaws.com" in json.dumps([each["KeyPolicy"] for each in keys])
