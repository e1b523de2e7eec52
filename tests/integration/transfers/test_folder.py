"""A folder in S3: nothing is overwritten by accident, nothing half-written is seen, nothing changed is read."""

import hashlib
import secrets
from collections.abc import Callable

import pytest

from pqtransfer.aws.failures import CloudNotFoundError, CloudRequestError
from pqtransfer.aws.folder import S3Folder, open_location
from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.crypto.payload import DamagedPartError, Room
from pqtransfer.transfers.folder import (
    DocumentChangedError,
    ObjectExistsError,
    ObjectMissingError,
    PartsChangedError,
    SourceChangedError,
    StoredPart,
)
from pqtransfer.transfers.request import S3Location
from tests.fakes.folders import fill_with, read_whole
from tests.integration.transfers.conftest import DATA_BUCKET, SITE_BUCKET, Cloud

PARTS = [secrets.token_bytes(3000), secrets.token_bytes(3000), b"the end"]


@pytest.fixture
def folder(cloud: Cloud) -> S3Folder:
    """In the bucket with versions."""
    return cloud.folder(prefix="transfers/1/")


def write_part(folder: S3Folder, upload_id: str, index: int, data: bytes) -> StoredPart:
    digest = hashlib.sha256(data).digest()
    place = ByteRange(0, len(data))
    fill = fill_with(data, sha256=digest)
    return folder.write_part("payload", upload_id, index=index, byte_range=place, fill=fill)


def upload(folder: S3Folder, *, tag: str = "ours") -> tuple[str, dict[int, StoredPart]]:
    """An upload with all of its parts, not completed."""
    upload_id = folder.start_upload("payload", tag=tag, size_bytes=0)
    return upload_id, {index: write_part(folder, upload_id, index, data) for index, data in enumerate(PARTS)}


def test_a_document_is_created_once(cloud: Cloud, folder: S3Folder) -> None:
    """The second writer is told so; the first one's bytes stay."""
    folder.create_document("manifest.json", b"first")
    with pytest.raises(ObjectExistsError, match=r"s3://models/transfers/1/manifest\.json"):
        folder.create_document("manifest.json", b"second")
    assert folder.read_document("manifest.json", limit_bytes=100).data == b"first"
    assert cloud.keys() == {"transfers/1/manifest.json"}


def test_a_document_is_replaced_only_in_the_state_that_was_read(folder: S3Folder) -> None:
    """Two rewraps at once: one wins, the other is told to read again."""
    folder.create_document("envelope.json", b"epoch 1")
    etag = folder.read_document("envelope.json", limit_bytes=100).etag
    folder.replace_document("envelope.json", b"epoch 2", etag=etag)
    with pytest.raises(DocumentChangedError):
        folder.replace_document("envelope.json", b"another epoch 2", etag=etag)
    assert folder.read_document("envelope.json", limit_bytes=100).data == b"epoch 2"


def test_a_document_that_is_gone_is_not_replaced(folder: S3Folder) -> None:
    """Nothing appears in its place."""
    with pytest.raises(DocumentChangedError):
        folder.replace_document("envelope.json", b"epoch 2", etag='"0123"')


def test_no_more_of_a_document_is_read_than_the_limit(folder: S3Folder) -> None:
    """One byte more shows that it is too long; memory stays bounded."""
    folder.create_document("manifest.json", b"x" * 1000)
    assert len(folder.read_document("manifest.json", limit_bytes=10).data) == 11


def test_an_upload_becomes_an_object_when_it_is_complete(cloud: Cloud, folder: S3Folder) -> None:
    """Not before; then whole, tagged, with a version."""
    upload_id, parts = upload(folder)
    assert cloud.keys() == set()
    stored = folder.complete_upload("payload", upload_id, parts)
    assert cloud.get("transfers/1/payload") == b"".join(PARTS)
    assert (stored.size_bytes, stored.tag) == (len(b"".join(PARTS)), "ours")
    assert stored.version_id is not None
    assert stored == folder.find("payload") == folder.find("payload", version_id=stored.version_id)
    assert cloud.uploads() == []


def test_listed_parts_are_what_was_written(folder: S3Folder) -> None:
    """ETag and size; a digest where the store keeps one."""
    upload_id, parts = upload(folder)
    listed = folder.list_parts("payload", upload_id)
    assert listed is not None
    assert {index: (part.etag, part.size_bytes) for index, part in listed.items()} == {
        index: (part.etag, part.size_bytes) for index, part in parts.items()
    }


def test_more_parts_than_a_page_are_listed(folder: S3Folder) -> None:
    """The 1,000 of one answer are not all."""
    upload_id = folder.start_upload("payload", tag="t", size_bytes=0)
    for index in (0, 998, 999, 1000, 1001):
        write_part(folder, upload_id, index, b"x")
    assert set(folder.list_parts("payload", upload_id) or ()) == {0, 998, 999, 1000, 1001}


def test_a_part_that_was_damaged_on_the_way_is_refused(folder: S3Folder) -> None:
    """The store compares the SHA-256 that goes along."""
    upload_id = folder.start_upload("payload", tag="t", size_bytes=0)
    fill = fill_with(b"damaged", sha256=hashlib.sha256(b"whole").digest())
    with pytest.raises(CloudRequestError, match="BadDigest"):
        folder.write_part("payload", upload_id, index=0, byte_range=ByteRange(0, 7), fill=fill)
    assert folder.list_parts("payload", upload_id) == {}


def test_parts_of_any_length_are_sent_whole_from_one_buffer(cloud: Cloud, folder: S3Folder) -> None:
    """A part that is shorter or longer than the one before it; its SHA-256 is made where it is missing."""
    upload_id = folder.start_upload("payload", tag="t", size_bytes=0)
    contents = [b"a longer part", b"part", b"the longest part of all"]
    parts = {
        index: folder.write_part(
            "payload", upload_id, index=index, byte_range=ByteRange(0, len(data)), fill=fill_with(data)
        )
        for index, data in enumerate(contents)
    }
    assert [part.sha256 for part in parts.values()] == [hashlib.sha256(data).digest() for data in contents]
    folder.complete_upload("payload", upload_id, parts)
    assert cloud.get("transfers/1/payload") == b"".join(contents)


@pytest.mark.parametrize("length", [6, 8])
def test_a_part_of_another_length_is_not_sent(folder: S3Folder, length: int) -> None:
    """What an earlier part left in the buffer never goes out."""
    upload_id = folder.start_upload("payload", tag="t", size_bytes=0)
    write_part(folder, upload_id, 0, b"earlier")
    with pytest.raises(ValueError, match="a part of 7 bytes"):
        folder.write_part("payload", upload_id, index=1, byte_range=ByteRange(7, 14), fill=fill_with(bytes(length)))
    assert set(folder.list_parts("payload", upload_id) or ()) == {0}


def test_a_part_that_fails_half_made_is_not_sent(folder: S3Folder) -> None:
    """Nothing of it reaches the store, and the next attempt at it goes through."""

    def fail(room: Room) -> bytes:
        room(3)[:] = b"bad"
        raise DamagedPartError(0)

    upload_id = folder.start_upload("payload", tag="t", size_bytes=0)
    with pytest.raises(DamagedPartError):
        folder.write_part("payload", upload_id, index=0, byte_range=ByteRange(0, 7), fill=fail)
    assert folder.list_parts("payload", upload_id) == {}
    write_part(folder, upload_id, 0, b"content")
    assert set(folder.list_parts("payload", upload_id) or ()) == {0}


def test_completing_does_not_overwrite(cloud: Cloud, folder: S3Folder) -> None:
    """Somebody else's object stays; whose it is can be told by its tag."""
    folder.complete_upload("payload", *upload(folder, tag="theirs"))
    with pytest.raises(ObjectExistsError):
        folder.complete_upload("payload", *upload(folder, tag="ours"))
    assert folder.find("payload").tag == "theirs"


@pytest.mark.parametrize("what", ["part overwritten", "part missing", "upload aborted", "upload unknown"])
def test_completing_other_parts_than_were_written(folder: S3Folder, what: str) -> None:
    """The job is told to reconcile; no object appears."""
    upload_id, parts = upload(folder)
    if what == "part overwritten":
        write_part(folder, upload_id, 1, b"something else")
    elif what == "part missing":
        parts[3] = parts[2]
    elif what == "upload aborted":
        folder.abort_upload("payload", upload_id)
    else:
        upload_id = "unknown"
    with pytest.raises(PartsChangedError):
        folder.complete_upload("payload", upload_id, parts)
    with pytest.raises(ObjectMissingError):
        folder.find("payload")


def test_an_upload_that_is_gone(folder: S3Folder) -> None:
    """No parts to list; a part for it is refused as such; aborting it again changes nothing."""
    upload_id, _ = upload(folder)
    folder.abort_upload("payload", upload_id)
    assert folder.list_parts("payload", upload_id) is None
    with pytest.raises(PartsChangedError):
        write_part(folder, upload_id, 0, b"late")
    folder.abort_upload("payload", upload_id)


def test_stray_uploads_of_one_object_are_aborted(cloud: Cloud, folder: S3Folder) -> None:
    """Of this object, and of no other whose name begins alike."""
    for _ in range(3):
        folder.start_upload("payload", tag="t", size_bytes=0)
    other = folder.start_upload("payload-of-another", tag="t", size_bytes=0)
    folder.abort_stray_uploads("payload")
    assert cloud.uploads() == [other]


MISSING: list[tuple[str, Callable[[S3Folder], object]]] = [
    ("find", lambda folder: folder.find("nothing")),
    ("find a version", lambda folder: folder.find("nothing", version_id="0")),
    ("read_document", lambda folder: folder.read_document("nothing", limit_bytes=1)),
]


@pytest.mark.parametrize("bucket", [DATA_BUCKET, SITE_BUCKET, "no-such-bucket"])
@pytest.mark.parametrize("act", [act for _, act in MISSING], ids=[name for name, _ in MISSING])
def test_what_is_missing(cloud: Cloud, bucket: str, act: Callable[[S3Folder], object]) -> None:
    """One error, which names the object in full."""
    with pytest.raises(ObjectMissingError, match=f"s3://{bucket}/a/nothing"):
        act(cloud.folder(bucket, prefix="a/"))


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: folder.start_upload("payload", tag="t", size_bytes=0),
        lambda folder: folder.create_document("payload", b"x"),
        lambda folder: folder.abort_stray_uploads("payload"),
    ],
)
def test_a_bucket_that_is_missing(cloud: Cloud, act: Callable[[S3Folder], object]) -> None:
    """Writing to it is an input error that names it."""
    with pytest.raises(CloudNotFoundError, match="s3://no-such-bucket/payload"):
        act(cloud.folder("no-such-bucket"))


MODEL = secrets.token_bytes(10_000)


@pytest.mark.parametrize(("start", "end"), [(0, 10_000), (0, 1), (9_999, 10_000), (2_500, 7_501), (5, 5)])
def test_ranges(cloud: Cloud, start: int, end: int) -> None:
    """Exactly the bytes that were asked for, also none."""
    cloud.put("model", MODEL)
    folder, name = open_location(cloud.s3, S3Location.parse("s3://site/model"))
    source = folder.open(folder.find(name))
    assert read_whole(source, ByteRange(start, end)) == MODEL[start:end]


def test_an_object_that_was_overwritten_is_not_read(cloud: Cloud) -> None:
    """Without versions: an error instead of a mix of two models."""
    cloud.put("model", MODEL)
    folder = cloud.folder(SITE_BUCKET)
    source = folder.open(folder.find("model"))
    read_whole(source, ByteRange(0, 10))
    cloud.put("model", MODEL[::-1])
    with pytest.raises(SourceChangedError, match="s3://site/model"):
        read_whole(source, ByteRange(10, 20))


def test_a_version_that_was_superseded_is_read_on(cloud: Cloud) -> None:
    """With versions: the bytes that were there in the beginning."""
    cloud.put("model", MODEL, bucket=DATA_BUCKET)
    folder = cloud.folder(DATA_BUCKET)
    source = folder.open(folder.find("model"))
    cloud.put("model", MODEL[::-1], bucket=DATA_BUCKET)
    for start in (0, 5_000):
        assert read_whole(source, ByteRange(start, start + 10)) == MODEL[start : start + 10]


def test_a_version_that_was_deleted_is_missing(cloud: Cloud) -> None:
    """It is named."""
    cloud.put("model", MODEL, bucket=DATA_BUCKET)
    folder = cloud.folder(DATA_BUCKET)
    stored = folder.find("model")
    source = folder.open(stored)
    cloud.put("model", b"new", bucket=DATA_BUCKET)
    cloud.s3.client.delete_object(Bucket=DATA_BUCKET, Key="model", VersionId=stored.version_id)
    with pytest.raises(ObjectMissingError, match="s3://models/model"):
        read_whole(source, ByteRange(0, 10))


def test_an_object_that_was_deleted_is_missing(cloud: Cloud) -> None:
    """While it is being read."""
    cloud.put("model", MODEL)
    folder = cloud.folder(SITE_BUCKET)
    source = folder.open(folder.find("model"))
    cloud.s3.client.delete_object(Bucket=SITE_BUCKET, Key="model")
    with pytest.raises(ObjectMissingError, match="s3://site/model"):
        read_whole(source, ByteRange(0, 10))
