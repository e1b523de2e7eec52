"""Find the transfer that a model was re-encrypted as, without believing the ledger.

The ledger says which transfer replaces which, and everybody writes to it who may submit transfers. So both manifests
are read: the old one, which stays when its payload is removed, and the new one. Both are signed by the sender, and the
new one says that it is the old model: by its SHA-256, if both have one, or else by the id of the old transfer.
"""

from functools import partial

from pqtransfer.crypto.manifest import Manifest
from pqtransfer.errors import IntegrityError, PqtransferError, UnavailableError
from pqtransfer.keys.registry import find_signing_key
from pqtransfer.sdk.connections import Connections
from pqtransfer.transfers.container import read_trusted_manifest
from pqtransfer.transfers.ledger import TransferRecord
from pqtransfer.transfers.reencrypting import find_difference
from pqtransfer.transfers.request import TransferKind

MOST_HOPS = 8


class NotTheSameModelError(IntegrityError):
    """Another transfer is on record in the place of one, and does not show that it holds the same model."""

    def __init__(self, transfer_id: str, superseded_by: str, reason: str) -> None:
        super().__init__(
            f"transfer {transfer_id} is on record as re-encrypted as {superseded_by}, and that is not shown: {reason}. "
            f"Ask its sender; if {superseded_by} is the model, receive it under that id"
        )
        self.superseded_by = superseded_by


def find_current(connections: Connections, transfer_id: str, *, sender: str | None) -> TransferRecord:
    """The transfer to receive when `transfer_id` is asked for: itself, or what its model was re-encrypted as.

    Raises:
        TransferNotFoundError: there is no such transfer.
        NotTheSameModelError: the manifests do not show that the other one holds the same model of the same sender.
        CloudError: it can be tried again.
    """
    record = connections.ledger.get(transfer_id)
    for _ in range(MOST_HOPS):
        if record.superseded_by is None:
            return record
        record = _follow(connections, record, sender)
    raise NotTheSameModelError(transfer_id, record.transfer_id, "it was re-encrypted again and again")


def _follow(connections: Connections, record: TransferRecord, sender: str | None) -> TransferRecord:
    superseded_by = str(record.superseded_by)
    try:
        before = _read_manifest(connections, record, sender)
        following = connections.ledger.get(superseded_by)
        after = _read_manifest(connections, following, before.sender)
    except UnavailableError:
        raise
    except PqtransferError as error:
        raise NotTheSameModelError(record.transfer_id, superseded_by, str(error)) from error
    problem = _find_difference(following, before, after)
    if problem is not None:
        raise NotTheSameModelError(record.transfer_id, superseded_by, problem)
    return following


def _read_manifest(connections: Connections, record: TransferRecord, sender: str | None) -> Manifest:
    return read_trusted_manifest(
        connections.container(record.transfer_id),
        record.model_copy(update={"superseded_by": None}),
        find_signing_key=partial(find_signing_key, registry=connections.registry),
        minimum_suite_id=connections.deployment.minimum_suite,
        sender=sender,
    ).body


def _find_difference(following: TransferRecord, before: Manifest, after: Manifest) -> str | None:
    if following.request.kind is not TransferKind.REENCRYPT:
        return "it is no re-encryption"
    return find_difference(before, after)
