"""Lists of transfers in DynamoDB: by sender, by state, and what is live. Never a scan; every answer is bounded.

The indexes by sender and by state say which transfers there are; the rows themselves are then read by their keys, a
hundred at a time. Indexes follow their table within a second.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Attr, Key

from pqtransfer.aws.failures import CloudUnavailableError, translated
from pqtransfer.aws.transfer_items import LIVE_INDEX, SENDER_INDEX, STATE_INDEX, read_live, read_record
from pqtransfer.transfers.ledger import RecordDamagedError, TransferRecord, TransferState
from pqtransfer.transfers.live import LiveTransfer, list_buckets
from pqtransfer.transfers.request import TransferKind

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

PAGE_ROWS = 100
"""As many as one BatchGetItem reads."""
BATCH_ROUNDS = 5
"""How often rows that a batch left out are asked for again."""

logger = logging.getLogger(__name__)


class TransferLists:
    """The lists of one table."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    def list_recent(self, *, sender: str | None, state: TransferState | None, limit: int) -> Iterator[TransferRecord]:
        """`TransferLedger.list_recent`."""
        if sender is not None:
            return self._list(SENDER_INDEX, "sender", sender, state=state, limit=limit)
        states = [state] if state is not None else list(TransferState)
        found = [
            record for each in states for record in self._list(STATE_INDEX, "state", each, state=each, limit=limit)
        ]
        once = {record.transfer_id: record for record in found}
        return iter(sorted(once.values(), key=lambda record: record.submitted_at, reverse=True)[:limit])

    def list_claimed(self, *, limit: int) -> list[TransferRecord]:
        """`FleetWork.list_claimed`: uploads are left out by the table, so that they take nobody's place."""
        found: list[TransferRecord] = []
        start: dict[str, Any] = {}
        while len(found) < limit:
            with translated(action="list the transfers that workers have claimed"):
                page = self._table.query(
                    IndexName=STATE_INDEX,
                    KeyConditionExpression=Key("state").eq(TransferState.RUNNING),
                    FilterExpression=Attr("kind").ne(TransferKind.UPLOAD),
                    Limit=PAGE_ROWS,
                    **start,
                )
            rows = self._read_rows([str(item["transfer_id"]) for item in page["Items"]])
            found += [
                each for each in rows if each.state is TransferState.RUNNING and each.kind is not TransferKind.UPLOAD
            ]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return found[:limit]

    def list_live(self, state: TransferState, *, limit: int) -> list[LiveTransfer]:
        """`LiveTransfers.list_live`: one page of each bucket, so that no bucket hides another."""
        buckets = list_buckets(state)
        rows = max(1, -(-limit // len(buckets)) * 2)
        found = [row for bucket in buckets for row in self._read_bucket(bucket, rows)]
        return sorted(found, key=lambda row: row.submitted_at)[:limit]

    def _read_bucket(self, bucket: str, rows: int) -> Iterator[LiveTransfer]:
        with translated(action="look at the transfers that are on their way"):
            page = self._table.query(
                IndexName=LIVE_INDEX, KeyConditionExpression=Key("live").eq(bucket), Limit=min(rows, PAGE_ROWS * 10)
            )
        for item in page["Items"]:
            row = read_live(item)
            if row is None:  # one row must not hide the others
                logger.warning("left out a row that is no transfer: %s", str(item.get("transfer_id"))[:36])
            else:
                yield row

    def _list(
        self, index: str, attribute: str, value: str, *, limit: int, state: TransferState | None
    ) -> Iterator[TransferRecord]:
        start: dict[str, Any] = {}
        while limit > 0:
            with translated(action="list transfers"):
                page = self._table.query(
                    IndexName=index,
                    KeyConditionExpression=Key(attribute).eq(value),
                    ScanIndexForward=False,
                    Limit=PAGE_ROWS if index == SENDER_INDEX and state is not None else min(limit, PAGE_ROWS),
                    **start,
                )
            for record in self._read_rows([str(item["transfer_id"]) for item in page["Items"]]):
                if limit > 0 and state in (None, record.state):
                    limit -= 1
                    yield record
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _read_rows(self, transfer_ids: Sequence[str]) -> Iterator[TransferRecord]:
        """The records of these ids, in this order; without those that are damaged."""
        items: dict[str, Any] = {}
        wanted: list[dict[str, Any]] = [{"transfer_id": each} for each in transfer_ids]
        for _ in range(BATCH_ROUNDS):
            if not wanted:
                break
            with translated(action="list transfers"):
                answer = self._table.meta.client.batch_get_item(RequestItems={self._table.name: {"Keys": wanted}})
            items |= {str(item["transfer_id"]): item for item in answer["Responses"].get(self._table.name, [])}
            left = answer.get("UnprocessedKeys", {})
            wanted = list(left[self._table.name]["Keys"]) if self._table.name in left else []
        if wanted:
            raise CloudUnavailableError(
                "could not list transfers: the table is busy; try again later", aws_code="UnprocessedKeys"
            )
        for transfer_id in transfer_ids:
            try:
                if transfer_id in items:
                    yield read_record(items[transfer_id])
            except RecordDamagedError as error:  # one row must not hide the others
                logger.warning("left out: %s", error)
