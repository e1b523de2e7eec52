"""Incidents in memory. An integration test holds them and those in DynamoDB to each other."""

from collections.abc import Iterable
from datetime import datetime

from pqtransfer.errors import PqtransferError
from pqtransfer.protection.incidents import STEPS, Incident, IncidentNotFoundError, IncidentStep, Run, Task, TaskPage


class InMemoryIncidents:
    """`IncidentStore` in dictionaries. `outage` makes it refuse to open and to tell."""

    def __init__(self) -> None:
        self.outage: PqtransferError | None = None
        self.incidents: dict[str, Incident] = {}
        self.tasks: dict[str, dict[str, Task]] = {}
        self.runs: dict[str, Run] = {}

    def open(self, incident: Incident) -> Incident:
        self._require_reachable()
        return self.incidents.setdefault(incident.incident_id, incident)

    def get(self, incident_id: str) -> Incident:
        self._require_reachable()
        if incident_id not in self.incidents:
            raise IncidentNotFoundError(incident_id)
        return self.incidents[incident_id]

    def list_all(self) -> list[Incident]:
        return sorted(self.incidents.values(), key=lambda incident: incident.report.reported_at, reverse=True)

    def advance(self, incident: Incident, step: IncidentStep, *, at: datetime) -> Incident:
        after, current = incident.move_to(step, at=at), self.get(incident.incident_id)
        if current.step is incident.step:
            self.incidents[incident.incident_id] = after
            return after
        assert STEPS.index(current.step) >= STEPS.index(step)
        return current

    def reopen(self, incident: Incident, *, at: datetime) -> Incident:
        current = self.get(incident.incident_id)
        if current.step is incident.step:
            self.incidents[incident.incident_id] = current = incident.reopen(at=at)
        return current

    def read_run(self, incident_id: str) -> Run:
        return self.runs.get(incident_id, Run())

    def hand_on(self, incident_id: str, run: int, *, at: datetime) -> bool:
        if self.read_run(incident_id).number != run:
            return False
        self.runs[incident_id] = Run(number=run + 1, handed_on_at=at)
        return True

    def add_tasks(self, incident_id: str, tasks: Iterable[Task]) -> None:
        recorded = self.tasks.setdefault(incident_id, {})
        for task in tasks:
            current = recorded.setdefault(task.transfer_id, task)
            roles = tuple(sorted({*current.roles, *task.roles}))
            recorded[task.transfer_id] = current.change(roles=roles)

    def list_tasks(self, incident_id: str, *, cursor: str | None = None, limit: int = 500) -> TaskPage:
        recorded = self.tasks.get(incident_id, {})
        rest = sorted(each for each in recorded if cursor is None or each > cursor)
        page = rest[:limit]
        return TaskPage(tasks=tuple(recorded[each] for each in page), cursor=page[-1] if len(rest) > limit else None)

    def change_task(self, incident_id: str, before: Task, after: Task) -> bool:
        recorded = self.tasks.get(incident_id, {})
        if recorded.get(before.transfer_id) != before:
            return False
        recorded[before.transfer_id] = after
        return True

    def _require_reachable(self) -> None:
        if self.outage is not None:
            raise self.outage
