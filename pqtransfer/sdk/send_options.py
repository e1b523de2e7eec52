"""What a sender may say of a transfer, and the request that it makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from uuid6 import uuid7

from pqtransfer.crypto.manifest import require_metadata
from pqtransfer.crypto.suites import DEFAULT_SUITE_ID
from pqtransfer.keys.holder import KeyHolder
from pqtransfer.transfers.request import TransferKind, TransferRequest

S3_SCHEME = "s3://"


@dataclass(frozen=True)
class SendOptions:
    """What else a sender may say of a transfer. Sizes are in bytes."""

    suite_id: str = DEFAULT_SUITE_ID
    metadata: dict[str, str] | None = None
    expected_size_bytes: int | None = None
    expected_sha256: bytes | None = None
    hash_plaintext: bool = False
    priority: int = 5
    deadline: datetime | None = None
    transfer_id: str | None = None
    correlation_id: str | None = None
    to_self: bool = True


def make_request(
    source: str, sender: KeyHolder, recipients: Sequence[str], options: SendOptions, *, through_queue: bool
) -> TransferRequest:
    """The request: one that a worker takes from the queue, or the record of an upload from this machine.

    Raises:
        InvalidMetadataError, InvalidRequestError: what was said cannot be asked for.
    """
    transfer_id = options.transfer_id or str(uuid7())
    filename = source.rstrip("/").rsplit("/", 1)[-1].split("?", 1)[0]
    metadata = require_metadata({"filename": filename, **(options.metadata or {})})
    return TransferRequest.create(
        transfer_id=transfer_id,
        kind=TransferKind.ENCRYPT if through_queue else TransferKind.UPLOAD,
        source=source if through_queue else None,
        sender=sender.participant,
        recipients=name_recipients(sender, recipients, options),
        suite=options.suite_id,
        expected_size_bytes=options.expected_size_bytes,
        expected_sha256=options.expected_sha256,
        hash_plaintext=options.hash_plaintext,
        priority=options.priority,
        deadline=options.deadline,
        correlation_id=options.correlation_id or transfer_id,
        metadata=metadata,
    )


def name_recipients(sender: KeyHolder, recipients: Sequence[str], options: SendOptions) -> tuple[str, ...]:
    """The recipients without repetition, the sender among them unless it says no."""
    own = [sender.participant] if options.to_self else []
    return tuple(dict.fromkeys([*recipients, *own]))
