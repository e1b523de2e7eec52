"""The index in DynamoDB and the one in memory keep the same promises."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from boto3.dynamodb.conditions import Key
from moto import mock_aws

from pqtransfer.aws.dependency_index import TRANSFER_INDEX, DynamoDependencyIndex
from pqtransfer.keys.dependents import DependentsUnknownError
from pqtransfer.transfers.dependencies import Dependency, KeyRole, RereadingPass, iterate_all
from tests.fakes.dependencies import InMemoryDependencyIndex

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY, OTHER = "aa" * 32, "bb" * 32


def transfer(number: int) -> str:
    return f"0198c0de-0000-7000-8000-{number:012}"


def row(number: int, *, key_id: str = KEY, role: KeyRole = KeyRole.RECIPIENT, epoch: int = 1) -> Dependency:
    return Dependency(key_id=key_id, role=role, transfer_id=transfer(number), epoch=epoch)


@pytest.fixture(params=["dynamodb", "memory"])
def index(request: pytest.FixtureRequest) -> Iterator[DynamoDependencyIndex | InMemoryDependencyIndex]:
    if request.param == "memory":
        yield InMemoryDependencyIndex(complete=False)
    else:
        yield request.getfixturevalue("dynamodb_index")


@pytest.fixture
def dynamodb_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoDependencyIndex]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        session = boto3.Session(
            aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-central-1"
        )
        table = session.resource("dynamodb").create_table(
            TableName="envelopes",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "key_id", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("key_id", "item", "transfer_id")
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": TRANSFER_INDEX,
                    "KeySchema": [
                        {"AttributeName": "transfer_id", "KeyType": "HASH"},
                        {"AttributeName": "key_id", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        yield DynamoDependencyIndex(table)


def test_rows_are_found_by_key_and_by_container(index: DynamoDependencyIndex) -> None:
    """Roles and epochs apart; writing a row again changes nothing, deleting one that is gone neither."""
    rows = [row(1), row(1, epoch=2), row(2), row(1, role=KeyRole.MANIFEST_SIGNER), row(1, key_id=OTHER)]
    index.note([*rows, *rows])
    index.note(rows)
    assert sorted(index.find_of(transfer(1)), key=str) == sorted(
        (each for each in rows if each.transfer_id == transfer(1)), key=str
    )
    assert list(dict.fromkeys(iterate_all(index, KEY, KeyRole.RECIPIENT, page_size=1))) == [transfer(1), transfer(2)]
    assert list(iterate_all(index, KEY, KeyRole.MANIFEST_SIGNER)) == [transfer(1)]
    index.forget([row(1), row(1)])
    index.forget([row(1)])
    assert index.has_any(KEY, KeyRole.RECIPIENT)
    index.forget([row(1, epoch=2), row(2)])
    assert not index.has_any(KEY, KeyRole.RECIPIENT)


def test_many_rows_fit(index: DynamoDependencyIndex) -> None:
    """A thousand recipients, and pages over a thousand containers of one key."""
    index.note(row(number) for number in range(1000))
    assert len(set(iterate_all(index, KEY, KeyRole.RECIPIENT, page_size=300))) == 1000


def test_dependents_are_never_denied_out_of_ignorance(index: DynamoDependencyIndex) -> None:
    """Until older containers were read, `no` cannot be said; `yes` can. Signatures do not need the private half."""
    index.note([row(1), row(1, key_id=OTHER, role=KeyRole.MANIFEST_SIGNER)])
    assert index.has_dependents(KEY)
    with pytest.raises(DependentsUnknownError):
        index.has_dependents(OTHER)
    assert index.read_backfill() is None
    index.advance_backfill(transfer(7))
    assert index.read_backfill() == transfer(7)
    index.mark_complete(at=NOW)
    assert index.is_complete()
    assert not index.has_dependents(OTHER)


def test_a_pass_over_the_containers_is_on_record(index: DynamoDependencyIndex) -> None:
    """How far it is, and when the last one began that has ended: one that began earlier takes nothing back."""
    index.mark_complete(at=NOW)
    assert (index.read_pass(), index.read_reread()) == (None, None)
    with pytest.raises(DependentsUnknownError):
        index.has_dependents(KEY, since=NOW)
    going = RereadingPass(began_at=NOW + HOUR)
    for step in (going, going.model_copy(update={"last_id": transfer(7)})):
        index.write_pass(step)
        assert index.read_pass() == step
    index.end_pass(going)
    assert (index.read_pass(), index.read_reread()) == (None, NOW + HOUR)
    index.end_pass(RereadingPass(began_at=NOW))
    assert index.read_reread() == NOW + HOUR
    assert not index.has_dependents(KEY, since=NOW)
    with pytest.raises(DependentsUnknownError):
        index.has_dependents(KEY, since=NOW + HOUR)
    index.note([row(1)])
    assert index.has_dependents(KEY, since=NOW + HOUR)


def test_an_index_that_is_completed_meanwhile_is_not_believed(
    index: DynamoDependencyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last older container is noted, and the index complete, between the two questions: the key is not let go."""
    asked = index.has_any

    def ask_and_complete(key_id: str, role: KeyRole) -> bool:
        answer = asked(key_id, role)
        index.note([row(1)])
        index.mark_complete(at=NOW)
        return answer

    monkeypatch.setattr(index, "has_any", ask_and_complete)
    with pytest.raises(DependentsUnknownError):
        index.has_dependents(KEY)
    monkeypatch.undo()
    assert index.has_dependents(KEY)


def test_a_row_under_a_false_container_takes_no_other_away(dynamodb_index: DynamoDependencyIndex) -> None:
    """Whoever may note rows notes the row of one container again, as another one's: neither loses it."""
    dynamodb_index.note([row(1), row(2)])
    table = dynamodb_index._table
    (item,) = table.query(IndexName=TRANSFER_INDEX, KeyConditionExpression=Key("transfer_id").eq(transfer(1)))["Items"]
    table.put_item(Item={**item, "transfer_id": transfer(2)})
    assert dynamodb_index.find_of(transfer(2)) == [row(2)]
