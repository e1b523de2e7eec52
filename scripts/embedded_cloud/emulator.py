"""The emulator's process: ministack, with CloudWatch's alarms evaluated and told of as CloudWatch does.

    python -m scripts.embedded_cloud.emulator

Two things are put in its place: how the state of an alarm follows from its numbers (`alarm_evaluation`), and that each
change of a state is an event on the default bus (`CloudWatch Alarm State Change`), which ministack leaves out. States
are looked at whenever numbers come or alarms are described. Everything else is ministack as it is.
"""

import json
import time
from datetime import UTC, datetime
from typing import Any

from ministack.app import main
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, eventbridge

from scripts.embedded_cloud.alarm_evaluation import Point, evaluate

MILLISECOND_FORMAT = "%Y-%m-%dT%H:%M:%S.%f"
COMPARED_KEYS = ("Period", "Threshold", "ComparisonOperator")

PERIODS_BEFORE = 2
"""The one that runs, and the one before the first that counts."""

_tell_actions = cloudwatch._dispatch_alarm_actions
_describe = cloudwatch._describe_alarms


def find_points(alarm: dict[str, Any], *, now: float) -> list[Point] | None:
    """The numbers of exactly the alarm's metric and dimensions, of as long as matters; None where never one came."""
    dimensions = {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or []}
    key = (alarm.get("Namespace"), alarm.get("MetricName"), cloudwatch._dims_key(dimensions))
    found = cloudwatch._metrics.get(key)
    since = now - alarm["Period"] * (alarm.get("EvaluationPeriods", 1) + PERIODS_BEFORE)
    return found and [
        Point(each["Timestamp"], each["Value"], float(each.get("Count", 1.0)))
        for each in found
        if each["Timestamp"] >= since
    ]


def evaluate_alarm(alarm: dict[str, Any]) -> None:
    """Bring one alarm into the state that its numbers say. One whose metric has no number yet stays as it is."""
    if any(alarm.get(key) is None for key in COMPARED_KEYS):
        return
    now = time.time()
    points = find_points(alarm, now=now)
    if points is None:
        return
    verdict, before = evaluate(alarm, points, now=now), alarm["StateValue"]
    if verdict.state == before:
        return
    alarm["StateValue"], alarm["StateReason"] = verdict.state, verdict.reason
    alarm["StateUpdatedTimestamp"] = int(time.time())
    cloudwatch._record_history(alarm["AlarmName"], before, verdict.state, verdict.reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, verdict.state, verdict.reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def tell(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
    """The actions of the alarm, and the event."""
    _tell_actions(alarm, old_state, new_state, reason)
    at = datetime.now(UTC).strftime(MILLISECOND_FORMAT)[:-3] + "+0000"
    detail = {
        "alarmName": alarm.get("AlarmName"),
        "state": {"value": new_state, "reason": reason, "timestamp": at},
        "previousState": {"value": old_state},
        "configuration": describe_configuration(alarm),
    }
    entry = {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Detail": json.dumps(detail),
        "Resources": [f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{alarm.get('AlarmName')}"],
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def describe_configuration(alarm: dict[str, Any]) -> dict[str, Any]:
    """`detail.configuration`, as CloudWatch sends it: of a metric alarm or of a composite one."""
    said = {"description": alarm.get("AlarmDescription", "")}
    if "AlarmRule" in alarm:
        return {**said, "alarmRule": alarm["AlarmRule"]}
    metric = {
        "namespace": alarm.get("Namespace"),
        "name": alarm.get("MetricName"),
        "dimensions": {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or []},
    }
    stat = {"metric": metric, "period": alarm.get("Period"), "stat": alarm.get("Statistic")}
    return {**said, "metrics": [{"id": "m1", "metricStat": stat, "returnData": True}]}


def describe_alarms(*arguments: Any, **named: Any) -> Any:
    """Whoever looks sees states as they are now, also where numbers stopped coming."""
    cloudwatch._evaluate_all_alarms()
    return _describe(*arguments, **named)


def install() -> None:
    """Put it in place."""
    cloudwatch._evaluate_alarm = evaluate_alarm
    cloudwatch._dispatch_alarm_actions = tell
    cloudwatch._describe_alarms = describe_alarms


if __name__ == "__main__":
    install()
    main()
