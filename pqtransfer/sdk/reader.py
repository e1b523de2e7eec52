"""Read any part of an encrypted model as if it were a plain local file: only the segments that are needed are fetched.

Every segment is authenticated by itself, with its position and finality (FLOE), under the header that the signed
manifest fixes: what is returned was encrypted for that place by somebody who holds the data key. Part digests, which
tell the sender's final upload from an earlier attempt of it, are not checked: they would need the whole part.

Memory: `cached_segments` MiB of decrypted segments, and at most 18 MiB for each thread that reads.
"""

import io
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator

from typing_extensions import Buffer

from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES, ByteRange
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import InputError
from pqtransfer.transfers.container import find_payload, open_cipher
from pqtransfer.transfers.folder import Folder

MAXIMUM_SEGMENTS_PER_FETCH = 16
DEFAULT_CACHED_SEGMENTS = 8


class RangeOutsideError(InputError):
    """A range does not lie within the model."""

    def __init__(self, start: int, end: int, *, size_bytes: int) -> None:
        super().__init__(
            f"bytes {start}:{end} do not lie within the model's {size_bytes} bytes; choose 0 <= start <= end"
        )


class ModelReader(io.RawIOBase):
    """A read-only, seekable file object over the plaintext of a container. Threads may share it.

    `read_range` has no position, so threads that share a reader should use that. Neighbouring segments are fetched
    together, so reads of several MiB are faster than many small ones: for those, wrap it in
    `io.BufferedReader(reader, buffer_size=8 << 20)`.
    """

    def __init__(
        self,
        container: Folder,
        manifest: Manifest,
        data_key: SecretBytes,
        *,
        cached_segments: int = DEFAULT_CACHED_SEGMENTS,
    ) -> None:
        """Open the payload.

        Args:
            container: where the payload stands.
            manifest: its manifest, whose signature the caller has checked.
            data_key: from the envelope.
            cached_segments: how many decrypted segments of 1 MiB are kept; 0 keeps none.

        Raises:
            NotAContainerError, DamagedPayloadError, WrongDataKeyError: they do not belong together.
        """
        super().__init__()
        self._cipher = open_cipher(manifest, data_key)
        self._geometry = manifest.geometry
        self._source = container.open(find_payload(container, manifest))
        self._cached_segments = max(0, cached_segments)
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._position = 0
        self._position_lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """The length of the plaintext."""
        return self._geometry.plaintext_length_bytes

    def read_range(self, start: int, end: int) -> bytes:
        """The plaintext from byte `start` up to, not including, byte `end`.

        Raises:
            RangeOutsideError: the range does not lie within the model.
            DamagedSegmentError: the payload was changed there.
        """
        if not 0 <= start <= end <= self.size_bytes:
            raise RangeOutsideError(start, end, size_bytes=self.size_bytes)
        out = bytearray(end - start)
        self._read_into(memoryview(out), start)
        return bytes(out)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._require_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; past the end is allowed, and reads nothing there."""
        self._require_open()
        with self._position_lock:
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size_bytes}.get(whence)
            if base is None or base + offset < 0:
                raise ValueError("the position to seek to is negative, or `whence` is not 0, 1 or 2")
            self._position = base + offset
            return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` from the position on; returns how many bytes, 0 at the end of the model."""
        self._require_open()
        view = memoryview(buffer).cast("B")
        with self._position_lock:
            start = min(self._position, self.size_bytes)
            length = min(len(view), self.size_bytes - start)
            self._read_into(view[:length], start)
            self._position += length
            return length

    def readall(self) -> bytes:
        """Everything from the position to the end, at once."""
        self._require_open()
        with self._position_lock:
            start = min(self._position, self.size_bytes)
            self._position = max(self._position, self.size_bytes)
        return self.read_range(start, self.size_bytes)

    def close(self) -> None:
        """Forget every decrypted segment."""
        with self._lock:
            self._cache.clear()
        super().close()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("the model reader is closed")

    def _read_into(self, out: memoryview, start: int) -> None:
        self._require_open()
        if not out:
            return
        wanted = ByteRange(start, start + len(out))
        for index, plaintext in self._segments(self._geometry.segments_covering(wanted)):
            held = self._geometry.segment_plaintext(index)
            first, last = max(held.start, wanted.start), min(held.end, wanted.end)
            out[first - start : last - start] = memoryview(plaintext)[first - held.start : last - held.start]

    def _segments(self, indexes: range) -> Iterator[tuple[int, bytes]]:
        """Each segment's plaintext: from the cache, or fetched together with the missing ones that follow it."""
        index = indexes.start
        while index < indexes.stop:
            cached = self._recall(index)
            if cached is not None:
                yield index, cached
                index += 1
                continue
            stop = min(indexes.stop, index + MAXIMUM_SEGMENTS_PER_FETCH)
            stop = next((later for later in range(index + 1, stop) if self._holds(later)), stop)
            yield from self._fetch(range(index, stop))
            index = stop

    def _fetch(self, indexes: range) -> list[tuple[int, bytes]]:
        first = self._geometry.segment_ciphertext(indexes.start).start
        last = self._geometry.segment_ciphertext(indexes.stop - 1).end
        segments = self._source.read(ByteRange(first, last), slice_size_bytes=SEGMENT_SIZE_BYTES)
        decrypted = []
        for index, segment in zip(indexes, segments, strict=True):
            plaintext = bytearray(self._geometry.segment_plaintext(index).length)
            self._cipher.decrypt_segment_into(
                index, segment, memoryview(plaintext), final=self._geometry.is_final(index)
            )
            decrypted.append((index, bytes(plaintext)))
            self._remember(index, decrypted[-1][1])
        return decrypted

    def _holds(self, index: int) -> bool:
        with self._lock:
            return index in self._cache

    def _recall(self, index: int) -> bytes | None:
        with self._lock:
            if index in self._cache:
                self._cache.move_to_end(index)
            return self._cache.get(index)

    def _remember(self, index: int, plaintext: bytes) -> None:
        with self._lock:
            if self.closed or not self._cached_segments:
                return
            self._cache[index] = plaintext
            self._cache.move_to_end(index)
            while len(self._cache) > self._cached_segments:
                self._cache.popitem(last=False)
