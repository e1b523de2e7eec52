"""A resumable upload: which parts are done, writing the others, and making the object of them.

Used in both directions: a payload is uploaded to the data bucket, a decrypted model to its destination or a local file.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pqtransfer.errors import UnavailableError
from pqtransfer.transfers.checkpoint import Checkpoint, CheckpointStore, reconcile_parts
from pqtransfer.transfers.folder import Folder, ObjectExistsError, ObjectMissingError, StoredObject, StoredPart

MAXIMUM_COMPLETION_ROUNDS = 3


class UploadContestedError(UnavailableError):
    """Parts of the upload keep changing under us."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            f"parts of {uri} were overwritten {MAXIMUM_COMPLETION_ROUNDS} times by somebody else; try again"
        )


@dataclass(frozen=True)
class ResumedUpload:
    """What an earlier attempt left: parts that count, or the object when that attempt had completed it already."""

    parts: Mapping[int, StoredPart]
    completed: StoredObject | None = None


def complete_upload(
    folder: Folder, name: str, upload_id: str, parts: Mapping[int, StoredPart], *, floe_header: bytes
) -> StoredObject:
    """Complete an upload, also when the answer to an earlier completion was lost.

    Raises:
        ObjectExistsError: something else stands under the name.
        PartsChangedError: the store holds other parts than these.
    """
    try:
        return folder.complete_upload(name, upload_id, parts)
    except ObjectExistsError:
        stored = folder.find(name)
        if stored.tag != make_tag(floe_header):
            raise
        return stored


def make_tag(floe_header: bytes) -> str:
    """The tag that an upload carries, so that a later attempt recognises the object as its own."""
    return hashlib.sha256(floe_header).hexdigest()


def resume_upload(
    folder: Folder, name: str, checkpoint: Checkpoint, *, checkpoints: CheckpointStore, part_count: int
) -> ResumedUpload | None:
    """Find out what is left of the upload that a checkpoint names; None when nothing of it can be used."""
    recorded = checkpoints.load_parts(checkpoint.transfer_id)
    listed = folder.list_parts(name, checkpoint.upload_id)
    if listed is not None:
        return ResumedUpload(reconcile_parts(recorded, listed))
    if len(recorded) != part_count:
        return None
    try:
        stored = folder.find(name)
    except ObjectMissingError:
        return None
    return ResumedUpload(recorded, stored) if stored.tag == make_tag(checkpoint.floe_header) else None
