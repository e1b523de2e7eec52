"""A part counts as done only when the checkpoint and the store agree on it."""

from dataclasses import replace

import pytest

from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.sdk.in_memory import MemoryCheckpointStore
from pqtransfer.transfers.checkpoint import Checkpoint, reconcile_parts
from pqtransfer.transfers.folder import ObjectExistsError, StoredPart
from pqtransfer.transfers.upload import make_tag, resume_upload
from tests.fakes.folders import InMemoryFolder, fill_with

PART = StoredPart(index=0, etag="one", size_bytes=10, sha256=bytes(32))
CHECKPOINT = Checkpoint("transfer", "upload-1", "etag", None, 10, 1 << 20, b"header")


@pytest.mark.parametrize(
    ("recorded", "listed", "agreed"),
    [
        ({0: PART}, {0: PART}, {0: PART}),
        ({0: PART}, {0: replace(PART, sha256=None)}, {0: PART}),  # a store without digests
        ({0: PART}, {0: replace(PART, etag="two")}, {}),
        ({0: PART}, {0: replace(PART, size_bytes=11)}, {}),
        ({0: PART}, {0: replace(PART, sha256=bytes(31) + b"x")}, {}),
        ({0: PART}, {}, {}),  # recorded, but lost by the store
        ({}, {0: PART}, {}),  # stored, but its digest was never recorded
        ({0: PART}, None, {}),  # the upload is gone
        ({0: PART}, {0: PART, 1: replace(PART, index=1)}, {0: PART}),
    ],
)
def test_parts_are_reconciled(
    recorded: dict[int, StoredPart], listed: dict[int, StoredPart] | None, agreed: dict[int, StoredPart]
) -> None:
    """The store says what is there, the checkpoint what it should be."""
    assert reconcile_parts(recorded, listed) == agreed


def make_store(*parts: StoredPart) -> MemoryCheckpointStore:
    store = MemoryCheckpointStore()
    store.create(CHECKPOINT)
    for part in parts:
        store.record_part("transfer", "upload-1", part)
    return store


def test_a_completed_object_is_recognised_by_its_tag() -> None:
    """An attempt that died right after completion is not repeated."""
    folder = InMemoryFolder()
    upload_id = folder.start_upload("payload", tag=make_tag(b"header"), size_bytes=10)
    part = folder.write_part("payload", upload_id, index=0, byte_range=ByteRange(0, 10), fill=fill_with(b"0123456789"))
    stored = folder.complete_upload("payload", upload_id, {0: part})
    resumed = resume_upload(folder, "payload", CHECKPOINT, checkpoints=make_store(part), part_count=1)
    assert resumed is not None
    assert resumed.completed == stored


@pytest.mark.parametrize("tag", ["another tag", None])
def test_somebody_elses_object_is_not_taken_for_ours(tag: str | None) -> None:
    """Same name, other tag: said at once, before everything is sent again for a name that is taken."""
    folder = InMemoryFolder()
    if tag is None:
        folder.put("payload", b"0123456789")
    else:
        upload_id = folder.start_upload("payload", tag=tag, size_bytes=10)
        folder.complete_upload("payload", upload_id, {})
    with pytest.raises(ObjectExistsError):
        resume_upload(folder, "payload", CHECKPOINT, checkpoints=make_store(PART), part_count=1)


def test_an_upload_that_is_gone_before_it_was_complete_is_not_resumed() -> None:
    """Its parts are gone too."""
    folder = InMemoryFolder()
    assert resume_upload(folder, "payload", CHECKPOINT, checkpoints=make_store(PART), part_count=2) is None


def test_parts_of_an_older_upload_are_not_recorded() -> None:
    """A straggler of an attempt that was replaced cannot mix its parts in."""
    store = make_store()
    store.record_part("transfer", "an older upload", PART)
    assert store.load_parts("transfer") == {}
