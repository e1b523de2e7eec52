"""Publishes what a worker does and takes: every ten seconds while a transfer runs, once a minute when none does.

The first sample of a transfer comes when it begins, and the last when it ends, so that a short one is seen too. The
thread of the sampler does nothing else; a sample that cannot be taken is logged, and the next one is taken.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from types import TracebackType
from typing import Any, Self

from aws_lambda_powertools import Logger

from pqtransfer.aws.embedded_metrics import EmbeddedMetrics, Values
from pqtransfer.operations.metrics import (
    BYTES_TRANSFERRED,
    CPU_PERCENT,
    KEY_EXCHANGE_TIME,
    MEMORY_BYTES,
    MEMORY_PERCENT,
    NETWORK_RECEIVED,
    NETWORK_SENT,
    PART_LATENCY,
    POOL_SATURATION,
    SLOW_TRANSFERS,
    SOURCE_RATE,
    THROUGHPUT,
    TRANSFER_RATE,
    WORKERS_BUSY,
    Metric,
)
from pqtransfer.operations.pace import MEGABYTE, Pace, is_slow
from pqtransfer.transfers.progress import ProgressMeter
from pqtransfer.transfers.request import TransferRequest
from transfer_worker.measuring import COUNTED, Counted, Measuring
from transfer_worker.resources import ResourceLimits, ResourceUse

LONGEST_STOP_SECONDS = 5.0

logger = Logger(service="transfer-worker", child=True)


@dataclass(frozen=True)
class SamplingRules:
    """How often samples are taken, and when a transfer is slow."""

    busy_seconds: float
    idle_seconds: float
    slow_under_bytes_per_second: float
    slow_after_seconds: float


@dataclass
class _Running:
    """The transfer that runs: its meter once its size is known, and what it was at the last sample."""

    request: TransferRequest
    meter: ProgressMeter | None = None
    began_at: float = 0.0
    sampled_at: float = 0.0
    bytes_done: int = 0
    judged_at: float = 0.0
    bytes_at_judgement: int = 0
    bytes_read: int = 0
    seconds_reading: float = 0.0
    source: tuple[int, float] = (0, 0.0)

    def facts(self) -> dict[str, str]:
        return {
            "transfer_id": self.request.transfer_id,
            "correlation_id": self.request.correlation_id,
            "participant": self.request.sender,
            "kind": str(self.request.kind),
        }


class Sampler:
    """Samples one worker, from `with` to the end of the block. `monotonic` gives seconds."""

    def __init__(
        self,
        measuring: Measuring,
        *,
        publish: EmbeddedMetrics,
        worker_name: str,
        rules: SamplingRules,
        limits: ResourceLimits,
        read_use: Callable[[], ResourceUse],
        monotonic: Callable[[], float],
    ) -> None:
        self._measuring = measuring
        self._publish = publish
        self._worker_name = worker_name
        self._rules = rules
        self._limits = limits
        self._read_use = read_use
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._use, self._used_at = read_use(), monotonic()
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        self._wake.set()
        self._thread.join(LONGEST_STOP_SECONDS)
        self.sample()

    def begin(self, request: TransferRequest) -> None:
        """A transfer runs from now on."""
        with self._lock:
            self._running = _Running(request)
        self._wake.set()

    def watch(self, meter: ProgressMeter) -> None:
        """Its size is known, and its parts begin."""
        at = self._monotonic()
        with self._lock:
            if self._running is not None:
                self._running.meter, self._running.bytes_done = meter, 0
                self._running.began_at = self._running.sampled_at = self._running.judged_at = at
                self._running.bytes_at_judgement = 0

    def end(self) -> None:
        """It runs no more."""
        self.sample(ended=True)
        with self._lock:
            self._running = None

    def sample(self, *, ended: bool = False) -> None:
        """Publish one sample now; when a transfer has ended, with the rate of the whole of it."""
        try:
            self._sample(ended=ended)
        except (OSError, ValueError) as error:  # the numbers of one sample are not worth a transfer
            logger.warning("no sample", extra={"reason": f"{type(error).__name__}: {error}"})

    def _run(self) -> None:
        while not self._ended:
            busy = self._running is not None
            self._wake.wait(self._rules.busy_seconds if busy else self._rules.idle_seconds)
            self._wake.clear()
            if not self._ended:
                self.sample()

    def _sample(self, *, ended: bool) -> None:
        with self._lock:
            counted, running = self._measuring.take(), self._running
            values: dict[Metric, Values] = dict(self._measure_resources())
            values |= {metric: counted.events[metric] for metric in COUNTED if metric.split_by is None}
            values |= {metric: 0 for metric in COUNTED if metric.split_by and not counted.events[metric]}
            values[WORKERS_BUSY] = 0 if running is None else 1
            values[PART_LATENCY] = counted.part_milliseconds
            values[KEY_EXCHANGE_TIME] = counted.exchange_milliseconds
            facts: dict[str, Any] = {"worker": self._worker_name}
            if running is not None:
                facts |= running.facts()
                if running.meter is not None:
                    values |= self._measure_transfer(running, running.meter, counted, ended=ended)
        self._publish.put(values, facts=facts)
        for (metric, code), number in counted.by_error.items():
            self._publish.put({metric: number}, facts=facts, error=code)

    def _measure_resources(self) -> dict[Metric, float]:
        use, at = self._read_use(), self._monotonic()
        seconds, before = at - self._used_at, self._use
        self._use, self._used_at = use, at
        shares = {
            MEMORY_BYTES: float(use.memory_bytes),
            MEMORY_PERCENT: 100 * use.memory_bytes / self._limits.memory_bytes,
            NETWORK_RECEIVED: float(max(0, use.received_bytes - before.received_bytes)),
            NETWORK_SENT: float(max(0, use.sent_bytes - before.sent_bytes)),
        }
        if seconds > 0:
            shares[CPU_PERCENT] = 100 * (use.cpu_seconds - before.cpu_seconds) / (seconds * self._limits.cpus)
        return shares

    def _measure_transfer(
        self, running: _Running, meter: ProgressMeter, counted: Counted, *, ended: bool
    ) -> dict[Metric, float]:
        at, bytes_done = self._monotonic(), meter.measured_bytes
        seconds, done = at - running.sampled_at, bytes_done - running.bytes_done
        running.bytes_done, running.sampled_at = bytes_done, at
        values = {
            BYTES_TRANSFERRED: float(done),
            THROUGHPUT: meter.read(at=at).bytes_per_second / MEGABYTE,
            **self._judge(running, counted, bytes_done=bytes_done, at=at),
        }
        if seconds > 0:
            values[POOL_SATURATION] = min(100.0, 100 * counted.seconds_working / (seconds * counted.threads))
        if ended and at > running.began_at:
            values[TRANSFER_RATE] = bytes_done / (at - running.began_at) / MEGABYTE
        return values

    def _judge(self, running: _Running, counted: Counted, *, bytes_done: int, at: float) -> dict[Metric, float]:
        """What the source could do; and whether the transfer is slow, whenever enough time has passed to say so.

        Where nobody read meanwhile, all threads were busy with what they had read: the source is what it was before.
        """
        running.bytes_read += counted.bytes_read
        running.seconds_reading += counted.seconds_reading
        if running.bytes_read or running.seconds_reading > 0:
            running.source = running.bytes_read, running.seconds_reading
        bytes_read, seconds_reading = running.source
        pace = Pace(
            seconds=at - running.judged_at,
            bytes_done=bytes_done - running.bytes_at_judgement,
            bytes_read=bytes_read,
            seconds_reading=seconds_reading,
            readers=counted.threads,
        )
        values: dict[Metric, float] = {}
        source = pace.source_bytes_per_second
        if source is not None and isfinite(source):
            values[SOURCE_RATE] = source / MEGABYTE
        if pace.seconds >= self._rules.slow_after_seconds:
            slow = is_slow(
                pace,
                under_bytes_per_second=self._rules.slow_under_bytes_per_second,
                after_seconds=self._rules.slow_after_seconds,
            )
            values[SLOW_TRANSFERS] = float(slow)
            running.judged_at, running.bytes_at_judgement = at, bytes_done
            running.bytes_read, running.seconds_reading = 0, 0.0
        return values
