"""Alerts of the deployed cloud: from an event on a bus to whoever has to know, once, and to their end."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from pqtransfer.operations.alert_records import AlertRecord, AlertState
from pqtransfer.sdk.deployment import Deployment
from tests.e2e.conftest import ActAs
from tests.e2e.operations.conftest import SECRET, Desk, wait_for
from tests.e2e.told_alerts import is_told
from tests.fakes.webhook_server import Received

pytestmark = pytest.mark.e2e


def everybody_is_told(record: AlertRecord) -> bool:
    return is_told(record) and not record.deliveries


def about(desk: Desk, path: str, text: str) -> list[Received]:
    return [each for each in desk.server.find(path) if text in each.body.decode()]


def make_event(detail_type: str, detail: dict[str, Any], *, source: str = "aws.cloudwatch") -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid4()),
        "source": source,
        "detail-type": detail_type,
        "time": datetime.now(UTC).isoformat(),
        "account": "000000000000",
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }


def make_alarm(name: str, value: str) -> dict[str, Any]:
    return make_event(
        "CloudWatch Alarm State Change",
        {
            "alarmName": name,
            "state": {"value": value, "reason": "Threshold Crossed", "timestamp": datetime.now(UTC).isoformat()},
            "configuration": {
                "description": "the function e2e fails; follow docs/runbooks/function-failing.md",
                "metrics": [{"metricStat": {"metric": {"name": "Errors", "dimensions": {"FunctionName": name}}}}],
            },
        },
    )


@pytest.mark.requirement("S4.4")
def test_an_alert_reaches_people_over_every_channel(desk: Desk) -> None:
    """From the bus to the topic, to Slack and to a webhook whose signature holds; each says what to do."""
    alert = desk.raise_alert()
    record = desk.wait_for_alert(f"alert:{alert.key}", everybody_is_told)
    (slack,) = about(desk, "/slack", "a drill of this test failed")[-1:]
    assert "docs/runbooks/key-drill-failed.md" in slack.body.decode()
    (webhook,) = about(desk, "/siem", alert.key)[-1:]  # one whose answer was lost comes again
    assert webhook.document["alert_id"] == record.alert_id
    assert webhook.document["since"]
    assert webhook.document["tried"].startswith("nothing")
    timestamp, delivery = webhook.headers["Pqtransfer-Timestamp"], webhook.headers["Pqtransfer-Delivery"]
    signed = f"v1:{timestamp}:{delivery}:".encode() + webhook.body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(webhook.headers["Pqtransfer-Signature"], f"v1={digest}")


def test_an_alarm_pages_once_and_ends_with_the_alarm(desk: Desk) -> None:
    """It comes twice, and another of the same function beside it: one page; and one when it is over."""
    name = f"e2e-{uuid4()}"
    raised = make_alarm(name, "ALARM")
    for event in (raised, raised, make_alarm(name, "ALARM")):
        desk.send(event)
    cause = f"function:{name}"
    desk.wait_for_alert(cause, lambda record: everybody_is_told(record) and record.members[0].count >= 2)
    desk.send(make_alarm(name, "OK"))
    desk.wait_for_alert(cause, lambda record: record.state is AlertState.RESOLVED and not record.deliveries)
    told = {each.headers["Pqtransfer-Delivery"]: each.document["kind"] for each in about(desk, "/siem", name)}
    assert list(told.values()) == ["raised", "resolved"]


def test_an_event_of_an_unknown_shape_is_kept_and_told(desk: Desk) -> None:
    """And the events behind it are taken all the same."""
    shape = f"Something {uuid4()}"
    desk.send(make_event(shape, {"what": ["ever"]}, source="aws.ecs"))
    record = desk.wait_for_alert(f"event-unknown:aws.ecs/{shape}", everybody_is_told)
    assert record.lead.code == "event-unknown"


def test_operators_acknowledge_by_the_function_alone(desk: Desk, act_as: ActAs, deployment: Deployment) -> None:
    """They read the table; only the function writes there."""
    alert = desk.raise_alert()
    record = desk.wait_for_alert(f"alert:{alert.key}", everybody_is_told)
    operator = act_as("operator")
    table = operator.resource("dynamodb").Table(deployment.alerts_table)
    assert table.get_item(Key={"alert_id": record.alert_id, "item": "ALERT"})["Item"]
    with pytest.raises(operator.client("dynamodb").exceptions.ClientError, match="AccessDenied"):
        table.delete_item(Key={"alert_id": record.alert_id, "item": "ALERT"})
    order = {"action": "acknowledge", "alert_id": record.alert_id, "by": "jo", "is_over": False}
    answer = operator.client("lambda").invoke(
        FunctionName=deployment.functions.process_alerts, Payload=json.dumps(order).encode()
    )
    assert json.loads(answer["Payload"].read())["alert"]["state"] == "acknowledged"
    seen = wait_for("acknowledgement", lambda: desk.store.find(record.alert_id))
    assert seen.acknowledged_by == "jo"
