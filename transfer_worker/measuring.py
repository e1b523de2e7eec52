"""Counts what happens in a worker between two samples. Many threads count; the sampler takes what was counted."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography.utils import Buffer

from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.manifest import Manifest, SignedManifest
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.metrics import (
    ERRORS,
    KEY_EXCHANGE_FAILURES,
    MESSAGES_REJECTED,
    TRANSFERS_COMPLETED,
    TRANSFERS_FAILED,
    TRANSFERS_RETRIED,
    TRANSFERS_STARTED,
    Metric,
)
from pqtransfer.transfers.observing import KEY_EXCHANGES, UNOBSERVED, JobObserver, is_failed_exchange

COUNTED: tuple[Metric, ...] = (
    TRANSFERS_STARTED,
    TRANSFERS_COMPLETED,
    TRANSFERS_FAILED,
    TRANSFERS_RETRIED,
    MESSAGES_REJECTED,
    ERRORS,
    KEY_EXCHANGE_FAILURES,
)


@dataclass(eq=False)
class _Reading:
    """What one part has read so far, and since when it waits for its next slice. Only its own thread writes to it."""

    bytes_read: int = 0
    seconds: float = 0.0
    waits_since: float | None = None
    taken_bytes: int = 0
    taken_seconds: float = 0.0


@dataclass
class Counted:
    """What was counted. `by_error` are those of metrics that are split by the code of an error."""

    events: Counter[Metric] = field(default_factory=Counter)
    by_error: Counter[tuple[Metric, str]] = field(default_factory=Counter)
    part_milliseconds: list[float] = field(default_factory=list)
    exchange_milliseconds: list[float] = field(default_factory=list)
    bytes_read: int = 0
    seconds_reading: float = 0.0
    seconds_working: float = 0.0
    threads: int = 1


class Measuring:
    """The counters of one worker. It is the `PartGauge` of its jobs. `monotonic` gives seconds."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._counted = Counted()
        self._busy_since: dict[int, float] = {}
        self._threads = 1
        self._readings: list[_Reading] = []

    def count(self, metric: Metric, *, error: PqtransferError | None = None) -> None:
        """Something happened once; by the error, where there is one."""
        with self._lock:
            self._counted.events[metric] += 1
            if error is not None:
                self._counted.by_error[metric, error.code] += 1

    @contextmanager
    def working(self, *, of: int) -> Iterator[None]:
        """One of `of` threads has a part."""
        thread, began_at = threading.get_ident(), self._monotonic()
        with self._lock:
            self._threads = of
            self._busy_since[thread] = began_at
        try:
            yield
        finally:
            at = self._monotonic()
            with self._lock:
                self._counted.seconds_working += at - self._busy_since.pop(thread)
                self._counted.part_milliseconds.append(1000 * (at - began_at))

    def reading(self, slices: Iterable[Buffer]) -> Iterator[Buffer]:
        """The slices of a part, as they come; no lock is taken for one."""
        reading, iterator = _Reading(), iter(slices)
        with self._lock:
            self._readings.append(reading)
        try:
            while True:
                began_at = reading.waits_since = self._monotonic()
                data = next(iterator, None)
                reading.waits_since = None
                reading.seconds += self._monotonic() - began_at
                if data is None:
                    return
                reading.bytes_read += len(memoryview(data))
                yield data
        finally:
            reading.waits_since = None
            with self._lock:
                self._readings.remove(reading)
                self._count_read(reading, at=0.0)

    def exchanged(self, seconds: float) -> None:
        """A key exchange took that long."""
        with self._lock:
            self._counted.exchange_milliseconds.append(1000 * seconds)

    def take(self) -> Counted:
        """What was counted since the last time; whoever has a part, or waits for a slice, has done so up to now."""
        at = self._monotonic()
        with self._lock:
            for reading in self._readings:
                self._count_read(reading, at=at)
            counted, self._counted = self._counted, Counted()
            counted.threads = self._threads
            for thread, since in self._busy_since.items():
                counted.seconds_working += at - since
                self._busy_since[thread] = at
        return counted

    def _count_read(self, reading: _Reading, *, at: float) -> None:
        waits_since = reading.waits_since
        seconds = reading.seconds + (0.0 if waits_since is None else max(0.0, at - waits_since))
        self._counted.bytes_read += reading.bytes_read - reading.taken_bytes
        self._counted.seconds_reading += max(0.0, seconds - reading.taken_seconds)
        reading.taken_bytes, reading.taken_seconds = reading.bytes_read, seconds


class MeasuringObserver:
    """A `JobObserver` that times key exchanges and counts those that fail, before `then` is told."""

    def __init__(self, measuring: Measuring, *, monotonic: Callable[[], float], then: JobObserver = UNOBSERVED) -> None:
        self._measuring = measuring
        self._monotonic = monotonic
        self._then = then
        self._began_at: float | None = None

    def began(self, operation: str) -> None:
        self._began_at = self._monotonic() if operation in KEY_EXCHANGES else None
        self._then.began(operation)

    def data_key_made(self, *, transfer_id: str, suite_id: str) -> None:
        self._then.data_key_made(transfer_id=transfer_id, suite_id=suite_id)

    def model_encrypted(self, manifest: SignedManifest) -> None:
        self._then.model_encrypted(manifest)

    def envelope_wrapped(self, envelope: Envelope) -> None:
        self._settle()
        self._then.envelope_wrapped(envelope)

    def manifest_verified(self, manifest: SignedManifest) -> None:
        self._then.manifest_verified(manifest)

    def envelope_verified(self, envelope: Envelope) -> None:
        self._then.envelope_verified(envelope)

    def envelope_opened(self, envelope: Envelope, *, key_id: str) -> None:
        self._settle()
        self._then.envelope_opened(envelope, key_id=key_id)

    def model_decrypted(self, manifest: Manifest) -> None:
        self._then.model_decrypted(manifest)

    def payload_verified(self, manifest: Manifest) -> None:
        self._then.payload_verified(manifest)

    def failed(self, operation: str, error: PqtransferError) -> None:
        if is_failed_exchange(operation, error):
            self._measuring.count(KEY_EXCHANGE_FAILURES)
            self._settle()
        self._then.failed(operation, error)

    def _settle(self) -> None:
        if self._began_at is not None:
            self._measuring.exchanged(self._monotonic() - self._began_at)
            self._began_at = None
