"""Incidents in DynamoDB: one partition each (`incident_id`), `INCIDENT` for itself, `RUN` for the run that goes on
with it next, and `TASK#<transfer>` for each task.

The partition `INCIDENTS` lists them. Incident and task are JSON strings, each written under a condition: that the step
of the incident, or the whole text of the task, is what was read.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Attr, Key
from pydantic import ValidationError

from pqtransfer.aws.clients import Session, client_config
from pqtransfer.aws.failures import ConditionFailedError, translated
from pqtransfer.errors import IntegrityError
from pqtransfer.protection.incidents import (
    STEPS,
    Incident,
    IncidentNotFoundError,
    IncidentStep,
    Run,
    Task,
    TaskPage,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

INCIDENT_ITEM = "INCIDENT"
RUN_ITEM = "RUN"
TASK_PREFIX = "TASK#"
LIST_PARTITION = "INCIDENTS"
MOST_ATTEMPTS = 10


class IncidentDamagedError(IntegrityError):
    """What the table holds is not an incident that this version can read."""

    def __init__(self, incident_id: str) -> None:
        super().__init__(f"incident {incident_id[:64]} cannot be read; restore its table to a time before")


class DynamoIncidentStore:
    """`IncidentStore` on a table with the key `incident_id`, `item`."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    @classmethod
    def open_table(cls, session: Session, table_name: str, *, endpoint_url: str | None = None) -> "DynamoIncidentStore":
        """The incidents in a table."""
        return cls(session.resource("dynamodb", endpoint_url=endpoint_url, config=client_config()).Table(table_name))

    def open(self, incident: Incident) -> Incident:
        with translated(action=f"list incident {incident.incident_id}"):
            self._table.put_item(Item={"incident_id": LIST_PARTITION, "item": incident.incident_id})
        try:
            with translated(action=f"record incident {incident.incident_id}"):
                self._table.put_item(
                    Item=_write_incident(incident), ConditionExpression="attribute_not_exists(incident_id)"
                )
        except ConditionFailedError:
            return self.get(incident.incident_id)
        return incident

    def get(self, incident_id: str) -> Incident:
        incident = self._find(incident_id)
        if incident is None:
            raise IncidentNotFoundError(incident_id)
        return incident

    def list_all(self) -> list[Incident]:
        listed: list[str] = []
        start: dict[str, Any] = {}
        while True:
            with translated(action="list the incidents"):
                page = self._table.query(
                    KeyConditionExpression=Key("incident_id").eq(LIST_PARTITION), ConsistentRead=True, **start
                )
            listed += [str(item["item"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        found = [self._find(incident_id) for incident_id in listed]
        known = [
            incident for incident in found if incident is not None
        ]  # one may be listed a moment before it is there
        return sorted(known, key=lambda incident: incident.report.reported_at, reverse=True)

    def advance(self, incident: Incident, step: IncidentStep, *, at: datetime) -> Incident:
        after = incident.move_to(step, at=at)
        try:
            with translated(action=f"record a step of incident {incident.incident_id}"):
                self._table.put_item(
                    Item=_write_incident(after), ConditionExpression=Attr("step").eq(incident.step.value)
                )
        except ConditionFailedError:
            current = self.get(incident.incident_id)
            if STEPS.index(current.step) < STEPS.index(step):
                raise
            return current
        return after

    def reopen(self, incident: Incident, *, at: datetime) -> Incident:
        after = incident.reopen(at=at)
        try:
            with translated(action=f"open incident {incident.incident_id} again"):
                self._table.put_item(
                    Item=_write_incident(after), ConditionExpression=Attr("step").eq(incident.step.value)
                )
        except ConditionFailedError:
            return self.get(incident.incident_id)
        return after

    def read_run(self, incident_id: str) -> Run:
        with translated(action=f"look who goes on with incident {incident_id}"):
            item = self._table.get_item(Key={"incident_id": incident_id, "item": RUN_ITEM}, ConsistentRead=True).get(
                "Item"
            )
        return Run() if item is None else _read_run(item)

    def hand_on(self, incident_id: str, run: int, *, at: datetime) -> bool:
        following = Run(number=run + 1, handed_on_at=at)
        first = Attr("incident_id").not_exists()
        try:
            with translated(action=f"hand on incident {incident_id}"):
                self._table.put_item(
                    Item={
                        "incident_id": incident_id,
                        "item": RUN_ITEM,
                        "number": following.number,
                        "run": following.model_dump_json(),
                    },
                    ConditionExpression=first if run == 0 else Attr("number").eq(run),
                )
        except ConditionFailedError:
            return False
        return True

    def add_tasks(self, incident_id: str, tasks: Iterable[Task]) -> None:
        for task in tasks:
            self._add_task(incident_id, task)

    def list_tasks(self, incident_id: str, *, cursor: str | None = None, limit: int = 500) -> TaskPage:
        start: dict[str, Any] = (
            {}
            if cursor is None
            else {"ExclusiveStartKey": {"incident_id": incident_id, "item": f"{TASK_PREFIX}{cursor}"}}
        )
        with translated(action=f"list the tasks of incident {incident_id}"):
            page = self._table.query(
                KeyConditionExpression=Key("incident_id").eq(incident_id) & Key("item").begins_with(TASK_PREFIX),
                ConsistentRead=True,
                Limit=limit,
                **start,
            )
        last = page.get("LastEvaluatedKey")
        return TaskPage(
            tasks=tuple(_read_task(item) for item in page["Items"]),
            cursor=None if last is None else str(last["item"]).removeprefix(TASK_PREFIX),
        )

    def change_task(self, incident_id: str, before: Task, after: Task) -> bool:
        try:
            with translated(action=f"record what was done about transfer {before.transfer_id}"):
                self._table.put_item(
                    Item=_write_task(incident_id, after),
                    ConditionExpression=Attr("task").eq(before.model_dump_json()),
                )
        except ConditionFailedError:
            return self._change_older_text(incident_id, before, after)
        return True

    def _change_older_text(self, incident_id: str, before: Task, after: Task) -> bool:
        """A version before this one knew fewer fields, and wrote the same task in other words."""
        item = self._get_task_item(incident_id, before.transfer_id)
        if item is None or _read_task(item) != before:
            return False
        try:
            with translated(action=f"record what was done about transfer {before.transfer_id}"):
                self._table.put_item(
                    Item=_write_task(incident_id, after), ConditionExpression=Attr("task").eq(item["task"])
                )
        except ConditionFailedError:
            return False
        return True

    def _find(self, incident_id: str) -> Incident | None:
        with translated(action=f"read incident {incident_id}"):
            item = self._table.get_item(
                Key={"incident_id": incident_id, "item": INCIDENT_ITEM}, ConsistentRead=True
            ).get("Item")
        return None if item is None else _read_incident(item)

    def _add_task(self, incident_id: str, task: Task) -> None:
        for _ in range(MOST_ATTEMPTS):
            try:
                with translated(action=f"list transfer {task.transfer_id}"):
                    self._table.put_item(
                        Item=_write_task(incident_id, task), ConditionExpression="attribute_not_exists(incident_id)"
                    )
            except ConditionFailedError:
                current = self._get_task(incident_id, task.transfer_id)
                merged = current.change(roles=tuple(sorted({*current.roles, *task.roles})))
                if merged == current or self.change_task(incident_id, current, merged):
                    return
            else:
                return

    def _get_task(self, incident_id: str, transfer_id: str) -> Task:
        return _read_task(self._get_task_item(incident_id, transfer_id) or {"incident_id": incident_id})

    def _get_task_item(self, incident_id: str, transfer_id: str) -> dict[str, Any] | None:
        with translated(action=f"read what was done about transfer {transfer_id}"):
            answer = self._table.get_item(
                Key={"incident_id": incident_id, "item": f"{TASK_PREFIX}{transfer_id}"}, ConsistentRead=True
            )
        return answer.get("Item")


def _write_incident(incident: Incident) -> dict[str, str]:
    return {
        "incident_id": incident.incident_id,
        "item": INCIDENT_ITEM,
        "step": incident.step.value,
        "incident": incident.model_dump_json(),
    }


def _write_task(incident_id: str, task: Task) -> dict[str, str]:
    return {
        "incident_id": incident_id,
        "item": f"{TASK_PREFIX}{task.transfer_id}",
        "task": task.model_dump_json(),
    }


def _read_incident(item: Any) -> Incident:
    try:
        return Incident.model_validate_json(item["incident"])
    except (KeyError, ValidationError):
        raise IncidentDamagedError(str(item.get("incident_id"))) from None


def _read_run(item: Any) -> Run:
    try:
        return Run.model_validate_json(item["run"])
    except (KeyError, ValidationError):
        raise IncidentDamagedError(str(item.get("incident_id"))) from None


def _read_task(item: Any) -> Task:
    try:
        return Task.model_validate_json(item["task"])
    except (KeyError, ValidationError):
        raise IncidentDamagedError(str(item.get("incident_id"))) from None
