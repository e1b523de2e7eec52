"""How many events a second the deployed log takes: producers, SQS, the sequencer's function, S3 and DynamoDB.

On the embedded cloud, which answers from one process: the figure is a floor for the code, and none for AWS.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pqtransfer.audit.events import AuditFacts, EventKind, Target
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.audit_state import DynamoStateStore
from pqtransfer.errors import UnavailableError
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.sessions import CloudSession

EVENTS = 2_000
PATIENCE_SECONDS = 600.0
POLL_SECONDS = 0.05
CALLS_AT_ONCE = (1, 16, 48)
"""Threads of one producer: with one of them every event is a message of its own."""


class EventsMissingError(UnavailableError):
    """The log did not come to all events."""

    def __init__(self, size: int, expected: int) -> None:
        super().__init__(f"the audit log has {size} of {expected} entries; see the cloud's log, then run it again")


@dataclass(frozen=True)
class DeployedRate:
    """Events of one producer through the whole way."""

    way: str
    threads: int
    events: int
    recorded_seconds: float
    appended_seconds: float

    @property
    def recorded_per_second(self) -> float:
        return self.events / self.recorded_seconds

    @property
    def appended_per_second(self) -> float:
        return self.events / self.appended_seconds


def measure_deployed_audit(folder: Path, *, events: int = EVENTS) -> list[DeployedRate]:
    """Deploy to an embedded cloud, and let one producer record, without and with a spool.

    Raises:
        EventsMissingError: they did not come into the log.
    """
    with EmbeddedCloud(folder / "cloud") as cloud:
        deployment = cloud.deploy()
        worker, owner = cloud.session("worker"), cloud.session()
        states = DynamoStateStore(owner.client("dynamodb"), table=deployment.audit_state_table)

        def read_size() -> int:
            state = states.find_state()
            return 0 if state is None else state.size

        _record(worker, deployment.audit_queue_url, events=1, threads=1, spool=None)  # the function has started
        _wait(read_size, 1)
        rates = list[DeployedRate]()
        for threads, spool in (*((each, None) for each in CALLS_AT_ONCE), (1, folder / "spool")):
            before = read_size()
            count = events // 10 if threads == 1 and spool is None else events
            started = time.monotonic()
            _record(worker, deployment.audit_queue_url, events=count, threads=threads, spool=spool)
            recorded = time.monotonic() - started
            _wait(read_size, before + count)
            way = "straight to the queue" if spool is None else "through a spool"
            rates.append(DeployedRate(way, threads, count, recorded, time.monotonic() - started))
    return rates


def _record(session: CloudSession, queue_url: str, *, events: int, threads: int, spool: Path | None) -> None:
    trail = connect_audit_trail(session, queue_url=queue_url, service="bench", spool_directory=spool)
    facts = AuditFacts(
        kind=EventKind.CRYPTOGRAPHY,
        action="envelope.wrap",
        actor="bench",
        target=Target(type="transfer", id="bench"),
        succeeded=True,
        correlation_id="bench",
        suite="PQT-1",
    )
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _number: trail.record(facts), range(events)))


def _wait(read_size: Callable[[], int], expected: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (size := read_size()) < expected:
        if time.monotonic() > deadline:
            raise EventsMissingError(size, expected)
        time.sleep(POLL_SECONDS)
