"""The crypto core in memory, beside what it stands on: AES-GCM and SHA-256 of the same bytes, with one thread and more.

Every thread has buffers of its own and works on them until all have done their parts; both libraries release the GIL.
"""

import hashlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pqtransfer.crypto.envelope import generate_data_key
from pqtransfer.crypto.floe import FloeCipher
from pqtransfer.crypto.geometry import SEGMENT_CAPACITY_BYTES, SEGMENT_SIZE_BYTES, PayloadGeometry, plan_payload
from pqtransfer.crypto.payload import PartBuffer, create_payload_cipher, decrypt_part, encrypt_part
from pqtransfer.crypto.suites import DEFAULT_SUITE_ID

SEGMENTS_PER_PART = 32
PART_PLAINTEXT_BYTES = SEGMENTS_PER_PART * SEGMENT_CAPACITY_BYTES
TAG_LENGTH_BYTES = 16

Operation = Callable[[], object]


@dataclass(frozen=True)
class CoreRate:
    """Bytes of plaintext: in a second, by all threads together, and in a second of processor time."""

    operation: str
    threads: int
    rates: tuple[float, ...]
    cpu_rates: tuple[float, ...]

    @property
    def bytes_per_second(self) -> float:
        """Median."""
        return statistics.median(self.rates)

    @property
    def bytes_per_cpu_second(self) -> float:
        """Median: what one core does, whatever else the machine does."""
        return statistics.median(self.cpu_rates)


class PartBench:
    """One part of a payload and its buffers: what one thread works on."""

    def __init__(self) -> None:
        self._geometry: PayloadGeometry = plan_payload(2 * PART_PLAINTEXT_BYTES)
        self._cipher: FloeCipher = create_payload_cipher(
            generate_data_key(), suite_id=DEFAULT_SUITE_ID, transfer_id="bench", sender="bench"
        )
        self._plaintext = bytearray(os.urandom(PART_PLAINTEXT_BYTES))
        self._ciphertext = bytearray(SEGMENTS_PER_PART * SEGMENT_SIZE_BYTES)
        self._received = bytearray(len(self._ciphertext))
        self._decrypted = bytearray(PART_PLAINTEXT_BYTES)
        self._raw_key = AESGCM(os.urandom(32))
        self._raw_out = bytearray(PART_PLAINTEXT_BYTES + TAG_LENGTH_BYTES)
        self._digest = self.encrypt_part()
        self._received[:] = self._ciphertext

    def encrypt_raw(self) -> None:
        """`AESGCM.encrypt_into`, once over the whole part."""
        self._raw_key.encrypt_into(os.urandom(12), self._plaintext, None, self._raw_out)

    def hash_raw(self) -> None:
        """SHA-256 of the part."""
        hashlib.sha256(self._ciphertext).digest()

    def encrypt_segments(self) -> None:
        """FLOE, segment by segment, without the part's digest."""
        source, out = memoryview(self._plaintext), memoryview(self._ciphertext)
        for index in range(SEGMENTS_PER_PART):
            chunk = source[index * SEGMENT_CAPACITY_BYTES : (index + 1) * SEGMENT_CAPACITY_BYTES]
            self._cipher.encrypt_segment_into(index, chunk, out[index * SEGMENT_SIZE_BYTES :], final=False)

    def encrypt_part(self) -> bytes:
        """What `send` does with a part: FLOE, and the SHA-256 of the ciphertext."""
        return encrypt_part(
            self._cipher,
            self._geometry,
            0,
            _cut(self._plaintext, SEGMENT_CAPACITY_BYTES),
            PartBuffer(self._ciphertext).take,
        )

    def decrypt_part(self) -> None:
        """What `receive` does with a part: the SHA-256 of the ciphertext, and FLOE."""
        decrypt_part(
            self._cipher,
            self._geometry,
            0,
            _cut(self._received, SEGMENT_SIZE_BYTES),
            PartBuffer(self._decrypted).take,
            expected_sha256=self._digest,
        )


OPERATIONS: dict[str, Callable[[PartBench], Operation]] = {
    "AESGCM.encrypt_into": lambda bench: bench.encrypt_raw,
    "SHA-256": lambda bench: bench.hash_raw,
    "encrypt a part, without its SHA-256": lambda bench: bench.encrypt_segments,
    "encrypt a part": lambda bench: bench.encrypt_part,
    "decrypt a part": lambda bench: bench.decrypt_part,
}


def measure_core(*, size_bytes: int, runs: int, thread_counts: Sequence[int]) -> list[CoreRate]:
    """Every operation over `size_bytes` in each thread, in turns."""
    parts = max(1, size_bytes // PART_PLAINTEXT_BYTES)
    benches = [PartBench() for _ in range(max(thread_counts))]
    times: dict[tuple[str, int], list[tuple[float, float]]] = {
        (name, count): [] for count in thread_counts for name in OPERATIONS
    }
    for _ in range(runs):
        for name, count in times:
            operations = [OPERATIONS[name](bench) for bench in benches[:count]]
            times[name, count].append(_time_together(operations, times=parts))
    return [
        CoreRate(
            operation=name,
            threads=count,
            rates=tuple(count * parts * PART_PLAINTEXT_BYTES / wall for wall, _ in found),
            cpu_rates=tuple(count * parts * PART_PLAINTEXT_BYTES / cpu for _, cpu in found),
        )
        for (name, count), found in times.items()
    ]


def _cut(part: bytearray, slice_size_bytes: int) -> Iterator[memoryview]:
    view = memoryview(part)
    return (view[start : start + slice_size_bytes] for start in range(0, len(view), slice_size_bytes))


def _time_together(operations: Sequence[Operation], *, times: int) -> tuple[float, float]:
    """Seconds until every thread has done its operation so many times; seconds of processor time of all of them."""
    start = threading.Barrier(len(operations) + 1)

    def work(operation: Operation) -> float:
        start.wait()
        cpu_before = time.thread_time()
        for _ in range(times):
            operation()
        return time.thread_time() - cpu_before

    with ThreadPoolExecutor(len(operations)) as pool:
        working = [pool.submit(work, operation) for operation in operations]
        start.wait()
        began = time.perf_counter()
        cpu = sum(future.result() for future in working)
        return time.perf_counter() - began, cpu
