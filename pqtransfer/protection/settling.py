"""Bring the rows of a container to what stands there: read from the documents themselves, whoever wrote them.

Nothing is taken from the ledger, which everybody writes to who may submit transfers. Repeating it changes nothing.
"""

from pqtransfer.transfers.container import NotAContainerError, read_envelope, read_manifest
from pqtransfer.transfers.dependencies import Dependency, DependencyIndex, describe_dependencies, find_stale
from pqtransfer.transfers.folder import Folder


def settle_dependencies(transfer_id: str, container: Folder, *, index: DependencyIndex) -> tuple[Dependency, ...]:
    """Note what the container needs, forget what it does not need any more, and return what it needs.

    Raises:
        PqtransferError: the container cannot be read, or is damaged; its rows stay as they are.
    """
    try:
        envelope = read_envelope(container).envelope
    except NotAContainerError:
        return ()
    current = describe_dependencies(envelope, manifest_key_id=_manifest_key_id(container))
    index.note(current)
    index.forget(find_stale(index.find_of(transfer_id), current))
    return current


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
