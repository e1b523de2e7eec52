"""A directory as a folder: whole or not at all, never overwritten, resumable while the machine runs."""

import fcntl
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES, ByteRange
from pqtransfer.sdk.local_errors import (
    DirectoryMissingError,
    FileTooLargeError,
    NameTooLongError,
    NotAFileError,
    UploadBusyError,
)
from pqtransfer.sdk.local_folder import LocalFolder
from pqtransfer.transfers.folder import (
    DocumentChangedError,
    ObjectExistsError,
    ObjectMissingError,
    PartsChangedError,
    SourceChangedError,
    StoredPart,
)
from tests.containers import make_bytes
from tests.fakes.folders import fill_with, read_whole

MODEL = make_bytes("a model to receive", 3_000_000)

TAG = "tag"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[LocalFolder]:
    with LocalFolder(tmp_path) as opened:
        yield opened


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def write_part(folder: LocalFolder, name: str, upload_id: str, data: bytes) -> StoredPart:
    return folder.write_part(
        name,
        upload_id,
        index=0,
        byte_range=ByteRange(0, len(data)),
        fill=fill_with(data, piece_size_bytes=SEGMENT_SIZE_BYTES),
    )


def upload(folder: LocalFolder, name: str, data: bytes) -> None:
    upload_id = folder.start_upload(name, tag=TAG, size_bytes=len(data))
    part = write_part(folder, name, upload_id, data)
    folder.complete_upload(name, upload_id, {0: part})


def test_an_upload_appears_when_it_is_complete(tmp_path: Path, folder: LocalFolder) -> None:
    """Before that there is one hidden file, with all its blocks reserved; afterwards nothing else."""
    upload_id = folder.start_upload("model", tag=TAG, size_bytes=3_000_000)
    assert names_in(tmp_path) == [".model.pqtransfer-partial"]
    assert (tmp_path / ".model.pqtransfer-partial").stat().st_blocks * 512 >= 3_000_000
    part = write_part(folder, "model", upload_id, MODEL)
    stored = folder.complete_upload("model", upload_id, {0: part})
    assert names_in(tmp_path) == ["model"]
    assert (tmp_path / "model").read_bytes() == MODEL
    assert (stored.size_bytes, stored.tag) == (3_000_000, TAG)


@pytest.mark.parametrize("length", [2, 4])
def test_a_part_of_another_length_is_refused(folder: LocalFolder, length: int) -> None:
    """Nothing is written beside its place, and no part passes that is not whole."""
    upload_id = folder.start_upload("model", tag=TAG, size_bytes=10)
    with pytest.raises(ValueError, match="a part that ends at byte 5"):
        folder.write_part("model", upload_id, index=0, byte_range=ByteRange(2, 5), fill=fill_with(bytes(length)))


@given(st.binary(max_size=300), st.integers(1, 100), st.integers(1, 100), st.integers(1, 100))
def test_any_slicing_gives_the_same_file(data: bytes, read_bytes: int, piece_bytes: int, part_bytes: int) -> None:
    """However a file is read, and however its parts are filled."""
    with tempfile.TemporaryDirectory() as name, LocalFolder(Path(name)) as folder:
        upload_id = folder.start_upload("model", tag=TAG, size_bytes=len(data))
        for index, start in enumerate(range(0, len(data), part_bytes)):
            part = data[start : start + part_bytes]
            place = ByteRange(start, start + len(part))
            fill = fill_with(part, piece_size_bytes=piece_bytes)
            folder.write_part("model", upload_id, index=index, byte_range=place, fill=fill)
        stored = folder.complete_upload("model", upload_id, {})
        slices = [bytes(s) for s in folder.open(stored).read(ByteRange(0, len(data)), slice_size_bytes=read_bytes)]
        assert b"".join(slices) == data
        assert {len(each) for each in slices[:-1]} <= {read_bytes}


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(tmp_path: Path, folder: LocalFolder) -> None:
    """The last step is exclusive, and the upload stays."""
    upload_id = folder.start_upload("model", tag=TAG, size_bytes=1)
    (tmp_path / "model").write_bytes(b"precious")
    with pytest.raises(ObjectExistsError):
        folder.complete_upload("model", upload_id, {})
    assert (tmp_path / "model").read_bytes() == b"precious"
    folder.abort_upload("model", upload_id)
    assert names_in(tmp_path) == ["model"]


def test_a_file_system_without_hard_links_is_served_too(
    tmp_path: Path, folder: LocalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just as exclusive."""

    def refuse(*_args: object, **_keywords: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    upload(folder, "model", b"content")
    assert (tmp_path / "model").read_bytes() == b"content"
    upload_id = folder.start_upload("other", tag=TAG, size_bytes=1)
    (tmp_path / "other").write_bytes(b"precious")
    with pytest.raises(ObjectExistsError):
        folder.complete_upload("other", upload_id, {})
    assert (tmp_path / "other").read_bytes() == b"precious"


def test_two_processes_do_not_write_one_file(tmp_path: Path, folder: LocalFolder) -> None:
    """The second is refused and disturbs nothing; a leftover of a dead process is replaced."""
    upload_id = folder.start_upload("model", tag=TAG, size_bytes=7)
    other = LocalFolder(tmp_path)
    for attempt in (
        lambda: other.start_upload("model", tag=TAG, size_bytes=7),
        lambda: other.abort_stray_uploads("model"),
        lambda: other.list_parts("model", upload_id),
    ):
        with pytest.raises(UploadBusyError, match="another process"):
            attempt()
    part = write_part(folder, "model", upload_id, b"content")
    folder.close()
    other.abort_stray_uploads("model")
    assert names_in(tmp_path) == []
    with pytest.raises(PartsChangedError):
        folder.complete_upload("model", upload_id, {0: part})


def test_a_partial_file_that_was_replaced_before_the_lock_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow process does not remove the file that a faster one has begun meanwhile."""
    partial = tmp_path / ".model.pqtransfer-partial"
    partial.write_bytes(b"a leftover")
    flock = fcntl.flock

    def lose_the_race(descriptor: int, flags: int) -> None:
        if partial.read_bytes() == b"a leftover":
            partial.unlink()
            partial.write_bytes(b"somebody else's")
        flock(descriptor, flags)

    monkeypatch.setattr(fcntl, "flock", lose_the_race)
    with LocalFolder(tmp_path) as folder, pytest.raises(UploadBusyError):
        folder.start_upload("model", tag=TAG, size_bytes=7)
    assert partial.read_bytes() == b"somebody else's"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    """For uploads and for documents."""
    folder = LocalFolder(tmp_path / "nowhere")
    with pytest.raises(DirectoryMissingError, match="nowhere"):
        folder.start_upload("model", tag=TAG, size_bytes=1)
    with pytest.raises(DirectoryMissingError, match="nowhere"):
        folder.create_document("manifest.json", b"{}")


def test_a_file_over_the_limit_of_the_process_is_refused(tmp_path: Path, folder: LocalFolder) -> None:
    """`ulimit -f`, or a file system that knows no large files: named, and nothing left behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(FileTooLargeError, match="ulimit -f"):
            folder.start_upload("model", tag=TAG, size_bytes=2 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("length", [240, 300])
def test_a_name_that_is_too_long_is_refused(tmp_path: Path, folder: LocalFolder, length: int) -> None:
    """Also one that would only be too long while it is written."""
    with pytest.raises(NameTooLongError, match="200 bytes"):
        folder.start_upload("x" * length, tag=TAG, size_bytes=1)
    assert names_in(tmp_path) == []


def test_documents_are_created_once_and_replaced_conditionally(tmp_path: Path, folder: LocalFolder) -> None:
    """Of two that replace the same state, the second is told."""
    folder.create_document("envelope.json", b"1")
    with pytest.raises(ObjectExistsError):
        folder.create_document("envelope.json", b"2")
    document = folder.read_document("envelope.json", limit_bytes=10)
    folder.replace_document("envelope.json", b"3", etag=document.etag)
    with pytest.raises(DocumentChangedError):
        folder.replace_document("envelope.json", b"4", etag=document.etag)
    with pytest.raises(DocumentChangedError):
        folder.replace_document("missing.json", b"4", etag=document.etag)
    assert folder.read_document("envelope.json", limit_bytes=10).data == b"3"
    assert names_in(tmp_path) == ["envelope.json"]


def test_a_large_document_is_not_read_whole(tmp_path: Path, folder: LocalFolder) -> None:
    """One byte more than the limit, so that the caller sees it is too large."""
    (tmp_path / "manifest.json").write_bytes(bytes(1000))
    assert len(folder.read_document("manifest.json", limit_bytes=100).data) == 101
    (tmp_path / "envelope.json").mkdir()
    with pytest.raises(NotAFileError):
        folder.read_document("envelope.json", limit_bytes=100)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def rewrite(path: Path) -> None:
    time.sleep(0.02)  # more than the clock tick of file times
    path.write_bytes(bytes(100))


def cut(path: Path) -> None:
    os.truncate(path, 10)


@pytest.mark.parametrize("change", [touch, rewrite, cut], ids=lambda change: change.__name__)
def test_a_source_that_changes_is_noticed_at_the_next_read(
    tmp_path: Path, folder: LocalFolder, change: Callable[[Path], None]
) -> None:
    """Its time, its content, its size."""
    path = tmp_path / "model"
    path.write_bytes(bytes(100))
    source = folder.open(folder.find("model"))
    assert read_whole(source, ByteRange(10, 20)) == bytes(10)
    change(path)
    with pytest.raises(SourceChangedError, match="model"):
        read_whole(source, ByteRange(0, 50))


def test_a_source_that_was_replaced_is_not_opened(tmp_path: Path, folder: LocalFolder) -> None:
    """The state that was found is the state that is read."""
    path = tmp_path / "model"
    path.write_bytes(b"one")
    stored = folder.find("model")
    path.unlink()
    with pytest.raises(ObjectMissingError):
        folder.open(stored)
    path.write_bytes(b"two")
    touch(path)
    with pytest.raises(SourceChangedError):
        folder.open(stored)
