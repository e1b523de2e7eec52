"""Where every byte of a payload stands: segments of 1 MiB, parts of whole segments.

Plaintext of `capacity` = 1 MiB - 32 bytes goes into each segment, so segment i of the ciphertext stands at byte
i * 2^20 and holds the plaintext from byte i * capacity. Part p is the segments from p * segments_per_part up to, not
including, (p + 1) * segments_per_part.
"""

from dataclasses import dataclass
from functools import cached_property

from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.errors import InputError

SEGMENT_SIZE_BYTES = 1 << 20
SEGMENT_OVERHEAD_BYTES = 32
SEGMENT_CAPACITY_BYTES = SEGMENT_SIZE_BYTES - SEGMENT_OVERHEAD_BYTES

DEFAULT_PART_SIZE_BYTES = 32 << 20
MAXIMUM_PART_SIZE_BYTES = 128 << 20
MAXIMUM_PARTS = 10_000
MAXIMUM_CIPHERTEXT_LENGTH_BYTES = MAXIMUM_PARTS * MAXIMUM_PART_SIZE_BYTES
MAXIMUM_PLAINTEXT_LENGTH_BYTES = MAXIMUM_CIPHERTEXT_LENGTH_BYTES // SEGMENT_SIZE_BYTES * SEGMENT_CAPACITY_BYTES


class ModelTooLargeError(InputError):
    """The model is larger than one transfer carries."""

    def __init__(self, length_bytes: int) -> None:
        super().__init__(
            f"{length_bytes} bytes are more than one transfer carries ({MAXIMUM_PLAINTEXT_LENGTH_BYTES}); "
            "split the model into several files"
        )


@dataclass(frozen=True)
class ByteRange:
    """Bytes [start, end) of an object or a file."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class PayloadGeometry:
    """Lengths and positions of one payload. Build it with `plan_payload` (writers) or `check_geometry` (readers)."""

    plaintext_length_bytes: int
    part_size_bytes: int

    @cached_property
    def segment_count(self) -> int:
        """At least one: an empty message is one empty final segment."""
        return max(1, _divide_up(self.plaintext_length_bytes, SEGMENT_CAPACITY_BYTES))

    @cached_property
    def ciphertext_length_bytes(self) -> int:
        return self.plaintext_length_bytes + self.segment_count * SEGMENT_OVERHEAD_BYTES

    @cached_property
    def segments_per_part(self) -> int:
        return self.part_size_bytes // SEGMENT_SIZE_BYTES

    @cached_property
    def part_count(self) -> int:
        return _divide_up(self.ciphertext_length_bytes, self.part_size_bytes)

    def part_segments(self, part_index: int) -> range:
        """The segments of part `part_index` (from 0)."""
        self._require_part(part_index)
        first = part_index * self.segments_per_part
        return range(first, min(first + self.segments_per_part, self.segment_count))

    def part_plaintext(self, part_index: int) -> ByteRange:
        """The plaintext that part `part_index` holds."""
        self._require_part(part_index)
        first = part_index * self.segments_per_part * SEGMENT_CAPACITY_BYTES
        end = min(first + self.segments_per_part * SEGMENT_CAPACITY_BYTES, self.plaintext_length_bytes)
        return ByteRange(first, end)

    def part_ciphertext(self, part_index: int) -> ByteRange:
        """Where part `part_index` stands in the payload object."""
        self._require_part(part_index)
        first = part_index * self.part_size_bytes
        return ByteRange(first, min(first + self.part_size_bytes, self.ciphertext_length_bytes))

    def segment_plaintext(self, segment_index: int) -> ByteRange:
        """The plaintext that a segment holds."""
        first = segment_index * SEGMENT_CAPACITY_BYTES
        return ByteRange(first, min(first + SEGMENT_CAPACITY_BYTES, self.plaintext_length_bytes))

    def segment_ciphertext(self, segment_index: int) -> ByteRange:
        """Where a segment stands in the payload object."""
        first = segment_index * SEGMENT_SIZE_BYTES
        return ByteRange(first, min(first + SEGMENT_SIZE_BYTES, self.ciphertext_length_bytes))

    def segments_covering(self, plaintext: ByteRange) -> range:
        """The segments that hold a non-empty plaintext range."""
        return range(plaintext.start // SEGMENT_CAPACITY_BYTES, (plaintext.end - 1) // SEGMENT_CAPACITY_BYTES + 1)

    def is_final(self, segment_index: int) -> bool:
        return segment_index == self.segment_count - 1

    def _require_part(self, part_index: int) -> None:
        if not 0 <= part_index < self.part_count:
            raise ValueError(f"there is no part {part_index}; this payload has {self.part_count}")


def plan_payload(plaintext_length_bytes: int, *, part_size_bytes: int | None = None) -> PayloadGeometry:
    """The geometry a writer uses: part size = max(32 MiB, ceil(ciphertext length / 10,000) rounded up to 1 MiB).

    Raises:
        ModelTooLargeError: it does not fit 10,000 parts of 128 MiB.
        ValueError: a part size that is asked for is not 1 to 128 whole MiB, or gives more than 10,000 parts.
    """
    if plaintext_length_bytes > MAXIMUM_PLAINTEXT_LENGTH_BYTES:
        raise ModelTooLargeError(plaintext_length_bytes)
    if part_size_bytes is None:
        ciphertext_length = PayloadGeometry(plaintext_length_bytes, DEFAULT_PART_SIZE_BYTES).ciphertext_length_bytes
        needed = _divide_up(_divide_up(ciphertext_length, MAXIMUM_PARTS), SEGMENT_SIZE_BYTES) * SEGMENT_SIZE_BYTES
        part_size_bytes = max(DEFAULT_PART_SIZE_BYTES, needed)
    geometry = PayloadGeometry(plaintext_length_bytes, part_size_bytes)
    if plaintext_length_bytes < 0 or not _is_part_size(part_size_bytes) or geometry.part_count > MAXIMUM_PARTS:
        raise ValueError(f"{plaintext_length_bytes} bytes cannot be cut into parts of {part_size_bytes} bytes")
    return geometry


def check_geometry(geometry: PayloadGeometry, *, ciphertext_length_bytes: int, part_count: int) -> None:
    """Check what a manifest says of lengths against each other.

    Raises:
        MalformedDocumentError: they do not fit.
    """
    if not _is_part_size(geometry.part_size_bytes):
        raise MalformedDocumentError("the manifest's part size is not 1 to 128 whole segments of 1 MiB")
    if geometry.ciphertext_length_bytes != ciphertext_length_bytes:
        raise MalformedDocumentError("the manifest's plaintext and ciphertext lengths do not fit each other")
    if geometry.part_count != part_count or part_count > MAXIMUM_PARTS:
        raise MalformedDocumentError("the manifest's number of part digests does not fit its length and part size")


def _is_part_size(value: int) -> bool:
    return SEGMENT_SIZE_BYTES <= value <= MAXIMUM_PART_SIZE_BYTES and value % SEGMENT_SIZE_BYTES == 0


def _divide_up(value: int, divisor: int) -> int:
    return -(-value // divisor)
