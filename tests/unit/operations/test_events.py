"""Events of AWS and of this system, in their own shapes, become signals; whatever else comes is said to be unknown."""

import inspect
import json
import pkgutil
from importlib import import_module
from typing import Any

import pytest

import pqtransfer.crypto
import pqtransfer.transfers
from pqtransfer.errors import IntegrityError
from pqtransfer.operations.alerting import NOTIFICATION_FAILED
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.events import (
    KEY_EXCHANGE_CODES,
    SECURITY_CODES,
    UNKNOWN_CODE,
    KnownEvent,
    UnknownEvent,
    read_event,
)
from pqtransfer.operations.recovery import RECOVERIES
from pqtransfer.operations.signals import Phase, Signal
from scripts.toolchain import ROOT
from tests.unit.operations.alert_samples import NOW
from tests.unit.operations.event_samples import (
    SERVICE,
    TASK,
    make_alarm,
    make_alert,
    make_deployment,
    make_failure,
    make_guardduty,
    make_inspector,
    make_service_action,
    make_task,
)


def read(document: dict[str, Any]) -> list[Signal]:
    event = read_event(json.dumps(document))
    assert isinstance(event, KnownEvent), event
    return list(event.signals)


@pytest.mark.parametrize(
    ("event", "phase", "code", "cause", "severity"),
    [
        (make_alarm("ALARM"), "raised", "function-failing", "function:rotate", "high"),
        (make_alarm("OK"), "cleared", "function-failing", "function:rotate", "high"),
        (make_alarm("ALARM", says="too slow"), "raised", "alarm-raised", "function:rotate", "high"),
        (make_task(healthStatus="UNHEALTHY"), "raised", "task-unhealthy", "service:transfer-worker", "high"),
        (make_task(healthStatus="HEALTHY"), "cleared", "task-unhealthy", "service:transfer-worker", "high"),
        (make_task(lastStatus="STOPPED"), "cleared", "task-unhealthy", "service:transfer-worker", "high"),
        (make_deployment("FAILED"), "raised", "deployment-failed", "service:transfer-worker", "high"),
        (make_deployment("COMPLETED"), "cleared", "deployment-failed", "service:transfer-worker", "high"),
        (
            make_service_action("SERVICE_TASK_PLACEMENT_FAILURE", "ERROR"),
            "raised",
            "service-impaired",
            "service:transfer-worker",
            "high",
        ),
        (
            make_service_action("SERVICE_STEADY_STATE", "INFO"),
            "cleared",
            "service-impaired",
            "service:transfer-worker",
            "warning",
        ),
        (make_alert(), "raised", "key-compromised", "alert:i-1", "critical"),
        (make_failure("SourceChanged"), "raised", "transfer-failed", "transfer-failed:SourceChanged", "warning"),
        (make_failure("DamagedPart"), "raised", "transfer-suspicious", "transfer-suspicious:DamagedPart", "high"),
        (make_guardduty(8.0), "raised", "security-finding", "guardduty:f-1", "high"),
        (make_guardduty(9.0), "raised", "security-finding", "guardduty:f-1", "critical"),
        (make_guardduty(6.9), "raised", "security-finding", "guardduty:f-1", "warning"),
        (make_guardduty(2.0), "raised", "security-finding", "guardduty:f-1", "warning"),
        (make_guardduty(8.0, archived=True), "cleared", "security-finding", "guardduty:f-1", "high"),
        (make_inspector("CRITICAL"), "raised", "vulnerability-found", "inspector:arn:image", "high"),
        (make_inspector("LOW", status="CLOSED"), "cleared", "vulnerability-found", "inspector:arn:image", "warning"),
    ],
)
def test_what_an_event_says(event: dict[str, Any], phase: str, code: str, cause: str, severity: str) -> None:
    """Whether it begins or ends something, what that is, and what else has the same cause."""
    (signal, *_) = read(event)
    assert (signal.phase, signal.code, signal.cause, signal.severity) == (phase, code, cause, severity)
    assert signal.remedy == f"follow docs/runbooks/{code}.md"
    assert (ROOT / "docs" / "runbooks" / f"{code}.md").is_file()


def test_vulnerabilities_of_one_resource_are_one_alert() -> None:
    """Each counts beside the others; two are as many alerts where the resources are two."""
    signals = [read(make_inspector("HIGH", arn=f"arn:f-{number}"))[0] for number in range(3)]
    assert len({each.alert_id for each in signals}) == 1
    assert len({each.key for each in signals}) == 3
    bare = make_inspector("HIGH")
    del bare["detail"]["resources"]
    assert read(bare)[0].cause == "inspector:arn:f"


@pytest.mark.requirement("D3.4")
@pytest.mark.parametrize("error", sorted(KEY_EXCHANGE_CODES))
def test_a_key_exchange_that_fails_is_one_alert(error: str) -> None:
    """Told of as the audit log has it, and as its transfer failed: one cause, of high priority."""
    (signal,) = read(make_failure(error))
    assert (signal.code, signal.severity) == ("key-exchange-failed", AlertSeverity.HIGH)
    assert signal.details["transfer_id"] == "t-1"
    said = {
        "code": "key-exchange-failed",
        "key": "key-exchange-failed:e-1",
        "details": {"code": error, "correlation_id": "c-1"},
    }
    (in_log,) = read({**make_alert(), "detail": {**make_alert()["detail"], **said}})
    assert in_log.cause == signal.cause


@pytest.mark.requirement("S4.4")
def test_every_failure_of_integrity_is_suspicious() -> None:
    """None of the errors that say so, in cryptography and in transfers, passes for a mistake."""
    found = {
        error.__name__.removesuffix("Error")
        for package in (pqtransfer.crypto, pqtransfer.transfers)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
        for _, error in inspect.getmembers(import_module(module.name), inspect.isclass)
        if issubclass(error, IntegrityError) and error is not IntegrityError and error.__module__ == module.name
    }
    of_backups = {"BackupDamaged", "BackupOfAnother"}
    assert found - of_backups <= KEY_EXCHANGE_CODES | SECURITY_CODES


@pytest.mark.parametrize(
    "event",
    [
        make_alarm("INSUFFICIENT_DATA"),
        make_alarm("ALARM", rule="ALARM(memory-high)"),
        make_task(),
        make_deployment("IN_PROGRESS"),
        make_service_action("SERVICE_DESIRED_COUNT_UPDATED", "INFO"),
    ],
)
def test_what_says_nothing_new(event: dict[str, Any]) -> None:
    """It is understood, and no alert."""
    assert read(event) == []


def test_a_task_that_stops_by_itself_is_told() -> None:
    """Not one that was asked to stop, and not one that ended well."""
    died = make_task(lastStatus="STOPPED", stopCode="EssentialContainerExited", exitCode=137)
    assert [each.code for each in read(died)] == ["task-unhealthy", "task-stopped"]
    assert "137" in read(died)[1].summary
    asked = make_task(lastStatus="STOPPED", stopCode="ServiceSchedulerInitiated", exitCode=143)
    assert [each.code for each in read(asked)] == ["task-unhealthy"]


@pytest.mark.parametrize("code", [*RECOVERIES, UNKNOWN_CODE, NOTIFICATION_FAILED, "task-stopped"])
def test_every_code_has_a_page(code: str) -> None:
    """Whoever is told finds what to do."""
    assert (ROOT / "docs" / "runbooks" / f"{code}.md").is_file()


def test_a_recovery_finds_its_target() -> None:
    """The task, the service and the queue stand in the details, whole."""
    assert read(make_task(healthStatus="UNHEALTHY"))[0].details["task"] == TASK
    assert read(make_deployment("FAILED"))[0].details["service"] == SERVICE
    alarm = make_alarm("ALARM", dimensions={"QueueName": "dead"}, says="x; follow docs/runbooks/messages-given-up.md")
    assert read(alarm)[0].details["queue"] == "dead"


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("", "not an event"),
        ("[1]", "not an event"),
        ("{}", "not an event"),
        ("{" * 50_000, "not an event"),
        ("x" * (1 << 20) + "x", "not an event"),
        (json.dumps(make_alarm("ALARM", source="aws.s3")), "aws.s3/CloudWatch Alarm State Change"),
        (json.dumps({**make_alarm("ALARM"), "detail": {"alarm": 1}}), "aws.cloudwatch/CloudWatch Alarm State Change"),
        (json.dumps({**make_alert(), "detail-type": "Other"}), "pqtransfer/Other"),
        (json.dumps({**make_guardduty(8), "detail": {"severity": float("nan")}}), "aws.guardduty/GuardDuty Finding"),
    ],
)
def test_what_nobody_understands_is_said_to_be_so(body: str, shape: str) -> None:
    """It is kept as it came, and one alert counts those of its shape."""
    event = read_event(body)
    assert isinstance(event, UnknownEvent)
    assert (event.shape, event.body) == (shape, body)
    signal = event.to_signal(at=NOW)
    assert (signal.code, signal.phase, signal.severity) == ("event-unknown", Phase.RAISED, AlertSeverity.WARNING)
    assert event.to_signal(at=NOW) == signal
