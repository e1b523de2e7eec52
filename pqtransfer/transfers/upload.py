"""A resumable upload: which parts are done, writing the others, and making the object of them.

Used in both directions: a payload is uploaded to the data bucket, a decrypted model to its destination or a local file.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES, ByteRange
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

    The parts that are given must be those of the object: a worker that was overtaken can have completed the same upload
    with other encryptions of the same parts.

    Raises:
        ObjectExistsError: something else, or the same of other parts, stands under the name.
        PartsChangedError: the store holds other parts than these.
    """
    try:
        return folder.complete_upload(name, upload_id, parts)
    except ObjectExistsError:
        stored = folder.find(name)
        if stored.tag != make_tag(floe_header) or not _is_made_of(stored, folder, parts):
            raise
        return stored


def _is_made_of(stored: StoredObject, folder: Folder, parts: Mapping[int, StoredPart]) -> bool:
    """Whether the object is made of these parts: by its composite digest, or by reading it where the store has none."""
    digests = [parts[index].sha256 for index in sorted(parts)]
    if None in digests:  # decrypted, where equal tags mean equal content
        return True
    if stored.composite_sha256 is not None:
        return stored.composite_sha256 == hashlib.sha256(b"".join(filter(None, digests))).digest()
    source, start = folder.open(stored), 0
    for index, digest in zip(sorted(parts), digests, strict=True):
        end, found = start + parts[index].size_bytes, hashlib.sha256()
        if end > stored.size_bytes:
            return False
        for data in source.read(ByteRange(start, end), slice_size_bytes=SEGMENT_SIZE_BYTES):
            found.update(data)
        if found.digest() != digest:
            return False
        start = end
    return start == stored.size_bytes


def make_tag(floe_header: bytes) -> str:
    """The tag that an upload carries, so that a later attempt recognises the object as its own."""
    return hashlib.sha256(floe_header).hexdigest()


def resume_upload(
    folder: Folder, name: str, checkpoint: Checkpoint, *, checkpoints: CheckpointStore, part_count: int
) -> ResumedUpload | None:
    """Find out what is left of the upload that a checkpoint names; None when nothing of it can be used.

    Raises:
        ObjectExistsError: something else, or the same of other parts, stands under the name already.
    """
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
    if stored.tag != make_tag(checkpoint.floe_header) or not _is_made_of(stored, folder, recorded):
        raise ObjectExistsError(folder.locate(name))
    return ResumedUpload(recorded, stored)
