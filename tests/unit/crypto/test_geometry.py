"""Where every byte stands, for every length, as formulas that a reader can check by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.crypto.geometry import (
    MAXIMUM_PARTS,
    MAXIMUM_PLAINTEXT_LENGTH_BYTES,
    SEGMENT_CAPACITY_BYTES,
    SEGMENT_SIZE_BYTES,
    ByteRange,
    ModelTooLargeError,
    PayloadGeometry,
    check_geometry,
    plan_payload,
)

MIB = 1 << 20
CAPACITY = SEGMENT_CAPACITY_BYTES
lengths = st.integers(0, MAXIMUM_PLAINTEXT_LENGTH_BYTES) | st.builds(
    lambda count, difference: max(0, count * CAPACITY + difference), st.integers(0, 1_000_000), st.integers(-1, 1)
)


@pytest.mark.parametrize(
    ("plaintext", "segments", "ciphertext"),
    [
        (0, 1, 32),  # an empty message is one empty final segment
        (1, 1, 33),
        (CAPACITY - 1, 1, MIB - 1),
        (CAPACITY, 1, MIB),  # a full final segment: no empty one follows
        (CAPACITY + 1, 2, MIB + 33),
        (2 * CAPACITY, 2, 2 * MIB),
    ],
)
def test_lengths(plaintext: int, segments: int, ciphertext: int) -> None:
    geometry = plan_payload(plaintext)
    assert (geometry.segment_count, geometry.ciphertext_length_bytes) == (segments, ciphertext)


@pytest.mark.parametrize(
    ("plaintext", "part_size_mib"),
    [
        (0, 32),
        (20 * 10**9, 32),
        (10_000 * 32 * CAPACITY, 32),  # the last that fits 10,000 parts of 32 MiB
        (10_000 * 32 * CAPACITY + 1, 33),
        (MAXIMUM_PLAINTEXT_LENGTH_BYTES, 128),
    ],
)
def test_part_size_grows_so_that_10_000_parts_are_enough(plaintext: int, part_size_mib: int) -> None:
    geometry = plan_payload(plaintext)
    assert geometry.part_size_bytes == part_size_mib * MIB
    assert geometry.part_count <= MAXIMUM_PARTS


def test_too_large_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelTooLargeError, match="split the model"):
        plan_payload(MAXIMUM_PLAINTEXT_LENGTH_BYTES + 1)


@pytest.mark.parametrize(
    ("length", "part_size"), [(-1, MIB), (1, 0), (1, MIB - 1), (1, MIB + 1), (1, 129 * MIB), (10_001 * CAPACITY, MIB)]
)
def test_a_part_size_that_no_reader_would_take_is_refused_before_anything_is_encrypted(
    length: int, part_size: int
) -> None:
    with pytest.raises(ValueError, match="parts of"):
        plan_payload(length, part_size_bytes=part_size)


@given(lengths)
def test_parts_tile_plaintext_and_ciphertext(length: int) -> None:
    """No byte is in two parts, none is in no part; the last part ends where the message ends."""
    geometry = plan_payload(length)
    last = geometry.part_count - 1
    for where in (geometry.part_plaintext, geometry.part_ciphertext):
        assert where(0).start == 0
        if last:
            assert where(last - 1).end == where(last).start
    assert geometry.part_plaintext(last).end == length
    assert geometry.part_ciphertext(last).end == geometry.ciphertext_length_bytes
    assert geometry.part_segments(last).stop == geometry.segment_count
    assert geometry.part_ciphertext(last).length == (
        geometry.part_plaintext(last).length + 32 * len(geometry.part_segments(last))
    )


@given(lengths, st.data())
def test_segments_covering_a_range_hold_its_first_and_last_byte(length: int, data: st.DataObject) -> None:
    if not length:
        return
    geometry = plan_payload(length)
    start = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(start + 1, length))
    segments = geometry.segments_covering(ByteRange(start, end))
    first, last = geometry.segment_plaintext(segments[0]), geometry.segment_plaintext(segments[-1])
    assert first.start <= start < first.end
    assert last.start < end <= last.end
    assert geometry.segment_ciphertext(segments[0]).start == segments[0] * SEGMENT_SIZE_BYTES
    assert geometry.is_final(segments[-1]) == (last.end == length)


@pytest.mark.parametrize("part", [-1, 1])
def test_there_is_no_part_beyond_the_last(part: int) -> None:
    geometry = plan_payload(10)
    for where in (geometry.part_segments, geometry.part_plaintext, geometry.part_ciphertext):
        with pytest.raises(ValueError, match="no part"):
            where(part)


@pytest.mark.parametrize(
    ("part_size", "ciphertext", "parts", "complaint"),
    [
        (MIB + 1, 42, 1, "part size"),
        (0, 42, 1, "part size"),
        (-MIB, 42, 1, "part size"),
        (129 * MIB, 42, 1, "part size"),
        (MIB, 43, 1, "lengths"),
        (MIB, 42, 2, "part digests"),
        (MIB, 42, 0, "part digests"),
    ],
)
def test_a_manifest_whose_lengths_contradict_each_other_is_refused(
    part_size: int, ciphertext: int, parts: int, complaint: str
) -> None:
    with pytest.raises(MalformedDocumentError, match=complaint):
        check_geometry(PayloadGeometry(10, part_size), ciphertext_length_bytes=ciphertext, part_count=parts)
