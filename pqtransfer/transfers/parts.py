"""Run the parts of a job, several in flight, in bounded memory; stop at the first failure or when asked to.

Memory: a part in flight is held whole where it is uploaded (its SHA-256 goes ahead of it), and once more where the
plaintext is hashed, in its order; everything else goes by segment, of which one is read and one written at a time. So
    buffers <= parts_in_flight * (2 * part_size + 2 MiB)
    parts_in_flight = min(6, max(1, budget // (2 * part_size)))
With the default budget of 256 MiB that is 4 parts of 32 MiB (models up to 312 GiB), and 1 part of 128 MiB at the
largest (1.2 TiB): never more than 268 MiB. A local file is written from 2 MiB for each part in flight.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait

from pqtransfer.errors import PqtransferError

MAXIMUM_PARTS_IN_FLIGHT = 6
DEFAULT_BUFFER_BUDGET_BYTES = 256 << 20


class StoppedError(PqtransferError):
    """The job was told to stop before it was done. What is done is in the checkpoint."""


class StopSignal:
    """Tells a running job to stop, from any thread, with the reason that it will raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._reason: PqtransferError | None = None

    def stop(self, reason: PqtransferError) -> None:
        """Ask for the stop. The first reason counts."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the stop at most that long; True when it was asked for."""
        return self._event.wait(timeout_seconds)

    def raise_if_set(self) -> None:
        """Raise the reason if a stop was asked for."""
        if self._event.is_set():
            raise self._reason or StoppedError("the job was stopped")


def count_parts_in_flight(part_size_bytes: int, *, budget_bytes: int = DEFAULT_BUFFER_BUDGET_BYTES) -> int:
    """How many parts may be in flight within the memory budget: the formula at the head of this file."""
    return min(MAXIMUM_PARTS_IN_FLIGHT, max(1, budget_bytes // (2 * part_size_bytes)))


def run_parts(
    indexes: Iterable[int],
    process: Callable[[int], None],
    *,
    parts_in_flight: int,
    stop: StopSignal,
    on_failure: Callable[[], None] = lambda: None,
) -> None:
    """Call `process(index)` for every index, in order of start, `parts_in_flight` at a time, each in its own thread.

    When one call raises, no further part is started, those in flight are waited for, and the first error is raised; so
    too when the caller is interrupted. `on_failure` is called after each failure is noted: it lets go of threads that
    wait for a part that will not come.

    Raises:
        PqtransferError: the reason of the stop signal, when that came first.
    """
    remaining = iter(indexes)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def take() -> int | None:
        with lock:
            return None if failures or stop.is_set else next(remaining, None)

    def note(failure: BaseException) -> None:
        with lock:
            failures.append(failure)
        on_failure()

    def work() -> None:
        try:
            while (index := take()) is not None:
                process(index)
        except BaseException as failure:
            note(failure)
            raise

    with ThreadPoolExecutor(max_workers=parts_in_flight, thread_name_prefix="part") as pool:
        threads = [pool.submit(work) for _ in range(parts_in_flight)]
        try:
            wait(threads)
        except BaseException as interrupt:  # Ctrl-C reaches the caller's thread only
            note(interrupt)
            raise
    if failures:
        raise failures[0]
    stop.raise_if_set()
