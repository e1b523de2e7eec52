"""The transfer queue in SQS: long polling, visibility as a heartbeat, and the dead-letter queue with the reason."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pqtransfer.aws.failures import CloudNotFoundError, CloudRequestError, translated
from pqtransfer.transfers.ledger import Failure

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

REJECTED_BODY_LIMIT_BYTES = 250 * 1024
"""Body and attributes together must fit into a message of 256 KiB."""
# SQS says InvalidParameterValue of a receipt whose message is gone, and of one that was held for its 12 hours.
_MESSAGE_GONE_CODES = frozenset({"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"})
_REFUSED = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class QueueMessage:
    """One message in this worker's hands: `receipt` holds it until its visibility time is over."""

    message_id: str
    receipt: str
    body: str


class TransferQueue:
    """The queue a worker drains."""

    def __init__(
        self,
        client: "SQSClient",
        *,
        queue_url: str,
        dead_letter_queue_url: str | None = None,
        prompt_client: "SQSClient | None" = None,
    ) -> None:
        """`prompt_client` holds messages, which is of no use later; long polls need the patience of `client`."""
        self._client = client
        self._prompt_client = prompt_client or client
        self._queue_url = queue_url
        self._dead_letter_queue_url = dead_letter_queue_url

    def send(self, body: str) -> None:
        """Put a message on the queue."""
        with translated(action="submit to the transfer queue"):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body)

    def receive(self, *, visibility_seconds: int, wait_seconds: int) -> Iterator[QueueMessage]:
        """At most one message, after waiting at most `wait_seconds` for it."""
        with translated(action="receive from the transfer queue"):
            answer = self._client.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=visibility_seconds,
            )
        for message in answer.get("Messages", []):
            yield QueueMessage(message["MessageId"], message["ReceiptHandle"], message["Body"])

    def keep_invisible(self, message: QueueMessage, *, visibility_seconds: int) -> None:
        """Keep the message from other workers for that long from now. 0 gives it back at once.

        A message that is no longer in this worker's hands is left alone: the lease decides who works, not the message.
        """
        with _unless_gone(), translated(action="hold a message of the transfer queue"):
            self._prompt_client.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=message.receipt, VisibilityTimeout=visibility_seconds
            )

    def delete(self, message: QueueMessage) -> None:
        """The message is done with. One that went to somebody else meanwhile is deleted by them."""
        with _unless_gone(), translated(action="delete a message of the transfer queue"):
            self._client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message.receipt)

    def reject(self, message: QueueMessage, failure: Failure) -> None:
        """Move the message to the dead-letter queue, with the reason as attributes `reason_code` and `reason`.

        The reason must not keep the message from moving: characters that SQS refuses become `?`, and a body that would
        leave no room for the reason is cut.
        """
        if self._dead_letter_queue_url is None:
            raise CloudRequestError(
                "could not reject a message: no dead-letter queue is configured", aws_code="NoQueue"
            )
        with translated(action="move a message to the dead-letter queue"):
            self._client.send_message(
                QueueUrl=self._dead_letter_queue_url,
                MessageBody=message.body.encode()[:REJECTED_BODY_LIMIT_BYTES].decode(errors="ignore"),
                MessageAttributes={
                    "reason_code": {"DataType": "String", "StringValue": failure.code},
                    "reason": {"DataType": "String", "StringValue": _REFUSED.sub("?", failure.message[:1024])},
                    "message_id": {"DataType": "String", "StringValue": message.message_id},
                },
            )
        self.delete(message)


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except (CloudNotFoundError, CloudRequestError) as error:
        if error.aws_code.rpartition(".")[2] not in _MESSAGE_GONE_CODES:
            raise
