"""Reading an encrypted model like a plain file: the right bytes, from no more segments than are needed."""

import io
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.crypto.envelope import generate_data_key
from pqtransfer.crypto.floe import DamagedSegmentError, WrongDataKeyError
from pqtransfer.crypto.geometry import SEGMENT_CAPACITY_BYTES, SEGMENT_SIZE_BYTES
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.sdk.ranges import decrypt_range
from pqtransfer.sdk.reader import ModelReader, RangeOutsideError
from pqtransfer.transfers.container import DamagedPayloadError
from tests.containers import Container, make_bytes, make_container
from tests.fakes.folders import InMemoryFolder

SIZE = 5 * SEGMENT_CAPACITY_BYTES + 1000
MODEL = make_bytes("a model to read", SIZE)
DATA_KEY = generate_data_key()
CONTAINER = make_container(MODEL, data_key=DATA_KEY)


def make_folder(container: Container = CONTAINER) -> InMemoryFolder:
    folder = InMemoryFolder()
    folder.put("payload", container.payload)
    return folder


def open_reader(folder: InMemoryFolder, *, container: Container = CONTAINER, cached_segments: int = 8) -> ModelReader:
    manifest = SignedManifest.from_json(container.manifest_json).body
    return ModelReader(folder, manifest, DATA_KEY, cached_segments=cached_segments)


def count_segments(folder: InMemoryFolder) -> int:
    return sum(-(-byte_range.length // SEGMENT_SIZE_BYTES) for byte_range in folder.reads)


def test_a_safetensors_header_costs_two_segments_at_most() -> None:
    """The header of a model is read, with its tensors' places, without fetching the tensors."""
    header = json.dumps({"weights": {"dtype": "U8", "shape": [SIZE], "data_offsets": [0, SIZE]}}).encode()
    container = make_container(struct.pack("<Q", len(header)) + header + MODEL, data_key=DATA_KEY)
    folder = make_folder(container)
    with open_reader(folder, container=container) as reader:
        (length,) = struct.unpack("<Q", reader.read(8))
        assert json.loads(reader.read(length)) == json.loads(header)
    assert count_segments(folder) <= 2


@settings(max_examples=60)
@given(st.integers(0, SIZE), st.integers(0, SIZE), st.integers(0, 3))
def test_every_range_is_the_plain_files(first: int, second: int, cached_segments: int) -> None:
    """Whatever the cache holds, and only the segments that cover the range are fetched."""
    start, end = sorted((first, second))
    folder = make_folder()
    assert open_reader(folder, cached_segments=cached_segments).read_range(start, end) == MODEL[start:end]
    covering = 0 if start == end else (end - 1) // SEGMENT_CAPACITY_BYTES - start // SEGMENT_CAPACITY_BYTES + 1
    assert count_segments(folder) == covering


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (2, 1), (0, SIZE + 1), (SIZE + 1, SIZE + 1)])
def test_a_range_outside_the_model_is_refused(start: int, end: int) -> None:
    """The error names the model's size."""
    with pytest.raises(RangeOutsideError, match=str(SIZE)):
        open_reader(make_folder()).read_range(start, end)


def test_it_behaves_as_a_file() -> None:
    """Seek, tell, read, readinto, iteration behind a buffer; past the end there is nothing."""
    plain, reader = io.BytesIO(MODEL), open_reader(make_folder())
    assert reader.readable()
    assert reader.seekable()
    assert not reader.writable()
    for offset, whence in [(10, 0), (1_500_000, 1), (-10, 2), (0, 0), (-1000, 1), (5, 2)]:
        if whence == 1 and plain.tell() + offset < 0:
            continue
        assert reader.seek(offset, whence) == plain.seek(offset, whence)
        assert reader.tell() == plain.tell()
        assert reader.read(77) == plain.read(77)
    reader.seek(0)
    assert reader.read() == MODEL
    assert reader.read(1) == b""
    reader.seek(0)
    assert io.BufferedReader(reader).read() == MODEL


@pytest.mark.parametrize(("offset", "whence"), [(-1, 0), (-SIZE - 1, 2), (0, 7)])
def test_an_impossible_position_is_refused(offset: int, whence: int) -> None:
    """As for any file."""
    with pytest.raises(ValueError, match="position"):
        open_reader(make_folder()).seek(offset, whence)


def test_segments_are_fetched_once_while_they_are_cached() -> None:
    """Neighbouring small reads cost one fetch; the cache is bounded and forgets the oldest."""
    folder = make_folder()
    reader = open_reader(folder, cached_segments=2)
    for _ in range(3):
        reader.read_range(0, 10)
        reader.read_range(SEGMENT_CAPACITY_BYTES, SEGMENT_CAPACITY_BYTES + 10)
    assert count_segments(folder) == 2
    reader.read_range(2 * SEGMENT_CAPACITY_BYTES, 2 * SEGMENT_CAPACITY_BYTES + 10)
    reader.read_range(0, 10)
    assert count_segments(folder) == 4


def test_missing_segments_are_fetched_together() -> None:
    """One request for neighbours, not one each; those in the cache are not fetched again."""
    folder = make_folder()
    reader = open_reader(folder)
    reader.read_range(2 * SEGMENT_CAPACITY_BYTES, 2 * SEGMENT_CAPACITY_BYTES + 1)
    folder.reads.clear()
    assert reader.read_range(0, SIZE) == MODEL
    assert [byte_range.length // SEGMENT_SIZE_BYTES for byte_range in folder.reads] == [2, 2]


def test_reading_everything_takes_few_requests() -> None:
    """`read()` is one range, not a thousand small ones."""
    folder = make_folder()
    reader = open_reader(folder)
    reader.seek(10)
    assert reader.read() == MODEL[10:]
    assert len(folder.reads) == 1
    assert reader.tell() == SIZE


def test_threads_may_share_it() -> None:
    """Every thread gets its own range's bytes."""
    reader = open_reader(make_folder(), cached_segments=2)
    ranges = [(place, min(place + 70_000, SIZE)) for place in range(0, SIZE, 50_000)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda bounds: reader.read_range(*bounds), ranges))
    assert results == [MODEL[start:end] for start, end in ranges]


def test_a_damaged_segment_is_found_where_it_is_read() -> None:
    """Other segments stay readable; of the damaged one nothing is returned."""
    damaged = bytearray(CONTAINER.payload)
    damaged[2 * SEGMENT_SIZE_BYTES + 100] ^= 1
    reader = open_reader(make_folder(CONTAINER.with_payload(lambda _: bytes(damaged))))
    assert reader.read_range(0, 10) == MODEL[:10]
    with pytest.raises(DamagedSegmentError, match="segment 2"):
        reader.read_range(2 * SEGMENT_CAPACITY_BYTES, 2 * SEGMENT_CAPACITY_BYTES + 1)


def test_segments_that_changed_places_are_found() -> None:
    """A segment is authentic only where it was encrypted."""
    payload = CONTAINER.payload
    swapped = (
        payload[SEGMENT_SIZE_BYTES : 2 * SEGMENT_SIZE_BYTES]
        + payload[:SEGMENT_SIZE_BYTES]
        + payload[2 * SEGMENT_SIZE_BYTES :]
    )
    with pytest.raises(DamagedSegmentError):
        open_reader(make_folder(CONTAINER.with_payload(lambda _: swapped))).read_range(0, 1)


def test_a_payload_or_key_that_does_not_belong_is_refused_at_once() -> None:
    """Before anything is read."""
    manifest = SignedManifest.from_json(CONTAINER.manifest_json).body
    with pytest.raises(DamagedPayloadError):
        ModelReader(make_folder(CONTAINER.with_payload(lambda data: data[:-1])), manifest, DATA_KEY)
    with pytest.raises(WrongDataKeyError):
        ModelReader(make_folder(), manifest, generate_data_key())


def test_a_closed_reader_reads_nothing() -> None:
    """As for any file."""
    reader = open_reader(make_folder())
    reader.close()
    for call in (reader.tell, lambda: reader.read(1), lambda: reader.read_range(0, 1), lambda: reader.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            call()


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, None), (1_000_000, 1_100_000), (2_999_999, 3_000_000)])
def test_a_range_is_written_to_a_file_or_a_stream(
    tmp_path: Path, container: Path, model: bytes, bob: PrivateIdentity, start: int, end: int | None
) -> None:
    """The same bytes either way; the file appears when all of it is there."""
    opened, length = decrypt_range(container, key=bob, start=start, end=end, out=tmp_path / "range")
    stream = io.BytesIO()
    decrypt_range(container, key=bob, start=start, end=end, out=stream)
    assert (tmp_path / "range").read_bytes() == stream.getvalue() == model[start:end]
    assert length == len(stream.getvalue())
    assert opened.manifest.body.sender == "alice"


def test_a_range_of_a_damaged_payload_leaves_no_file(tmp_path: Path, container: Path, bob: PrivateIdentity) -> None:
    """Not even a hidden one."""
    payload = bytearray((container / "payload").read_bytes())
    payload[-1] ^= 1
    (container / "payload").write_bytes(payload)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DamagedSegmentError):
        decrypt_range(container, key=bob, start=0, end=None, out=tmp_path / "range")
    assert sorted(tmp_path.iterdir()) == before
