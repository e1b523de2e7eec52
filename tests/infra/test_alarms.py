"""Whoever says nothing is noticed: every function and queue has an alarm that does not depend on it."""

import fnmatch
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.metrics import NAMESPACE, get_metric
from pqtransfer.operations.severities import SECURITY_ALARMS, SLOW_ALARMS, weigh_alarm
from scripts.embedded_cloud.alarm_evaluation import Point, evaluate
from scripts.toolchain import ROOT
from tests.infra.conftest import STACKS, Synthesize, Synthesized

pytestmark = pytest.mark.requirement("D7.5", "S4.7")


def alarms_on(synthesized: Synthesized, metric: str) -> list[dict[str, Any]]:
    alarms = synthesized.resources("AWS::CloudWatch::Alarm", "Alarms").values()
    return [each for each in alarms if each["MetricName"] == metric]


def read_page(alarm: dict[str, Any]) -> str:
    return str(alarm["AlarmDescription"].partition("follow ")[2])


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
    assert sorted(each["Threshold"] for each in ages)[:3] == [300, 600, 600]  # of alerts, and of the audit log
    assert {each["Threshold"] for each in given_up} == {0}


@pytest.mark.parametrize("environment", ["local", "dev", "production"])
def test_what_the_clock_starts_and_does_not_run_is_told(synthesize: Synthesize, environment: str) -> None:
    """No run within its time is bad news, and so is no number: of all that run at least once in two days."""
    synthesized = synthesize(environment)
    silent = alarms_on(synthesized, "Invocations")
    waits = sorted(each["Period"] * each["EvaluationPeriods"] for each in silent)
    hour = 3600
    expected = [hour // 6, hour // 4, hour, 3 * hour, 3 * hour, 3 * hour, 48 * hour]
    assert waits == ([] if environment == "local" else expected)
    assert all(each["TreatMissingData"] == "breaching" for each in silent)
    assert all(each["Period"] <= 24 * hour for each in silent), "CloudWatch has no longer period"


@pytest.mark.requirement("D4.2")
@pytest.mark.parametrize("environment", ["dev", "production"])
def test_a_drill_of_the_backups_that_does_not_come_to_its_end_is_told(synthesize: Synthesize, environment: str) -> None:
    """A week without one, by the metric that it publishes at its end: a run alone is not enough."""
    synthesized = synthesize(environment)
    (alarm,) = alarms_on(synthesized, "DrillsFinished")
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (86_400, 7, "breaching")
    dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    assert dimensions == {"environment": environment, "service": "drill_key_restore"}
    rules = synthesized.resources("AWS::Events::Rule").values()
    clocks = [each["ScheduleExpression"] for each in rules if "DrillKeyRestore" in json.dumps(each.get("Targets", ""))
              and "ScheduleExpression" in each]  # fmt: skip
    assert clocks == ["rate(6 days)"]


@pytest.mark.requirement("D3.5")
@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_alert_processing_without_its_clock_is_told(synthesize: Synthesize, environment: str) -> None:
    """To the administrators directly, though events still start it; after ten minutes, by numbers that are missing."""
    (alarm,) = alarms_on(synthesize(environment), "ClockRuns")
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (600, 1, "breaching")
    assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == {
        "environment": environment,
        "service": "process_alerts",
    }
    assert "AdministratorsTopic" in json.dumps(alarm["AlarmActions"])
    assert alarm["AlarmDescription"].startswith("the function process_alerts has not come to its end for 10 minutes")


def name_alarms(synthesized: Synthesized) -> dict[str, bool]:
    """The names that alarms have on AWS, and whether somebody is to be told of each. CloudFormation makes names for
    those that have none: of the stack, the logical id and something of its own."""
    named: dict[str, bool] = {}
    for stack in STACKS:
        for logical_id, resource in synthesized.template(stack)["Resources"].items():
            if resource["Type"] in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
                properties = resource["Properties"]
                name = properties.get("AlarmName") or properties.get("CompositeAlarmName")
                stack_name = f"Pqtransfer{stack}-{synthesized.environment}"
                generated = f"{stack_name}-{logical_id}-1ABCDEFGHIJK"
                named[name or generated] = name is not None
    return named


@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_alarms_that_people_are_told_of_reach_alert_processing_and_no_others(
    synthesize: Synthesize, environment: str
) -> None:
    """One that only calls a function pages nobody: every burst would."""
    synthesized = synthesize(environment)
    (rule,) = [
        each["EventPattern"]["detail"]["alarmName"]
        for each in synthesized.resources("AWS::Events::Rule").values()
        if "alarmName" in each.get("EventPattern", {}).get("detail", {})
    ]
    for name, tells in name_alarms(synthesized).items():
        reaches = any(
            name.startswith(each["prefix"]) if "prefix" in each else fnmatch.fnmatchcase(name, each["wildcard"])
            for each in rule
        )
        assert reaches == tells, name
    assert [name for name, tells in name_alarms(synthesized).items() if not tells and "QueueIsLong" in name]


def test_the_weight_of_an_alarm_goes_by_runbooks_that_alarms_have(synthesize: Synthesize) -> None:
    """None is a name that no alarm has: it would weigh nothing."""
    alarms = synthesize("production").resources("AWS::CloudWatch::Alarm").values()
    pages = {read_page(each) for each in alarms}
    weighed = SECURITY_ALARMS | SLOW_ALARMS
    assert {f"docs/runbooks/{each}.md" for each in weighed} <= pages
    assert {weigh_alarm(each) for each in SECURITY_ALARMS} == {AlertSeverity.CRITICAL}


def test_every_alarm_tells_the_administrators_and_has_a_page(synthesized: Synthesized) -> None:
    """By alert processing, whose rule its name fits; what that itself needs, and everything on the embedded cloud, goes
    to the topic directly: by itself, or as part of a composite one. The topic lets CloudWatch publish, its key too."""
    resources = synthesized.template("Alarms")["Resources"]
    composites = list(synthesized.resources("AWS::CloudWatch::CompositeAlarm").values())
    assert len(composites) == (0 if synthesized.environment == "local" else 1)
    rules = json.dumps([each["AlarmRule"] for each in composites])
    for name, resource in resources.items():
        if resource["Type"] not in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
            continue
        alarm = resource["Properties"]
        tells = "AdministratorsTopic" in json.dumps(alarm.get("AlarmActions", []))
        named = alarm.get("AlarmName") or alarm.get("CompositeAlarmName")
        assert named.startswith(f"pqtransfer-{synthesized.environment}-")
        of_alerts = re.search(r"-(process_alerts|Events-(Messages|DeadLetters|Undelivered-Queue))-", named) is not None
        is_direct = of_alerts or synthesized.environment == "local"
        assert tells == (is_direct and f'"{name}"' not in rules), name
        assert (ROOT / read_page(alarm)).is_file(), name
    (policy,) = synthesized.resources("AWS::SNS::TopicPolicy").values()
    allowed = [each["Principal"] for each in policy["PolicyDocument"]["Statement"]]
    assert {"Service": "cloudwatch.amazonaws.com"} in allowed
    keys = synthesized.resources("AWS::KMS::Key", "AuditLog").values()
    assert "cloudwatch.amazonaws.com" in json.dumps([each["KeyPolicy"] for each in keys])


def minutes(values: dict[int, float]) -> Callable[[float], list[Point]]:
    """A number for each of some minutes: 0 is the one that runs, -1 the one before."""
    return lambda now: [Point(now + 60 * minute, value) for minute, value in values.items()]


NOTHING = minutes({})
FIRES = {
    "transfer-slow": (minutes({-1: 1}), minutes({-1: 0})),
    "memory-high": (minutes({0: 80.1}), minutes({0: 80})),
    "cpu-high": (minutes(dict.fromkeys(range(-4, 1), 71)), minutes({**dict.fromkeys(range(-4, 1), 99), -2: 70})),
    "worker-unhealthy": (minutes({-1: 1, 0: 1}), minutes({-1: 0, 0: 1})),
    "key-exchange-failed": (minutes({0: 1}), minutes({0: 0})),
    "audit-log-tampered": (minutes({0: 1}), minutes({0: 0})),
    "key-restore-failed": (minutes({0: 2}), minutes({0: 0})),
    "function-failing": (minutes({0: 1}), minutes({0: 0})),
    "function-silent": (NOTHING, minutes({-1: 1})),
    "messages-waiting": (minutes({0: 7201}), minutes({0: 299})),
    "messages-given-up": (minutes({0: 1}), minutes({0: 0})),
    "fleet-at-limit": (minutes({0: 100_000}), minutes({0: 0})),
}
"""Kind -> numbers under which each alarm of it goes off, and numbers under which none does."""


@pytest.mark.requirement("D3.1", "D3.2", "D3.3")
@pytest.mark.parametrize("kind", [pytest.param(each, marks=pytest.mark.fires(each)) for each in FIRES])
def test_an_alarm_goes_off_when_it_should_and_not_before(synthesize: Synthesize, kind: str) -> None:
    """Evaluated as CloudWatch does, as production has it."""
    alarms = synthesize("production").resources("AWS::CloudWatch::Alarm").values()
    of_kind = [each for each in alarms if read_page(each) == f"docs/runbooks/{kind}.md"]
    assert of_kind
    now = time.time() // 86400 * 86400 + 43_230  # in the middle of a minute, an hour, and a day
    for alarm in of_kind:
        bad, good = (points(now) for points in FIRES[kind])
        assert evaluate(alarm, bad, now=now).state == "ALARM", alarm["AlarmName"]
        assert evaluate(alarm, good, now=now).state == "OK", alarm["AlarmName"]


def test_every_kind_of_alarm_has_a_test_that_makes_it_go_off(synthesize: Synthesize) -> None:
    """Whoever adds one shows that it works. (A composite one is made of others.)"""
    alarms = synthesize("production").resources("AWS::CloudWatch::Alarm").values()
    kinds = {re.fullmatch(r"docs/runbooks/([a-z-]+)\.md", read_page(each)).group(1) for each in alarms}  # type: ignore[union-attr]
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    marked = {kind for text in texts for kind in re.findall(r"mark\.fires\(\"([a-z-]+)\"\)", text)}
    assert kinds <= marked | FIRES.keys()


@pytest.mark.requirement("D3.2", "D3.3")
def test_alarms_watch_what_workers_and_functions_publish(synthesized: Synthesized) -> None:
    """By a name that is in the catalogue; for the thresholds that were asked for."""
    alarms = synthesized.resources("AWS::CloudWatch::Alarm").values()
    ours = [each for each in alarms if each["Namespace"] == NAMESPACE]
    assert len(ours) == (6 if synthesized.environment == "local" else 8)  # there no drill and no clock is waited for
    assert {get_metric(each["MetricName"]) for each in ours}
    for alarm in ours:
        assert {each["Name"] for each in alarm["Dimensions"]} == {"environment", "service"}
        assert synthesized.environment in [each["Value"] for each in alarm["Dimensions"]]
    limits = {each["MetricName"]: (each["Threshold"], each["Period"], each["EvaluationPeriods"]) for each in ours}
    assert limits["MemoryPercent"] == (80, 60, 1)
    assert limits["CpuPercent"] == (70, 60, 5)


@pytest.mark.requirement("D3.1")
def test_the_dashboard_has_a_row_for_each_question(synthesized: Synthesized) -> None:
    """Under the environment's name; every metric of ours on it is in the catalogue."""
    (dashboard,) = synthesized.resources("AWS::CloudWatch::Dashboard").values()
    assert dashboard["DashboardName"] == f"pqtransfer-{synthesized.environment}"
    body = json.dumps(dashboard["DashboardBody"])
    for question in ("slow", "failing", "piling up", "about to fill", "insecure"):
        assert f"{question}?" in body
    for name in re.findall(rf"{NAMESPACE}\W+([A-Za-z]+)\W", body):
        if name[0].isupper():
            get_metric(name)
