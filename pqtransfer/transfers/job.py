"""What every job on a model is given: where checkpoints are kept, how to stop, how much memory, and who watches."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from pqtransfer.transfers.checkpoint import CheckpointStore, DataKeySealer
from pqtransfer.transfers.gauging import UNGAUGED, PartGauge
from pqtransfer.transfers.observing import UNOBSERVED, JobObserver
from pqtransfer.transfers.parts import DEFAULT_BUFFER_BUDGET_BYTES, StopSignal, count_parts_in_flight
from pqtransfer.transfers.progress import ProgressMeter


def ignore_progress(_meter: ProgressMeter) -> None:
    """Nobody watches."""


def take_as_ours() -> None:
    """Nobody else could have taken the job over."""


@dataclass(frozen=True)
class JobContext:
    """The surroundings of one job. `monotonic` gives seconds; `watch` receives the meter once totals are known.

    `confirm` raises when the job is not ours any more. It is called before an upload is begun and others in its place
    are dropped: a worker that was frozen and overtaken would otherwise begin anew what its successor has finished.
    `observer` is told of each cryptographic operation. `attempt` counts the tries at the same transfer. `gauge`
    measures parts and reads.
    """

    checkpoints: CheckpointStore
    sealer: DataKeySealer
    monotonic: Callable[[], float]
    stop: StopSignal = field(default_factory=StopSignal)
    buffer_budget_bytes: int = DEFAULT_BUFFER_BUDGET_BYTES
    watch: Callable[[ProgressMeter], None] = ignore_progress
    confirm: Callable[[], None] = take_as_ours
    observer: JobObserver = UNOBSERVED
    attempt: int = 1
    gauge: PartGauge = UNGAUGED

    def start_meter(self, *, bytes_total: int, parts_total: int) -> ProgressMeter:
        """A meter for this job, shown to whoever watches."""
        meter = ProgressMeter(bytes_total=bytes_total, parts_total=parts_total, started_at=self.monotonic())
        self.watch(meter)
        return meter

    def working(self, part_size_bytes: int) -> AbstractContextManager[None]:
        """A part of this size is worked on in the block."""
        return self.gauge.working(of=self.parts_in_flight(part_size_bytes))

    def parts_in_flight(self, part_size_bytes: int) -> int:
        """How many parts of this size may be in flight."""
        return count_parts_in_flight(part_size_bytes, budget_bytes=self.buffer_budget_bytes)
