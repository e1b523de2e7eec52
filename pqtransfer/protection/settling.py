"""Bring the rows of a container to what stands there: read from the documents themselves, whoever wrote them.

Nothing is taken from the ledger, which everybody writes to who may submit transfers. Repeating it changes nothing.
"""

from pqtransfer.transfers.container import NotAContainerError, WrongTransferError, read_envelope, read_manifest
from pqtransfer.transfers.dependencies import Dependency, DependencyIndex, describe_dependencies, find_stale
from pqtransfer.transfers.folder import Folder

MOST_ROUNDS = 5


def settle_dependencies(transfer_id: str, container: Folder, *, index: DependencyIndex) -> tuple[Dependency, ...]:
    """Note what the container needs, forget what it does not need any more, and return what it needs.

    Somebody may replace or remove the envelope meanwhile, and forget its rows, before those that were read here are
    written: so it is looked at again, and what was written too late is taken back.

    Raises:
        PqtransferError: the container cannot be read, or is damaged; its rows stay as they are.
    """
    written: set[Dependency] = set()
    current = read_dependencies(transfer_id, container)
    for _ in range(MOST_ROUNDS):
        index.note(current)
        if current:
            index.forget(find_stale({*index.find_of(transfer_id), *written}, current))
        else:
            index.forget(written)
        written.update(current)
        latest = read_dependencies(transfer_id, container)
        if latest == current:
            break
        current = latest
    return current


def read_dependencies(transfer_id: str, container: Folder) -> tuple[Dependency, ...]:
    """What the documents need; nothing when there is no envelope.

    Raises:
        WrongTransferError: the envelope is of another transfer.
        PqtransferError: the container cannot be read, or is damaged.
    """
    try:
        envelope = read_envelope(container).envelope
    except NotAContainerError:
        return ()
    found = envelope.body.transfer_id
    if found != transfer_id:
        raise WrongTransferError(container.locate(""), expected=transfer_id, found=found)
    return describe_dependencies(envelope, manifest_key_id=_manifest_key_id(container))


def release_dependencies(transfer_id: str, container: Folder, *, index: DependencyIndex) -> None:
    """Forget the rows of a transfer that ended without an envelope, or whose container was removed for good."""
    try:
        read_envelope(container)
    except NotAContainerError:
        index.forget(index.find_of(transfer_id))


def _manifest_key_id(container: Folder) -> str | None:
    try:
        return read_manifest(container).signing_key.key_id
    except NotAContainerError:
        return None
