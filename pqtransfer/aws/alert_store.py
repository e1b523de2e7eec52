"""Alerts in DynamoDB: one row each (`alert_id`, `ALERT`), written only as the revision after the one that was read.

The sparse index `due-index` holds what the clock has something to do with, by its time; so an open alert is always in
it, and nothing is ever scanned. Partition `SILENCES` holds silences, and `UNKNOWN` the events that nobody understood.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from boto3.dynamodb.conditions import Attr, Key
from pydantic import ValidationError

from pqtransfer.aws.clients import Session, client_config
from pqtransfer.aws.failures import ConditionFailedError, translated
from pqtransfer.errors import IntegrityError
from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.signals import fit
from pqtransfer.operations.silences import Silence

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ALERT_ITEM = "ALERT"
DUE_INDEX = "due-index"
DUE = "due"
SILENCES = "SILENCES"
UNKNOWN = "UNKNOWN"
UNKNOWN_BODY_LIMIT = 100_000
"""Characters. A row has 400 KiB at most."""
OPEN_AT_MOST = 1_000

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)


class AlertDamagedError(IntegrityError):
    """What the table holds is not an alert that this version can read."""

    def __init__(self, alert_id: str) -> None:
        super().__init__(f"alert {alert_id[:64]} cannot be read; restore its table to a time before, or delete its row")


class DynamoAlertStore:
    """`AlertStore` on a table with the key `alert_id`, `item`, and the index `due-index` (`due`, `due_at`)."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    @classmethod
    def open_table(cls, session: Session, table_name: str, *, endpoint_url: str | None = None) -> "DynamoAlertStore":
        """The alerts in a table."""
        return cls(session.resource("dynamodb", endpoint_url=endpoint_url, config=client_config()).Table(table_name))

    def find(self, alert_id: str) -> AlertRecord | None:
        with translated(action=f"read alert {alert_id}"):
            item = self._table.get_item(Key={"alert_id": alert_id, "item": ALERT_ITEM}, ConsistentRead=True).get("Item")
        return None if item is None else _read_alert(item)

    def save(self, record: AlertRecord, *, due_at: datetime | None, expires_at: datetime | None) -> AlertRecord | None:
        written = record.change(revision=record.revision + 1)
        item: dict[str, Any] = {
            "alert_id": record.alert_id,
            "item": ALERT_ITEM,
            "revision": written.revision,
            "state": written.state.value,
            "alert": written.model_dump_json(),
        }
        if due_at is not None:
            item |= {"due": DUE, "due_at": _to_milliseconds(due_at)}
        if expires_at is not None:
            item["expires_at"] = int(expires_at.timestamp())
        is_first = Attr("alert_id").not_exists()
        try:
            with translated(action=f"record alert {record.alert_id}"):
                self._table.put_item(
                    Item=item,
                    ConditionExpression=is_first if record.revision == 0 else Attr("revision").eq(record.revision),
                )
        except ConditionFailedError:
            return None
        return written

    def list_open(self) -> Sequence[AlertRecord]:
        found = _read_each(self._query_due(limit=OPEN_AT_MOST), self.find)
        return [each for each in found if each is not None and each.is_open]

    def list_due(self, *, at: datetime, limit: int) -> Sequence[str]:
        return self._query_due(until_ms=_to_milliseconds(at), limit=limit)

    def list_silences(self, *, at: datetime) -> Sequence[Silence]:
        with translated(action="list the silences"):
            answer = self._table.query(KeyConditionExpression=Key("alert_id").eq(SILENCES), ConsistentRead=True)
        return [each for each in _read_each(answer["Items"], _read_silence) if each.expires_at > at]

    def add_silence(self, silence: Silence) -> None:
        with translated(action="silence alerts"):
            self._table.put_item(
                Item={
                    "alert_id": SILENCES,
                    "item": silence.silence_id,
                    "silence": silence.model_dump_json(),
                    "expires_at": int(silence.expires_at.timestamp()),
                }
            )

    def end_silence(self, silence_id: str) -> None:
        with translated(action=f"end silence {silence_id}"):
            self._table.delete_item(Key={"alert_id": SILENCES, "item": silence_id})

    def keep_unknown(self, event_id: str, *, shape: str, body: str, at: datetime, expires_at: datetime) -> None:
        with translated(action="keep an event of an unknown shape"):
            self._table.put_item(
                Item={
                    "alert_id": UNKNOWN,
                    "item": fit(event_id, 256),
                    "shape": shape,
                    "body": fit(body, UNKNOWN_BODY_LIMIT),
                    "came_at": at.isoformat(),
                    "expires_at": int(expires_at.timestamp()),
                }
            )

    def _query_due(self, *, limit: int, until_ms: int | None = None) -> list[str]:
        is_listed = Key("due").eq(DUE)
        condition = is_listed if until_ms is None else is_listed & Key("due_at").lte(until_ms)
        found: list[str] = []
        start: dict[str, Any] = {}
        while len(found) < limit:
            with translated(action="list the alerts"):
                page = self._table.query(
                    IndexName=DUE_INDEX, KeyConditionExpression=condition, Limit=limit - len(found), **start
                )
            found += [str(item["alert_id"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return found


def _read_each(found: Iterable[T], read: Callable[[T], R]) -> Iterator[R]:
    """What can be read: one row that is damaged must not hide the others."""
    for each in found:
        try:
            yield read(each)
        except AlertDamagedError as error:
            logger.error("left out: %s", error)


def _to_milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _read_alert(item: Any) -> AlertRecord:
    try:
        return AlertRecord.model_validate_json(item["alert"])
    except (KeyError, ValidationError):
        raise AlertDamagedError(str(item.get("alert_id"))) from None


def _read_silence(item: Any) -> Silence:
    try:
        return Silence.model_validate_json(item["silence"])
    except (KeyError, ValidationError):
        raise AlertDamagedError(str(item.get("item"))) from None
