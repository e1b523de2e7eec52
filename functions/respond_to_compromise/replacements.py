"""Whether a container may take the place of another one, which is then removed for good.

The ledger says that a re-encryption is COMPLETED, and everybody writes to the ledger who may submit transfers. So its
word is not enough: what is removed cannot be brought back. The new container itself has to show that the model stands
in it, whole, from the same sender and for the same readers.
"""

import hashlib
import hmac
from collections.abc import Collection
from functools import partial

from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.errors import IntegrityError, PqtransferError, UnavailableError
from pqtransfer.keys.registry import KeyRegistry, find_signing_key
from pqtransfer.protection.renewing import EnvelopeRenewer
from pqtransfer.transfers.container import (
    NotAContainerError,
    find_payload,
    read_manifest,
    read_trusted_envelope,
    read_trusted_manifest,
)
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.ledger import TransferRecord
from pqtransfer.transfers.reencrypting import find_difference
from pqtransfer.transfers.request import TransferRequest

READ_AT_MOST_BYTES = 64 << 20
"""Payloads of stores that keep no composite digest (the embedded cloud) are read; S3 always has one."""


class ReplacementMismatchError(IntegrityError):
    """What the ledger calls the re-encryption of a container is not that."""

    def __init__(self, transfer_id: str, replacement_id: str, reason: str) -> None:
        super().__init__(
            f"transfer {replacement_id} is on record as the re-encryption of {transfer_id}, and is not: {reason}. "
            "Nothing was removed; find out who wrote to the ledger and to the bucket, then try again with --retry"
        )


def require_replacement(
    asked: TransferRequest,
    replacement: TransferRecord,
    *,
    old: Folder,
    new: Folder,
    registry: KeyRegistry,
    renewer: EnvelopeRenewer,
    lost_key_ids: Collection[str],
) -> None:
    """Check that `new` holds the model of `old`, by the documents and the payload themselves.

    Args:
        asked: what the re-encryption was asked for as.
        lost_key_ids: keys that it must not be wrapped to.

    Raises:
        ReplacementMismatchError: it does not, or it cannot be shown.
        UnavailableError: it can be tried again.
    """
    before = read_manifest(old).body
    try:
        problem = _find_problem(asked, replacement, before, new, registry, renewer, lost_key_ids)
    except UnavailableError:
        raise
    except PqtransferError as error:
        problem = str(error)
    if problem is not None:
        raise ReplacementMismatchError(before.transfer_id, replacement.transfer_id, problem)


def _find_problem(
    asked: TransferRequest,
    replacement: TransferRecord,
    before: Manifest,
    new: Folder,
    registry: KeyRegistry,
    renewer: EnvelopeRenewer,
    lost_key_ids: Collection[str],
) -> str | None:
    if replacement.request != asked:
        return "it was asked for as something else"
    find_key = partial(find_signing_key, registry=registry)
    manifest = read_trusted_manifest(
        new, replacement, find_signing_key=find_key, minimum_suite_id=before.suite, sender=before.sender
    ).body
    if (difference := find_difference(before, manifest)) is not None:
        return difference
    envelope = read_trusted_envelope(new, manifest, find_signing_key=find_key).envelope
    if envelope.body.signer != before.sender:
        return f"its envelope is signed by {envelope.body.signer}, not by its sender"
    if set(envelope.recipient_key_ids) & set(lost_key_ids):
        return "it is wrapped to a key that was lost"
    missing = _find_readers(asked, before.transfer_id, renewer) - set(renewer.find_readers(manifest.transfer_id))
    if missing:
        return f"it is not wrapped to {', '.join(sorted(missing))}"
    return None if _is_whole(new, manifest) else "its payload is not the one that its manifest names"


def _find_readers(asked: TransferRequest, transfer_id: str, renewer: EnvelopeRenewer) -> set[str]:
    """Who could read the old container, or should read the new one: it may have more readers since it was asked for."""
    try:
        return {*asked.recipients, *renewer.find_readers(transfer_id)}
    except NotAContainerError:  # an earlier run checked all of this, and died while it removed the container
        return set(asked.recipients)


def _is_whole(container: Folder, manifest: Manifest) -> bool:
    payload = find_payload(container, manifest)
    if payload.composite_sha256 is not None:
        return hmac.compare_digest(payload.composite_sha256, manifest.composite_sha256)
    if payload.size_bytes > READ_AT_MOST_BYTES:
        return False
    source, geometry = container.open(payload), manifest.geometry
    for index, expected in enumerate(manifest.part_sha256):
        digest = hashlib.sha256()
        for data in source.read(geometry.part_ciphertext(index), slice_size_bytes=SEGMENT_SIZE_BYTES):
            digest.update(data)
        if not hmac.compare_digest(digest.digest(), expected):
            return False
    return True
