"""Workers on a ledger, a queue and a pipeline in memory, with a clock that a test moves."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from pqtransfer.aws.embedded_metrics import EmbeddedMetrics
from pqtransfer.aws.queue import QueueMessage
from pqtransfer.aws.task_protection import TaskProtectionError
from pqtransfer.operations.metrics import WORKER_SERVICE
from pqtransfer.sdk.in_memory import MemoryCheckpointStore, MemorySealer
from pqtransfer.transfers.checkpoint import Checkpoint, DataKeySealer
from pqtransfer.transfers.folder import StoredPart
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import TransferRecord, TransferResult
from pqtransfer.transfers.request import TransferRequest
from tests.containers import TRANSFER_ID
from tests.fakes.clocks import FakeClock
from tests.fakes.embedded_lines import EmbeddedLines
from tests.fakes.ledgers import InMemoryLedger
from tests.fakes.queues import InMemoryQueue
from tests.fakes.trails import InMemoryAuditTrail
from transfer_worker.health import Health
from transfer_worker.loop import Worker
from transfer_worker.measuring import Measuring
from transfer_worker.resources import ResourceLimits, ResourceUse
from transfer_worker.sampling import Sampler, SamplingRules
from transfer_worker.settings import WorkerSettings
from transfer_worker.shutdown import Shutdown

Logger(service="transfer-worker")  # what `main` does: the loop's logger is a child of it
LEASE_SECONDS = 60
MAX_RECEIVES = 3
STOP_TIMEOUT_SECONDS = 100
RESULT = TransferResult(
    location="s3://models/x/",
    plaintext_length=5,
    ciphertext_length=99,
    composite_sha256=base64.b64encode(bytes(32)).decode(),
    part_count=1,
)

IDLE = ResourceUse(memory_bytes=500, cpu_seconds=0, received_bytes=0, sent_bytes=0)

Attempt = Callable[[TransferRequest, JobContext], TransferResult]


def make_request(**changes: Any) -> TransferRequest:
    fields: dict[str, Any] = {
        "transfer_id": TRANSFER_ID,
        "kind": "encrypt",
        "source": "s3://site/model",
        "sender": "alice",
        "recipients": ("bob",),
        "correlation_id": "c",
    }
    return TransferRequest(**(fields | changes))


class ScriptedPipeline:
    """Runs the attempts of a script, one a run; remembers what it was told to discard."""

    def __init__(self) -> None:
        self.attempts: list[Attempt | Exception] = []
        self.runs: list[str] = []
        self.discarded: list[str] = []
        self.discard_error: Exception | None = None

    def run(self, request: TransferRequest, context: JobContext) -> TransferResult:
        self.runs.append(request.transfer_id)
        attempt = self.attempts.pop(0) if self.attempts else (lambda _request, _context: RESULT)
        if isinstance(attempt, Exception):
            raise attempt
        return attempt(request, context)

    def discard(self, request: TransferRequest, context: JobContext) -> None:
        self.discarded.append(request.transfer_id)
        if self.discard_error is not None:
            raise self.discard_error
        context.checkpoints.clear(request.transfer_id)


class RecordingProtection:
    """Task protection that notes what it was asked; `broken` makes the agent refuse."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken = False

    def hold(self) -> None:
        self._note("hold")

    def drop(self) -> None:
        self._note("drop")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.broken:
            raise TaskProtectionError("the agent refuses")


@dataclass
class Fleet:
    """What workers share, and the parts of the one under test."""

    clock: FakeClock = field(default_factory=FakeClock)
    ledger: InMemoryLedger = field(default_factory=InMemoryLedger)
    checkpoints: MemoryCheckpointStore = field(default_factory=MemoryCheckpointStore)
    pipeline: ScriptedPipeline = field(default_factory=ScriptedPipeline)
    protection: RecordingProtection = field(default_factory=RecordingProtection)
    sealer: DataKeySealer = field(default_factory=MemorySealer)
    trail: InMemoryAuditTrail = field(default_factory=InMemoryAuditTrail)
    use: ResourceUse = IDLE

    def __post_init__(self) -> None:
        self.queue = InMemoryQueue(self.clock.monotonic)
        self.restart()
        self.read_request: Callable[[str], TransferRequest] = TransferRequest.from_json
        self.health = Health(worker_name="worker-1", monotonic=self.clock.monotonic)
        self.measuring = Measuring(monotonic=self.clock.monotonic)
        self.metrics = EmbeddedLines()
        self.sampler = Sampler(
            self.measuring,
            publish=EmbeddedMetrics(environment="local", service=WORKER_SERVICE, write=self.metrics.write),
            worker_name="worker-1",
            rules=SamplingRules(
                busy_seconds=10, idle_seconds=60, slow_under_bytes_per_second=100e6, slow_after_seconds=10
            ),
            limits=ResourceLimits(memory_bytes=1000, cpus=2),
            read_use=lambda: self.use,
            monotonic=self.clock.monotonic,
        )

    def restart(self) -> None:
        """Another process, which nobody has asked to stop."""
        self.shutdown = Shutdown(stop_timeout_seconds=STOP_TIMEOUT_SECONDS, monotonic=self.clock.monotonic)

    def worker(self, name: str = "worker-1") -> Worker:
        return Worker(
            name=name,
            settings=WorkerSettings(**SETTINGS),  # type: ignore[arg-type]
            queue=self.queue,  # type: ignore[arg-type]
            read_request=self.read_request,
            ledger=self.ledger,
            prompt_ledger=self.ledger,
            checkpoints=self.checkpoints,
            sealer=self.sealer,
            pipeline=self.pipeline,
            trail=self.trail,
            protection=self.protection,  # type: ignore[arg-type]
            shutdown=self.shutdown,
            health=self.health,
            measuring=self.measuring,
            sampler=self.sampler,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
        )

    def receive(self) -> QueueMessage:
        """The next visible message."""
        (message,) = self.queue.receive(visibility_seconds=LEASE_SECONDS, wait_seconds=0)
        return message

    def handle_next(self, name: str = "worker-1") -> None:
        """A worker receives the next visible message and settles it."""
        self.worker(name).handle(self.receive())

    def save_checkpoint(self) -> None:
        """As a job that has done one part."""
        self.checkpoints.create(Checkpoint(TRANSFER_ID, "upload-1", "etag", None, 5, 1 << 20, b"header"))
        self.checkpoints.record_part(TRANSFER_ID, "upload-1", StoredPart(0, "etag", 5, None))

    @property
    def record(self) -> TransferRecord:
        return self.ledger.records[TRANSFER_ID]


SETTINGS: dict[str, Any] = {
    "environment": "local",
    "queue_url": "queue",
    "dead_letter_queue_url": "dead",
    "transfers_table": "transfers",
    "checkpoints_table": "checkpoints",
    "participants_table": "participants",
    "envelopes_table": "envelopes",
    "data_bucket": "models",
    "audit_queue_url": "audit",
    "checkpoint_key_arn": "key",
    "participant_role_prefix": "arn:aws:iam::123456789012:role/p-",
    "lease_seconds": LEASE_SECONDS,
    "max_receives": MAX_RECEIVES,
    "stop_timeout_seconds": STOP_TIMEOUT_SECONDS,
}


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A fleet with one request on the queue; hearts beat every 5 ms."""
    monkeypatch.setattr("pqtransfer.transfers.heartbeat.BEAT_SECONDS", 0.005)
    fleet = Fleet()
    fleet.queue.send(make_request().to_json())
    return fleet
