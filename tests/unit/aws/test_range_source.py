"""Ranged reads of S3: what comes back when bodies break off, and when the object is another one."""

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError, SSLError

from pqtransfer.aws.failures import CloudAccessDeniedError, CloudUnavailableError
from pqtransfer.aws.range_source import MAXIMUM_BODIES, S3RangeSource
from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.transfers.folder import ObjectMissingError, SourceChangedError, StoredObject
from tests.fakes.folders import read_whole

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SLICE_SIZE_BYTES = 1 << 18
STORED = StoredObject(name="model", size_bytes=len(CONTENT), etag='"a"', version_id=None)
VERSIONED = StoredObject(name="model", size_bytes=len(CONTENT), etag='"a"', version_id="v1")


class BreakingBody(io.BytesIO):
    """A body that ends in a failure after `length` bytes."""

    def __init__(self, data: bytes, failure: Exception) -> None:
        super().__init__(data)
        self._failure = failure

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is not None and len(data) < size:  # what came of the slice is lost with the connection
            raise self._failure
        return data


class FakeS3:
    """Answers GetObject with one scripted answer after another: None is the range as it was asked for."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.requests: list[dict[str, Any]] = []

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        first, last = (int(number) for number in request["Range"].removeprefix("bytes=").split("-"))
        data = CONTENT[first : last + 1]
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, ClientError):
            raise answer
        raw = answer(data) if answer else io.BytesIO(data)
        return {"Body": StreamingBody(raw, len(data)), "ContentLength": len(data)}


def refuse(code: str, status: int) -> ClientError:
    error: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(error, "GetObject")


def break_after(length: int, failure: Exception | None = None) -> Any:
    return lambda data: BreakingBody(data[:length], failure or ProtocolError("reset by peer"))


def open_source(client: FakeS3, stored: StoredObject = STORED, waits: list[float] | None = None) -> S3RangeSource:
    seen = [] if waits is None else waits
    fake: Any = client
    return S3RangeSource(fake, bucket="b", key="model", stored=stored, uri="s3://b/model", sleep=seen.append)


def test_a_range_is_read_whole_under_the_etag() -> None:
    """One request, for exactly the range, of exactly the state that was opened."""
    client = FakeS3()
    assert read_whole(open_source(client), ByteRange(5, 700_000)) == CONTENT[5:700_000]
    assert [(r["Range"], r["IfMatch"]) for r in client.requests] == [("bytes=5-699999", '"a"')]


def test_an_empty_range_asks_for_nothing() -> None:
    """S3 has no empty ranges."""
    client = FakeS3()
    assert read_whole(open_source(client), ByteRange(5, 5)) == b""
    assert client.requests == []


def test_a_range_comes_in_slices() -> None:
    """All of the size that was asked for but the last, and each as soon as it is there: one request for all."""
    client = FakeS3()
    slices = open_source(client).read(ByteRange(3, 1000), slice_size_bytes=300)
    assert next(slices) == CONTENT[3:303]
    assert [len(data) for data in slices] == [300, 300, 97]
    assert len(client.requests) == 1


def test_a_reader_that_gives_up_closes_the_body() -> None:
    """Its connection is not kept for a body that nobody reads."""
    bodies: list[io.BytesIO] = []

    def keep(data: bytes) -> io.BytesIO:
        bodies.append(io.BytesIO(data))
        return bodies[0]

    slices = open_source(FakeS3(keep)).read(ByteRange(0, 1000), slice_size_bytes=300)
    next(slices)
    slices.close()
    assert bodies[0].closed


@pytest.mark.parametrize(
    "failure", [ProtocolError("reset by peer"), SSLError("bad record")], ids=["connection", "tls record"]
)
def test_a_body_that_breaks_off_is_gone_on_with(failure: Exception) -> None:
    """Only the slices that are missing are asked for again, the one that broke off from its start."""
    client = FakeS3(break_after(SLICE_SIZE_BYTES + 7, failure), break_after(0, failure))
    waits: list[float] = []
    assert (
        read_whole(open_source(client, waits=waits), ByteRange(0, len(CONTENT)), slice_size_bytes=SLICE_SIZE_BYTES)
        == CONTENT
    )
    rest = f"bytes={SLICE_SIZE_BYTES}-{len(CONTENT) - 1}"
    assert [r["Range"] for r in client.requests] == [f"bytes=0-{len(CONTENT) - 1}", rest, rest]
    assert len(waits) == 2


@given(
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.integers(1, 5000),
    st.lists(st.integers(0, 5000), max_size=MAXIMUM_BODIES - 1),
)
def test_any_slicing_and_any_breaks_give_the_same_bytes(start: int, length: int, size: int, breaks: list[int]) -> None:
    """Each slice once, whole and in its place, wherever bodies break off."""
    client = FakeS3(*map(break_after, breaks))
    slices = list(open_source(client).read(ByteRange(start, start + length), slice_size_bytes=size))
    assert b"".join(slices) == CONTENT[start : start + length]
    assert {len(data) for data in slices[:-1]} <= {size}


def test_a_body_that_ends_early_is_gone_on_with() -> None:
    """A short body is not taken for the whole."""
    client = FakeS3(lambda data: io.BytesIO(data[:100]))
    assert read_whole(open_source(client), ByteRange(0, 1000)) == CONTENT[:1000]


def test_bodies_that_keep_breaking_off_end_in_unavailable() -> None:
    """The number of requests for one range is bounded."""
    client = FakeS3(*[break_after(10)] * MAXIMUM_BODIES)
    with pytest.raises(CloudUnavailableError, match="s3://b/model"):
        read_whole(open_source(client), ByteRange(0, len(CONTENT)))
    assert len(client.requests) == MAXIMUM_BODIES


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refuse("PreconditionFailed", 412), SourceChangedError),
        (refuse("InvalidRange", 416), SourceChangedError),
        (refuse("NoSuchKey", 404), ObjectMissingError),
        (refuse("AccessDenied", 403), CloudAccessDeniedError),
        (refuse("SlowDown", 503), CloudUnavailableError),
    ],
)
def test_a_refusal_has_its_name(answer: ClientError, error: type[Exception]) -> None:
    """What the store refuses is told apart by what can be done about it; botocore has repeated it already."""
    client = FakeS3(answer)
    with pytest.raises(error):
        read_whole(open_source(client), ByteRange(0, 10))
    assert len(client.requests) == 1


def test_a_state_that_was_superseded_is_read_by_its_version_from_then_on() -> None:
    """Where the bucket has versions, a newer object does not disturb the transfer of an older one."""
    client = FakeS3(refuse("PreconditionFailed", 412))
    source = open_source(client, VERSIONED)
    assert read_whole(source, ByteRange(0, 10)) == CONTENT[:10]
    assert read_whole(source, ByteRange(10, 20)) == CONTENT[10:20]
    assert [r.get("VersionId") for r in client.requests] == [None, "v1", "v1"]


def test_a_change_between_two_bodies_of_one_range_is_found() -> None:
    """Bytes of two states never stand in one buffer."""
    client = FakeS3(break_after(10), refuse("PreconditionFailed", 412))
    with pytest.raises(SourceChangedError):
        read_whole(open_source(client), ByteRange(0, 1000))


def test_a_store_that_ignores_the_range_is_found_out() -> None:
    """An answer of another length is not the range."""

    class WholeObjectS3(FakeS3):
        def get_object(self, **_: Any) -> dict[str, Any]:
            return {"Body": StreamingBody(io.BytesIO(CONTENT), len(CONTENT)), "ContentLength": len(CONTENT)}

    with pytest.raises(SourceChangedError):
        read_whole(open_source(WholeObjectS3()), ByteRange(0, 10))
