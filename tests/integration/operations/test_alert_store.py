"""Alerts in DynamoDB and in memory keep the same promises."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from pqtransfer.aws.alert_store import AlertDamagedError, DynamoAlertStore
from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.alerting import AlertRules
from pqtransfer.operations.silences import Silence
from tests.fakes.alert_stores import InMemoryAlertStore
from tests.unit.operations.alert_samples import NOW, ROUTES, after, make_signal

Store = DynamoAlertStore | InMemoryAlertStore
RULES = AlertRules(now=NOW, routes=ROUTES)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        session = boto3.Session(
            aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-central-1"
        )
        yield session.resource("dynamodb").create_table(
            TableName="alerts",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "alert_id", "KeyType": "HASH"},
                {"AttributeName": "item", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "alert_id", "AttributeType": "S"},
                {"AttributeName": "item", "AttributeType": "S"},
                {"AttributeName": "due", "AttributeType": "S"},
                {"AttributeName": "due_at", "AttributeType": "N"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "due-index",
                    "KeySchema": [
                        {"AttributeName": "due", "KeyType": "HASH"},
                        {"AttributeName": "due_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        )


@pytest.fixture(params=["dynamodb", "memory"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return InMemoryAlertStore()
    return DynamoAlertStore(request.getfixturevalue("table"))


def open_alert(store: Store, cause: str = "c") -> AlertRecord:
    record = RULES.take(None, make_signal(cause=cause)).record.change(deliveries=())
    saved = store.save(record, due_at=RULES.find_due(record), expires_at=RULES.find_expiry(record))
    assert saved is not None
    return saved


def test_an_alert_is_written_once_for_each_revision(store: Store) -> None:
    """Of two who read the same, one writes; the other reads again."""
    first = open_alert(store)
    assert first.revision == 1
    assert store.find(first.alert_id) == first
    changed = first.change(level=1)
    assert store.save(changed, due_at=NOW, expires_at=None) is not None
    assert store.save(changed, due_at=NOW, expires_at=None) is None
    assert store.save(first.change(revision=0), due_at=NOW, expires_at=None) is None
    assert store.find("ab" * 10) is None


def test_what_is_due_is_found_in_order(store: Store) -> None:
    """The longest overdue first, no more than asked for; what is open is listed, due or not; what has ended is not."""
    records = [open_alert(store, cause) for cause in ("a", "b", "c", "d")]
    for record, minutes in zip(records, (3, 1, 2, 60), strict=True):
        store.save(record, due_at=after(minutes=minutes), expires_at=None)
    ids = [record.alert_id for record in records]
    assert list(store.list_due(at=after(minutes=5), limit=10)) == [ids[1], ids[2], ids[0]]
    assert list(store.list_due(at=after(minutes=5), limit=1)) == [ids[1]]
    assert {each.alert_id for each in store.list_open()} == set(ids)
    current = store.find(ids[0])
    assert current is not None
    ended = RULES.resolve(current, by="jo").record.change(deliveries=())
    assert RULES.find_due(ended) is None
    store.save(ended, due_at=None, expires_at=RULES.find_expiry(ended))
    assert {each.alert_id for each in store.list_open()} == set(ids[1:])


def test_silences_are_kept_until_they_end(store: Store) -> None:
    """Also before the table has deleted them."""
    silence = Silence(silence_id="s-1", code="x", reason="r", made_by="jo", made_at=NOW, expires_at=after(hours=1))
    store.add_silence(silence)
    assert list(store.list_silences(at=NOW)) == [silence]
    assert list(store.list_silences(at=after(hours=1))) == []
    store.end_silence("s-1")
    assert list(store.list_silences(at=NOW)) == []


def test_an_unknown_event_is_kept(store: Store) -> None:
    """Whatever stands in it, and however long it is."""
    for event_id, body in (("e-1", "\x00not json"), ("e" * 5000, "x" * 900_000)):
        store.keep_unknown(event_id, shape="s", body=body, at=NOW, expires_at=after(days=30))


def test_rows_expire_when_they_have_ended(table: object) -> None:
    """An open alert never does."""
    store = DynamoAlertStore(table)  # type: ignore[arg-type]
    record = open_alert(store)
    key = {"alert_id": record.alert_id, "item": "ALERT"}
    assert "expires_at" not in table.get_item(Key=key)["Item"]  # type: ignore[attr-defined]
    ended = RULES.resolve(record, by="jo").record.change(deliveries=())
    store.save(ended, due_at=None, expires_at=RULES.find_expiry(ended))
    item = table.get_item(Key=key)["Item"]  # type: ignore[attr-defined]
    assert int(item["expires_at"]) == int(after(days=30).timestamp())
    assert "due" not in item


def test_a_row_that_cannot_be_read_is_said_to_be_so(table: object) -> None:
    """Nobody takes it for no alert."""
    table.put_item(Item={"alert_id": "ab" * 10, "item": "ALERT", "alert": "{}"})  # type: ignore[attr-defined]
    with pytest.raises(AlertDamagedError):
        DynamoAlertStore(table).find("ab" * 10)  # type: ignore[arg-type]


def test_a_row_that_cannot_be_read_hides_no_other(table: object) -> None:
    """Lists leave it out, and the log says so."""
    store = DynamoAlertStore(table)  # type: ignore[arg-type]
    record = RULES.take(None, make_signal()).record
    store.save(record, due_at=NOW, expires_at=None)
    damaged = {"alert_id": "ab" * 10, "item": "ALERT", "alert": "{}", "due": "due", "due_at": 1}
    table.put_item(Item=damaged)  # type: ignore[attr-defined]
    table.put_item(Item={"alert_id": "SILENCES", "item": "s-0", "silence": "{}"})  # type: ignore[attr-defined]
    assert [each.alert_id for each in store.list_open()] == [record.alert_id]
    assert store.list_silences(at=NOW) == []
