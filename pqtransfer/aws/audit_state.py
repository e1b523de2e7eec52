"""Where the audit log stands: one table, whose items are the state, and the position of each producer.

One transaction moves all that a batch changes. DynamoDB takes 100 items and 4 MB in one: the state and the positions of
99 producers, of 20 KiB each at most.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pqtransfer.audit.errors import LogMovedError
from pqtransfer.audit.positions import ProducerPosition
from pqtransfer.audit.sequencing import LogState
from pqtransfer.aws.failures import CloudUnavailableError, ConditionFailedError, translated
from pqtransfer.crypto.canonical_json import read_document, write_canonical_json

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STATE_ITEM = "state"
PRODUCER_PREFIX = "producer#"
PRODUCERS_AT_MOST = 99
POSITION_LIMIT_BYTES = 64 * 1024
READS_AT_MOST = 8
CONFLICT_CODES = ("TransactionConflict", "TransactionConflictException", "TransactionInProgressException")
"""Of one batch of items, each time for those that DynamoDB did not come to."""


class DynamoStateStore:
    """`StateStore` on a table with the key `item` and the attribute `document`."""

    def __init__(self, client: "DynamoDBClient", *, table: str) -> None:
        self._client = client
        self._table = table

    def find_state(self) -> LogState | None:
        """
        Raises:
            MalformedDocumentError: what stands there is no state.
        """
        with translated(action=f"read the state of the audit log in {self._table}"):
            answer = self._client.get_item(TableName=self._table, Key={"item": {"S": STATE_ITEM}}, ConsistentRead=True)
        item = answer.get("Item")
        return None if item is None else LogState.from_json(_read_text(item).encode())

    def read_positions(self, producers: Iterable[str]) -> Mapping[str, ProducerPosition]:
        """
        Raises:
            MalformedDocumentError: what stands there is no position.
        """
        wanted: Any = [{"item": {"S": f"{PRODUCER_PREFIX}{producer}"}} for producer in producers]
        if len(wanted) > PRODUCERS_AT_MOST:
            raise ValueError(f"{len(wanted)} producers at once, at most {PRODUCERS_AT_MOST} are moved together")
        found: dict[str, ProducerPosition] = {}
        for _ in range(READS_AT_MOST):
            if not wanted:
                return found
            with translated(action=f"read positions of the audit log in {self._table}"):
                answer = self._client.batch_get_item(
                    RequestItems={self._table: {"Keys": wanted, "ConsistentRead": True}}
                )
            for item in answer["Responses"].get(self._table, []):
                found[item["item"]["S"].removeprefix(PRODUCER_PREFIX)] = _read_position(item)
            unprocessed: Any = answer.get("UnprocessedKeys", {})
            wanted = unprocessed.get(self._table, {}).get("Keys", [])
        if wanted:
            raise CloudUnavailableError(
                f"could not read all positions of the audit log in {self._table}; try again later",
                aws_code="UnprocessedKeys",
            )
        return found

    def commit(self, *, expected: LogState | None, state: LogState, positions: Mapping[str, ProducerPosition]) -> None:
        if len(positions) > PRODUCERS_AT_MOST:
            raise ValueError(f"{len(positions)} producers at once, at most {PRODUCERS_AT_MOST} are moved together")
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(#item)"}
        names = {"#item": "item"}
        if expected is not None:
            condition = {
                "ConditionExpression": "#document = :expected",
                "ExpressionAttributeValues": {":expected": {"S": expected.to_json().decode()}},
            }
            names = {"#document": "document"}
        items: list[Any] = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": _write_item(STATE_ITEM, state.to_json()),
                    "ExpressionAttributeNames": names,
                    **condition,
                }
            }
        ]
        for producer, position in sorted(positions.items()):
            document = write_canonical_json(position)
            items.append(
                {"Put": {"TableName": self._table, "Item": _write_item(f"{PRODUCER_PREFIX}{producer}", document)}}
            )
        try:
            with translated(action=f"move the state of the audit log in {self._table}"):
                self._client.transact_write_items(TransactItems=items)
        except ConditionFailedError:
            raise LogMovedError from None
        except CloudUnavailableError as error:
            if error.aws_code not in CONFLICT_CODES:
                raise
            raise LogMovedError from error  # two sequencers at the same moment: neither has moved it


def _write_item(name: str, document: bytes) -> dict[str, Any]:
    return {"item": {"S": name}, "document": {"S": document.decode()}}


def _read_text(item: Mapping[str, Any]) -> str:
    """The document; empty when there is none, which no document is."""
    return str(item.get("document", {}).get("S", ""))


def _read_position(item: Mapping[str, Any]) -> ProducerPosition:
    return read_document(
        ProducerPosition,
        _read_text(item).encode(),
        name="position in the audit log",
        limit_bytes=POSITION_LIMIT_BYTES,
    )
