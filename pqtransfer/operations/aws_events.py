"""The events of AWS that alerts are made of, as AWS documents them: alarms, ECS, GuardDuty, Inspector."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.envelopes import EventEnvelope
from pqtransfer.operations.severities import weigh_alarm, weigh_guardduty, weigh_inspector
from pqtransfer.operations.signals import Phase, Signal, fit

FLEET_CAUSE = "service:transfer-worker"
"""What happens to tasks, deployments and the service of the workers, and their alarms, have this cause."""
_RUNBOOK = re.compile(r"docs/runbooks/([a-z][a-z0-9]*(?:-[a-z0-9]+){0,8})\.md")
SERVICE_ERRORS = frozenset({"ERROR", "WARN"})
STOPPED_AS_ASKED = frozenset({"ServiceSchedulerInitiated", "UserInitiated", "SpotInterruption", "TerminationNotice"})
FLEET_DIMENSIONS = frozenset({"ServiceName", "TargetGroup"})
STEADY = frozenset({"SERVICE_STEADY_STATE", "CAPACITY_PROVIDER_STEADY_STATE"})

Text = Annotated[str, Field(max_length=4096)]
Id = Annotated[str, Field(min_length=1, max_length=512)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _AlarmState(_Model):
    value: Annotated[str, Field(max_length=32)]
    reason: str = ""
    timestamp: AwareDatetime | None = None


class _AlarmConfiguration(_Model):
    description: str = ""
    metrics: tuple[dict[str, Any], ...] = ()
    alarmRule: str = ""  # noqa: N815 - of a composite alarm alone


class _Alarm(_Model):
    alarmName: Id  # noqa: N815 - AWS's names, here and below
    state: _AlarmState
    configuration: _AlarmConfiguration = _AlarmConfiguration()


class _Container(_Model):
    name: Text = ""
    exitCode: int | None = None  # noqa: N815
    reason: Text = ""


class _Task(_Model):
    taskArn: Id  # noqa: N815
    clusterArn: Id  # noqa: N815
    lastStatus: Id  # noqa: N815
    desiredStatus: Text = ""  # noqa: N815
    healthStatus: Text = ""  # noqa: N815
    group: Text = ""
    stopCode: Text = ""  # noqa: N815
    stoppedReason: Text = ""  # noqa: N815
    updatedAt: AwareDatetime | None = None  # noqa: N815 - to the millisecond, where the event's time is to the second
    containers: tuple[_Container, ...] = ()


class _ServiceEvent(_Model):
    eventType: Id  # noqa: N815
    eventName: Id  # noqa: N815
    deploymentId: Text = ""  # noqa: N815
    reason: Text = ""
    updatedAt: AwareDatetime | None = None  # noqa: N815
    createdAt: AwareDatetime | None = None  # noqa: N815


class _Found(_Model):
    id: Id


class _GuardDuty(_Model):
    id: Id
    type: Id
    severity: Annotated[float, Field(ge=0, le=10)]
    title: str = ""
    service: dict[str, Any] = Field(default_factory=dict)


class _Inspector(_Model):
    findingArn: Id  # noqa: N815
    severity: Id
    status: Id
    title: str = ""
    type: Text = ""
    resources: tuple[_Found, ...] = ()


def read_alarm(envelope: EventEnvelope) -> list[Signal]:
    """An alarm on a metric. INSUFFICIENT_DATA says neither: it stays as it was. Those that a composite alarm is made of
    come by themselves, and find each other by their cause."""
    alarm = _Alarm.model_validate(envelope.detail)
    if alarm.state.value not in ("ALARM", "OK") or alarm.configuration.alarmRule:
        return []
    about = alarm.configuration.description.partition("; follow ")[0] or alarm.alarmName
    dimensions = _read_dimensions(alarm)
    found = _RUNBOOK.search(alarm.configuration.description)
    code = found[1] if found and len(found[1]) <= 64 else "alarm-raised"
    return [
        _signal(
            envelope,
            raised=alarm.state.value == "ALARM",
            code=code,
            key=f"alarm:{alarm.alarmName}",
            cause=_name_cause(alarm.alarmName, dimensions),
            severity=weigh_alarm(code),
            summary=f"{about} ({alarm.state.reason})" if alarm.state.reason else about,
            at=alarm.state.timestamp or envelope.time,
            details={
                "alarm": alarm.alarmName,
                "reason": alarm.state.reason,
                "queue": dimensions.get("QueueName", ""),
            },
        )
    ]


def read_task(envelope: EventEnvelope) -> list[Signal]:
    """A task that is unhealthy, is healthy again, or has stopped though nobody wanted it to."""
    task = _Task.model_validate(envelope.detail)
    details = {"task": task.taskArn, "cluster": task.clusterArn, "group": task.group}
    name = task.taskArn.rpartition("/")[2]
    unhealthy = _signal(
        envelope,
        raised=task.healthStatus == "UNHEALTHY" and task.lastStatus != "STOPPED",
        code="task-unhealthy",
        key=f"task:{task.taskArn}",
        cause=_name_group(task.group),
        severity=AlertSeverity.HIGH,
        summary=f"the health check of task {name} fails",
        at=task.updatedAt,
        details=details,
    )
    if task.lastStatus != "STOPPED":
        return [unhealthy] if task.healthStatus in ("UNHEALTHY", "HEALTHY") else []
    if task.stopCode in STOPPED_AS_ASKED or all(each.exitCode == 0 for each in task.containers):
        return [unhealthy]
    codes = ", ".join(f"{each.name} {each.exitCode} {each.reason}".strip() for each in task.containers[:4])
    stopped = _signal(
        envelope,
        code="task-stopped",
        ends_by_event=False,
        key=f"task-stopped:{task.group}",
        cause=_name_group(task.group),
        severity=AlertSeverity.WARNING,
        summary=f"task {name} stopped by itself: {task.stopCode} {task.stoppedReason} ({codes})",
        at=task.updatedAt,
        details={**details, "stop_code": task.stopCode, "reason": task.stoppedReason},
    )
    return [unhealthy, stopped]


def read_deployment(envelope: EventEnvelope) -> list[Signal]:
    """A deployment of a service that failed, or one that went well and so ends the failure before it."""
    event = _ServiceEvent.model_validate(envelope.detail)
    if event.eventName == "SERVICE_DEPLOYMENT_IN_PROGRESS":
        return []
    service = _name_resource(envelope)
    return [
        _signal(
            envelope,
            raised=event.eventName != "SERVICE_DEPLOYMENT_COMPLETED",
            code="deployment-failed",
            key=f"deployment:{service}",
            cause=FLEET_CAUSE,
            severity=AlertSeverity.HIGH,
            summary=f"deployment {event.deploymentId} failed: {event.reason}",
            at=event.updatedAt,
            details={"service": service, "deployment": event.deploymentId, "reason": event.reason},
        )
    ]


def read_service_action(envelope: EventEnvelope) -> list[Signal]:
    """A service that cannot do what it should, or that is steady again."""
    event = _ServiceEvent.model_validate(envelope.detail)
    if event.eventType not in SERVICE_ERRORS and event.eventName not in STEADY:
        return []
    service = _name_resource(envelope)
    return [
        _signal(
            envelope,
            raised=event.eventName not in STEADY,
            code="service-impaired",
            key=f"service:{service}",
            cause=FLEET_CAUSE,
            severity=AlertSeverity.HIGH if event.eventType == "ERROR" else AlertSeverity.WARNING,
            summary=f"the service of the workers: {event.eventName} {event.reason}",
            at=event.createdAt,
            details={"service": service, "event": event.eventName, "reason": event.reason},
        )
    ]


def read_guardduty(envelope: EventEnvelope) -> list[Signal]:
    """A finding of GuardDuty; over when somebody has archived it."""
    finding = _GuardDuty.model_validate(envelope.detail)
    return [
        _signal(
            envelope,
            raised=finding.service.get("archived") is not True,
            code="security-finding",
            key=f"guardduty:{finding.id}",
            cause=f"guardduty:{finding.id}",
            severity=weigh_guardduty(finding.severity),
            summary=f"GuardDuty {finding.type}: {finding.title}",
            details={"finding": finding.id, "type": finding.type, "severity": f"{finding.severity:g}"},
        )
    ]


def read_inspector(envelope: EventEnvelope) -> list[Signal]:
    """A vulnerability that Inspector found; over when it is closed or suppressed. All of one resource are one
    alert: a new version of it ends them together."""
    finding = _Inspector.model_validate(envelope.detail)
    return [
        _signal(
            envelope,
            raised=finding.status == "ACTIVE",
            code="vulnerability-found",
            key=f"inspector:{finding.findingArn}",
            cause=f"inspector:{finding.resources[0].id if finding.resources else finding.findingArn}",
            severity=weigh_inspector(finding.severity),
            summary=f"Inspector {finding.severity}: {finding.title}",
            details={"finding": finding.findingArn, "type": finding.type, "status": finding.status},
        )
    ]


READERS: Mapping[tuple[str, str], Callable[[EventEnvelope], list[Signal]]] = {
    ("aws.cloudwatch", "CloudWatch Alarm State Change"): read_alarm,
    ("aws.ecs", "ECS Task State Change"): read_task,
    ("aws.ecs", "ECS Deployment State Change"): read_deployment,
    ("aws.ecs", "ECS Service Action"): read_service_action,
    ("aws.guardduty", "GuardDuty Finding"): read_guardduty,
    ("aws.inspector2", "Inspector2 Finding"): read_inspector,
}


def _signal(
    envelope: EventEnvelope,
    *,
    code: str,
    key: str,
    cause: str,
    severity: AlertSeverity,
    summary: str,
    details: Mapping[str, str],
    raised: bool = True,
    ends_by_event: bool = True,
    at: AwareDatetime | None = None,
) -> Signal:
    return Signal(
        phase=Phase.RAISED if raised else Phase.CLEARED,
        code=code,
        key=fit(key, 256),
        cause=fit(cause, 256),
        severity=severity,
        summary=fit(summary, 1024),
        remedy=f"follow docs/runbooks/{code}.md",
        at=at or envelope.time,
        correlation_id=envelope.correlate(),
        event_id=envelope.id,
        ends_by_event=ends_by_event,
        details={name: fit(value, 1024) for name, value in details.items() if value},
    )


def _read_dimensions(alarm: _Alarm) -> dict[str, str]:
    """What the alarm's metrics are about. Composite alarms, and those on an expression, say nothing here."""
    dimensions: dict[str, str] = {}
    for each in alarm.configuration.metrics[:10]:
        found = each.get("metricStat", {})
        found = found.get("metric", {}) if isinstance(found, dict) else {}
        named = found.get("dimensions", {}) if isinstance(found, dict) else {}
        if isinstance(named, dict):
            dimensions |= {name: value for name, value in named.items() if isinstance(value, str)}
    return dimensions


def _name_cause(name: str, dimensions: Mapping[str, str]) -> str:
    """Alarms of one function, queue or service have one cause."""
    for dimension, kind in (("FunctionName", "function"), ("QueueName", "queue"), ("service", "service")):
        if dimensions.get(dimension):
            return f"{kind}:{dimensions[dimension]}"
    return FLEET_CAUSE if dimensions.keys() & FLEET_DIMENSIONS else f"alarm:{name}"


def _name_group(group: str) -> str:
    """An environment has one service in its cluster: the workers'."""
    return FLEET_CAUSE if group.startswith("service:") else f"ecs:{group or 'no group'}"


def _name_resource(envelope: EventEnvelope) -> str:
    return fit(envelope.resources[0], 512) if envelope.resources else "unknown"
