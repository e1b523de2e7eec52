"""What administrators and the clock do with the deployed audit log, each by its own role."""

import pytest

from pqtransfer.audit.trusted_log import TRUSTED_LIMIT_BYTES, TrustedLog
from pqtransfer.aws.audit_trust import S3TrustBucket
from tests.e2e.audit.scene import Scene, wait_for
from tests.e2e.conftest import ActAs

pytestmark = pytest.mark.e2e

CHECK_SECONDS = 400
"""What a check keeps for alarm and evidence: with no more, each run reads one bundle and leaves the rest."""


@pytest.mark.requirement("D7.5", "S4.7", "N6")
def test_a_check_that_has_no_time_goes_on_by_itself(scene: Scene) -> None:
    """Run after run, by an event on the bus, until all is read; what is found and remembered is what one run finds."""
    scene.write(600)
    trust = S3TrustBucket(scene.s3, bucket=scene.deployment.audit_trust_bucket)

    def is_done() -> bool | None:
        cursor = trust.find("checker/cursor", limit_bytes=1 << 20)
        return True if cursor is not None and cursor.data == b"-\n" else None

    with scene.limited(scene.deployment.functions.check_audit_integrity, seconds=CHECK_SECONDS):
        answer = scene.invoke(scene.deployment.functions.check_audit_integrity, {"full": True})
        assert (answer["entries"], answer["finished"], answer["findings"]) == (256, False, {})
        wait_for("check of everything", is_done)
    memory = trust.find("checker/trusted", limit_bytes=TRUSTED_LIMIT_BYTES)
    assert memory is not None
    assert TrustedLog.from_bytes(memory.data).next_index >= 900
    assert scene.check() == {}


@pytest.mark.requirement("D7.5", "S4.7")
@pytest.mark.parametrize("runbook", ["function-failing", "messages-waiting", "messages-given-up"])
def test_an_alarm_that_goes_off_tells_the_administrators(scene: Scene, act_as: ActAs, runbook: str) -> None:
    """One of each kind, with the page to follow. The embedded cloud counts nothing, so its state is set."""
    cloudwatch = act_as(None).client("cloudwatch")
    alarms = [each for page in cloudwatch.get_paginator("describe_alarms").paginate() for each in page["MetricAlarms"]]
    page = f"docs/runbooks/{runbook}.md"
    alarm = next(each for each in alarms if page in each["AlarmDescription"])
    try:
        for state in ("OK", "ALARM"):
            cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason="a drill")
        told = scene.wait_for_alarm(alarm["AlarmName"])
    finally:
        cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="a drill")
    assert told["NewStateValue"] == "ALARM"
    assert page in told["AlarmDescription"]
