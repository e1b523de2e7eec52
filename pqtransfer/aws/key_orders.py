"""Orders for the key service in an SQS FIFO queue, and what it tells on the event bus.

One message group a participant: its orders are carried out one after the other, those of others at the same time.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.failures import translated
from pqtransfer.keys.events import KEY_ROTATED_DETAIL_TYPE, KeyRotated
from pqtransfer.keys.orders import KeyOrder

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

BATCH_SIZE = 10
SWEEP_GROUP = "sweep"


class SqsKeyOrders:
    """`KeyOrders` in a queue."""

    def __init__(self, client: "SQSClient", *, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, orders: Iterable[KeyOrder]) -> int:
        sent, waiting = 0, iter(orders)
        while batch := list(islice(waiting, BATCH_SIZE)):
            self._send(
                [_entry(number, order.participant, order.model_dump_json()) for number, order in enumerate(batch)]
            )
            sent += len(batch)
        return sent

    def continue_sweep(self, cursor: str) -> None:
        self._send([_entry(0, SWEEP_GROUP, json.dumps({"action": SWEEP_GROUP, "cursor": cursor}))])

    def _send(self, entries: "Sequence[SendMessageBatchRequestEntryTypeDef]") -> None:
        with translated(action=f"send orders to {self._queue_url}"):
            answer = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            for failed in answer.get("Failed", []):
                raise ClientError(
                    {"Error": {"Code": failed["Code"], "Message": failed.get("Message", "")}}, "SendMessageBatch"
                )


class EventBridgeKeyAnnouncer:
    """A `KeyAnnouncer` on a bus."""

    def __init__(self, bus: EventBridgeBus) -> None:
        self._bus = bus

    def announce(self, rotated: KeyRotated) -> None:
        self._bus.put(KEY_ROTATED_DETAIL_TYPE, rotated.model_dump_json(), at=rotated.rotated_at)


def _entry(number: int, group: str, body: str) -> "SendMessageBatchRequestEntryTypeDef":
    return {
        "Id": str(number),
        "MessageBody": body,
        "MessageGroupId": group,
        "MessageDeduplicationId": hashlib.sha256(body.encode()).hexdigest(),
    }
