"""The audit queue (SQS FIFO), and how a producer is put together on it.

All events have one message group: the sequencer is one at a time, and each producer's order is kept. Messages are
deduplicated by their content, so that a send whose answer was lost does no harm when it is repeated.
"""

import atexit
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from pqtransfer.audit.messages import pack_messages
from pqtransfer.audit.producing import ProducerTrail, make_producer_name
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.aws.audit_forwarding import SpoolForwarder
from pqtransfer.aws.audit_spool import SPOOL_LIMIT_BYTES
from pqtransfer.aws.clients import prompt_client_config
from pqtransfer.aws.failures import CloudError, translated

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MESSAGE_GROUP = "log"
SEND_WITHIN_SECONDS = 8.0


class SqsEventSink:
    """`EventSink` on the audit queue: SQS has stored a message on several machines when it answers."""

    def __init__(self, client: "SQSClient", *, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, entries: Sequence[bytes]) -> None:
        try:
            for message in pack_messages(entries):
                with translated(action=f"send audit events to {self._queue_url}"):
                    self._client.send_message(
                        QueueUrl=self._queue_url,
                        MessageBody=message,
                        MessageGroupId=MESSAGE_GROUP,
                        MessageDeduplicationId=hashlib.sha256(message.encode()).hexdigest(),
                    )
        except CloudError as error:
            raise AuditUnavailableError(str(error)) from error


def connect_audit_trail(
    session: boto3.Session,
    *,
    queue_url: str,
    service: str,
    spool_directory: Path | None,
    spool_limit_bytes: int = SPOOL_LIMIT_BYTES,
    endpoint_url: str | None = None,
    source_address: str | None = None,
) -> ProducerTrail:
    """The audit trail of this running instance; one for each process.

    Args:
        session: its credentials may send to the queue.
        queue_url: the audit queue.
        service: what this process is (`transfer-worker`); the log shows it with a random part behind it.
        spool_directory: a directory that outlives the process, and that a later process of the same machine is given
            again; events are durable there, and reach the queue a moment later. None (a Lambda, a container without a
            volume): every event goes to the queue before `record` returns.
        spool_limit_bytes: what may wait there for the queue.
        endpoint_url: the address of an emulated cloud.
        source_address: where this instance is in its network, if that says anything.

    Raises:
        SpoolRefusedError: the directory takes no spool.
    """
    config = prompt_client_config(within_seconds=SEND_WITHIN_SECONDS)
    client = session.client("sqs", endpoint_url=endpoint_url, config=config)
    sink = SqsEventSink(client, queue_url=queue_url)
    spool = None
    if spool_directory is not None:
        spool = SpoolForwarder(spool_directory, sink=sink, limit_bytes=spool_limit_bytes)
        spool.start()
        atexit.register(spool.close)
    return ProducerTrail(
        make_producer_name(service),
        sink=sink,
        spool=spool,
        now_ms=lambda: time.time_ns() // 1_000_000,
        source_address=source_address,
    )
