"""Drives a run: submits what the plan says, does to workers and services what it says, waits for the end of it all."""

import heapq
import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pqtransfer.transfers.ledger import FINAL_STATES, TransferRecord
from scripts.chaos_run.plan import CLOCKS_SECONDS, PROCESS_FAULTS, Fault, FaultKind, Plan, PlannedTransfer
from scripts.chaos_run.proxy import FaultProxy
from scripts.chaos_run.world import Submitted, World
from scripts.embedded_cloud.supervisor import Supervisor
from scripts.worker_process import WorkerProcess

AFTERWARDS_SECONDS = 300.0
"""How long transfers may take after the last fault."""
LATE_SECONDS = 8
FREEZE_SECONDS = 9.0
"""Past the lease of 6 s: the worker is overtaken while it is frozen."""
POLL_SECONDS = 1.0
SUBMITTERS = 4
"""Sites that submit at the same time."""


@dataclass
class Injected:
    """A fault as it was done: when, on whom, how many requests it befell."""

    kind: FaultKind
    at: datetime
    until: datetime
    whom: str
    number: int | None = None
    hits: int = 1
    seen_in: list[str] = field(default_factory=list)


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan, world: World, proxy: FaultProxy, fleet: Supervisor) -> None:
        self._plan = plan
        self._world = world
        self._proxy = proxy
        self._fleet = fleet
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._pool: ThreadPoolExecutor | None = None
        self._submissions: list[Future[None]] = []
        self.submitted: list[Submitted] = []
        self.injected: list[Injected] = []
        self.records: dict[str, TransferRecord] = {}

    def drive(self) -> None:
        """Do all of it, and wait until every transfer has ended, or the time for that is over."""
        started = time.monotonic()
        for kind, worker in self._world.extra.items():
            if kind in CLOCKS_SECONDS:
                whom = f"{worker.name or worker.pid}, by {CLOCKS_SECONDS[kind]:+d} s, from start to end"
                self._note(kind, whom)
        for transfer in self._plan.transfers:
            self._at(transfer.at_seconds, lambda transfer=transfer: self._begin(transfer))  # type: ignore[misc]
        for fault in self._plan.faults:
            self._at(fault.at_seconds, lambda fault=fault: self._inject(fault, started))  # type: ignore[misc]
        with ThreadPoolExecutor(SUBMITTERS, thread_name_prefix="submitter") as pool:
            self._pool = pool
            while self._queue:
                due, _, act = heapq.heappop(self._queue)
                time.sleep(max(0.0, started + due - time.monotonic()))
                act()
        for submission in self._submissions:
            submission.result()
        deadline = time.monotonic() + AFTERWARDS_SECONDS
        while len(self.records) < len(self.submitted) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self._note_ended()
        for injected in self.injected:
            if injected.number is not None:
                injected.hits = self._proxy.count_hits(injected.number)

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (seconds, next(self._order), act))

    def _begin(self, transfer: PlannedTransfer) -> None:
        if self._pool is not None:
            self._submissions.append(self._pool.submit(self._submit, transfer))

    def _submit(self, transfer: PlannedTransfer) -> None:
        submitted = self._world.submit(transfer.number, transfer.size_bytes, seed=self._plan.seed)
        self.submitted.append(submitted)
        if transfer.repeated is not None:
            delay = LATE_SECONDS if transfer.repeated is FaultKind.MESSAGE_LATE else 0
            self._world.send_again(submitted, delay_seconds=delay)
            self._note(transfer.repeated, submitted.transfer_id)

    def _inject(self, fault: Fault, started: float) -> None:
        if fault.kind not in PROCESS_FAULTS:
            self._proxy.begin(fault.number, fault.kind, lasts_seconds=fault.lasts_seconds, share=fault.share)
            whom = f"{fault.share:.0%} of the requests for {fault.lasts_seconds:.0f} s"
            self._note(fault.kind, whom, number=fault.number, lasts_seconds=fault.lasts_seconds)
            if fault.kind is FaultKind.QUEUE_AWAY:
                self._world.fill_disk()
                self._at(time.monotonic() - started + fault.lasts_seconds, self._world.empty_disk)
            return
        workers = [task.process for task in self._fleet.tasks.running if task.process.is_running]
        if not workers:
            self._at(time.monotonic() - started + 1.0, lambda: self._inject(fault, started))
            return
        worker = workers[int(fault.share * len(workers))]
        self._note(fault.kind, worker.name or f"process {worker.pid}", lasts_seconds=FREEZE_SECONDS)
        if fault.kind is FaultKind.KILL:
            worker.kill()
        elif fault.kind is FaultKind.TERMINATE:
            worker.terminate()
        else:
            worker.pause()
            self._at(time.monotonic() - started + FREEZE_SECONDS, lambda: _wake(worker))

    def _note(self, kind: FaultKind, whom: str, *, number: int | None = None, lasts_seconds: float = 0.0) -> None:
        at = datetime.now(UTC)
        until = datetime.fromtimestamp(at.timestamp() + lasts_seconds, UTC)
        self.injected.append(Injected(kind, at, until, whom, number=number))

    def _note_ended(self) -> None:
        ledger = self._world.client("operator").ledger
        for each in self.submitted:
            if each.transfer_id not in self.records:
                record = ledger.get(each.transfer_id)
                if record.state in FINAL_STATES:
                    self.records[each.transfer_id] = record


def _wake(worker: WorkerProcess) -> None:
    if worker.is_running:
        worker.resume()
