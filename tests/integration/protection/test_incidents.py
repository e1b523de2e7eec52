"""Incidents in DynamoDB and in memory keep the same promises."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from pqtransfer.aws.incidents import DynamoIncidentStore
from pqtransfer.protection.incidents import (
    CompromiseReported,
    Incident,
    IncidentNotFoundError,
    IncidentStep,
    Task,
    TaskState,
    name_replacement,
)
from pqtransfer.transfers.dependencies import KeyRole
from tests.fakes.incidents import InMemoryIncidents

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def incident(incident_id: str = "i-1", *, reported_at: datetime = NOW) -> Incident:
    report = CompromiseReported(
        incident_id=incident_id, participant="bob", reason="stolen", reported_by="soc", reported_at=reported_at
    )
    return Incident(
        report=report, key_ids=("aa" * 32,), managed=True, revoked_at=NOW, step=IncidentStep.REVOKED, changed_at=NOW
    )


def task(number: int, *roles: KeyRole) -> Task:
    transfer_id = f"0198c0de-0000-7000-8000-{number:012}"
    replacement_id = name_replacement(incident().report, transfer_id)
    return Task(transfer_id=transfer_id, roles=roles or (KeyRole.RECIPIENT,), replacement_id=replacement_id)


@pytest.fixture(params=["dynamodb", "memory"])
def store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DynamoIncidentStore | InMemoryIncidents]:
    if request.param == "memory":
        yield InMemoryIncidents()
        return
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        session = boto3.Session(
            aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-central-1"
        )
        yield DynamoIncidentStore(
            session.resource("dynamodb").create_table(
                TableName="incidents",
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[
                    {"AttributeName": "incident_id", "KeyType": "HASH"},
                    {"AttributeName": "item", "KeyType": "RANGE"},
                ],
                AttributeDefinitions=[
                    {"AttributeName": name, "AttributeType": "S"} for name in ("incident_id", "item")
                ],
            )
        )


def test_an_incident_is_opened_once(store: DynamoIncidentStore) -> None:
    """The same report again finds it where it is by now."""
    with pytest.raises(IncidentNotFoundError):
        store.get("i-1")
    assert store.open(incident()) == incident()
    recorded = store.advance(incident(), IncidentStep.RECORDED, at=NOW)
    assert store.open(incident()) == recorded == store.get("i-1")
    store.open(incident("i-2", reported_at=NOW + timedelta(days=1)))
    assert [each.incident_id for each in store.list_all()] == ["i-2", "i-1"]


OLDER_FIELDS = {
    "of the first version": {"transfer_id", "roles", "replacement_id", "state", "tries", "epoch", "keyless", "dropped"},
    "without a time of removal": {*Task.model_fields} - {"remove_at"},
}


@pytest.mark.parametrize("store", ["dynamodb"], indirect=True)
@pytest.mark.parametrize("fields", OLDER_FIELDS.values(), ids=OLDER_FIELDS)
def test_tasks_that_an_older_version_wrote_go_on(store: DynamoIncidentStore, fields: set[str]) -> None:
    """An incident that is open across an update: its tasks are read, changed once, and given more roles."""
    store.open(incident())
    older = task(1).change(state=TaskState.RENEWED, epoch=2)
    text = older.model_dump_json(include=fields)
    row = {"incident_id": "i-1", "item": f"TASK#{older.transfer_id}", "task": text}
    store._table.put_item(Item=row)
    [read] = store.list_tasks("i-1").tasks
    assert read == older
    assert not store.change_task("i-1", older.change(epoch=3), older.change(tries=1))
    store.add_tasks("i-1", [task(1, KeyRole.MANIFEST_SIGNER)])
    [read] = store.list_tasks("i-1").tasks
    assert read.roles == (KeyRole.MANIFEST_SIGNER, KeyRole.RECIPIENT)
    store._table.put_item(Item=row)
    assert store.change_task("i-1", older, older.change(tries=1))
    assert not store.change_task("i-1", older, older.change(tries=2))
    assert [each.tries for each in store.list_tasks("i-1").tasks] == [1]


def test_steps_follow_each_other(store: DynamoIncidentStore) -> None:
    """A run that was overtaken is told how far the other came; a step cannot be left out."""
    first = store.open(incident())
    recorded = store.advance(first, IncidentStep.RECORDED, at=NOW)
    assert store.advance(first, IncidentStep.RECORDED, at=NOW + timedelta(hours=1)) == recorded
    made = store.advance(recorded, IncidentStep.TOLD, at=NOW)
    assert store.advance(first, IncidentStep.RECORDED, at=NOW) == made
    with pytest.raises(ValueError, match="after TOLD comes KEYS_MADE"):
        store.advance(made, IncidentStep.CLOSED, at=NOW)


def test_tasks_are_listed_once_and_changed_by_whoever_is_first(store: DynamoIncidentStore) -> None:
    """Listing one again adds roles, and keeps what was done; pages give each once."""
    store.add_tasks("i-1", [task(number) for number in range(5)])
    renewed = task(1).change(state=TaskState.RENEWED, epoch=2)
    assert store.change_task("i-1", task(1), renewed)
    assert not store.change_task("i-1", task(1), task(1).change(state=TaskState.FAILED))
    store.add_tasks("i-1", [task(1, KeyRole.MANIFEST_SIGNER), task(1)])
    found, cursor = [], None
    while True:
        page = store.list_tasks("i-1", cursor=cursor, limit=2)
        found += page.tasks
        cursor = page.cursor
        if cursor is None:
            break
    assert [each.transfer_id for each in found] == [task(number).transfer_id for number in range(5)]
    assert found[1] == renewed.change(roles=(KeyRole.MANIFEST_SIGNER, KeyRole.RECIPIENT))
    assert store.list_tasks("i-2").tasks == ()


def test_a_replacement_is_named_once() -> None:
    """A version 7 UUID: the same for the same incident and container, another for any other."""
    report = incident().report
    first = name_replacement(report, task(1).transfer_id)
    assert first == name_replacement(report, task(1).transfer_id) == task(1).replacement_id
    others = {
        name_replacement(report, task(2).transfer_id),
        name_replacement(incident("i-2").report, task(1).transfer_id),
    }
    assert len({first, *others}) == 3


def test_a_run_is_handed_on_once(store: DynamoIncidentStore) -> None:
    """However many messages there are of it: the first that ends hands on."""
    store.open(incident())
    assert store.read_run("i-1").number == 0
    assert [store.hand_on("i-1", 0, at=NOW) for _ in range(3)] == [True, False, False]
    assert store.hand_on("i-1", 1, at=NOW + timedelta(minutes=1))
    assert not store.hand_on("i-1", 3, at=NOW)
    run = store.read_run("i-1")
    assert (run.number, run.handed_on_at) == (2, NOW + timedelta(minutes=1))
    assert store.get("i-1") == incident()
    assert store.list_tasks("i-1").tasks == ()


def test_an_incident_is_opened_again(store: DynamoIncidentStore) -> None:
    """From where its tasks were done; one that has not come so far, or was moved on meanwhile, stays where it is."""
    current = store.open(incident())
    assert store.reopen(current, at=NOW).step is IncidentStep.REVOKED
    for step in list(IncidentStep)[1:]:
        current = store.advance(current, step, at=NOW)
    late = current.model_copy(update={"step": IncidentStep.RENEWED})
    assert store.reopen(late, at=NOW).is_closed
    assert store.reopen(current, at=NOW).step is IncidentStep.LISTED
    assert store.get("i-1").step is IncidentStep.LISTED
