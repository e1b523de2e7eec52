"""The report of an incident: what was exposed, what was done about it, what is left to people. For both to read."""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from pqtransfer.protection.incidents import LEFT_TO_PEOPLE, Incident, Task, TaskState

ACHIEVED = (
    "From the time of revocation nothing new is wrapped to these keys, and no signature by them is accepted unless the "
    "audit log proves it older than the loss.",
    "Containers that were re-encrypted have a new data key that was never wrapped to a lost key; the payload and the "
    "envelope of the old container are deleted in every version.",
)
NOT_ACHIEVED = (
    "Whoever had a lost key and copied a container and its envelope before they were removed can read that copy for "
    "ever: no change on our side reaches it. Treat every exposed model as read since the time of the loss.",
    "Until a container is re-encrypted, a data key that was taken from its old envelope opens its payload, for whoever "
    "can read the bucket.",
)


class IncidentReport(BaseModel):
    """An incident and its tasks."""

    model_config = ConfigDict(frozen=True)

    incident: Incident
    tasks: tuple[Task, ...]

    @property
    def exposed(self) -> list[Task]:
        """The models that a lost key could open."""
        return [task for task in self.tasks if task.is_exposed]

    @property
    def left(self) -> list[Task]:
        """What somebody has to see to."""
        return [task for task in self.tasks if task.state in LEFT_TO_PEOPLE or task.keyless or task.dropped]

    @property
    def counts(self) -> dict[str, int]:
        """How many containers are in each state."""
        found = Counter(task.state for task in self.tasks)
        return {state.value.lower(): found[state] for state in TaskState}


def describe_progress(incident: Incident, tasks: Iterable[Task]) -> dict[str, object]:
    """How far an incident is, for a line of a display or of JSON."""
    report = IncidentReport(incident=incident, tasks=tuple(tasks))
    total = len(report.tasks)
    return {
        "incident_id": incident.incident_id,
        "participant": incident.report.participant,
        "step": incident.step.value,
        "keys_revoked": len(incident.key_ids),
        "containers": total,
        "exposed": len(report.exposed),
        **report.counts,
    }


def write_document(report: IncidentReport) -> dict[str, object]:
    """The report as JSON, for scripts."""
    incident = report.incident
    return {
        "format": "pqtransfer-incident-report/1",
        **describe_progress(incident, report.tasks),
        "reason": incident.report.reason,
        "reported_by": incident.report.reported_by,
        "reported_at": incident.report.reported_at.isoformat(),
        "compromised_since": None if incident.report.since is None else incident.report.since.isoformat(),
        "revoked_at": incident.revoked_at.isoformat(),
        "changed_at": incident.changed_at.isoformat(),
        "key_ids": list(incident.key_ids),
        "keys_kept_by": "system" if incident.managed else "participant",
        "exposed_transfers": [task.transfer_id for task in report.exposed],
        "tasks": [task.model_dump(mode="json") for task in report.tasks],
        "left_to_people": [task.transfer_id for task in report.left],
        "achieved": list(ACHIEVED),
        "not_achieved": list(NOT_ACHIEVED),
    }


def write_text(report: IncidentReport) -> str:
    """The report for people, in Markdown."""
    incident, since = report.incident, report.incident.report.since
    lines = [
        f"# Incident {incident.incident_id}: keys of {incident.report.participant}",
        "",
        f"Reported by {incident.report.reported_by} at {incident.report.reported_at:%Y-%m-%d %H:%M:%S %Z}: "
        f"{incident.report.reason}",
        f"Lost since: {'not known: always' if since is None else f'{since:%Y-%m-%d %H:%M:%S %Z}'}. "
        f"Revoked at {incident.revoked_at:%Y-%m-%d %H:%M:%S %Z}: {len(incident.key_ids)} keys.",
        f"State: {incident.step.value}, {incident.changed_at:%Y-%m-%d %H:%M:%S %Z}.",
        "",
        "## What was exposed",
        "",
        f"{len(report.exposed)} models could be read with a lost key; {sum(task.is_signed for task in report.tasks)} "
        "manifests were signed with one.",
        *(f"- {task.transfer_id}: {_describe(task)}" for task in report.exposed),
        "",
        "## What is left to people",
        "",
        *_list_left(report),
        "",
        "## What this achieves, and what it does not",
        "",
        *(f"- {line}" for line in (*ACHIEVED, *NOT_ACHIEVED)),
        "",
    ]
    return "\n".join(lines)


def _list_left(report: IncidentReport) -> Iterable[str]:
    if not report.incident.managed:
        yield (
            f"- {report.incident.report.participant} keeps its own keys: it makes new ones and registers them, and is "
            "then given its models again by a rewrap."
        )
    for task in report.left:
        yield f"- {task.transfer_id}: {_describe(task)}"
        if task.keyless:
            yield f"  - rewrap it to {', '.join(task.keyless)} once they have a new key"
        if task.dropped:
            yield f"  - {', '.join(task.dropped)} stood in an envelope that nobody vouches for: find out who they are"
    if report.incident.managed and not report.left:
        yield "Nothing."


def _describe(task: Task) -> str:
    roles = " and ".join(
        {"recipient": "could be read", "envelope-signer": "envelope signed"}.get(role, "signed") for role in task.roles
    )
    again = f", re-encrypted as {task.replacement_id}" if task.state is TaskState.DONE and task.is_exposed else ""
    return f"{roles}; {task.state.value.lower().replace('_', ' ')}{again}{f' ({task.outcome})' if task.outcome else ''}"
