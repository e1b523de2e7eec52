"""What a deployment takes for keys at scale: the search for due keys among 10,000 participants, and containing a loss.

The embedded cloud holds tables and queues; the search is run in this process, by the same code with the same adapters,
so that its own time and memory can be told from those of the cloud. A loss is reported by the command line, as an
operator does it, and whoever tries to open something with the lost key meanwhile says when that was first refused.
"""

import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from functions.rotate_keys.sweeping import KeySweeper
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.key_catalogue import DynamoKeyCatalogue
from pqtransfer.aws.key_orders import SqsKeyOrders
from pqtransfer.aws.participant_items import write_key, write_participant
from pqtransfer.crypto.identity import PublicIdentity, generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import AccessError, UnavailableError
from pqtransfer.keys.holder import ManagedKeyHolder
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import Participant, ParticipantKind, RegisteredParticipant, make_key_versions
from pqtransfer.keys.registry import find_active_key
from pqtransfer.keys.rotation import RotationPolicy
from pqtransfer.operations.alerts import Alert
from pqtransfer.sdk.connections import Connections
from scripts.benchmarks.worker import use_profiles
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn

SWEPT_PARTICIPANTS = 10_000
CONTAINED_LOSSES = 5
ITEMS_AT_ONCE = 25
WRITERS = 4
PATIENCE_SECONDS = 60.0
TABLE, QUEUE = "bench-participants", "bench-key-orders.fifo"

T = TypeVar("T")


@dataclass(frozen=True)
class SweepFigures:
    """One search for due keys, every participant with one. `own_seconds`: without the calls to table and queue."""

    participants: int
    keys: int
    orders: int
    wall_seconds: float
    own_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class ContainmentTimes:
    """Seconds from when the command was started until the lost key was first refused, and until the command ended."""

    refused_seconds: tuple[float, ...]
    reported_seconds: tuple[float, ...]

    @property
    def median_refused_seconds(self) -> float:
        return statistics.median(self.refused_seconds)


class NotContainedError(UnavailableError):
    """A lost key was still used a minute after the report."""


class _NoAlerts:
    def raise_alert(self, alert: Alert) -> None:
        raise AssertionError(alert)


class _Clocked:
    """A port, and the seconds that were spent in its calls."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        @wraps(method)
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - began

        return timed


def measure_sweep(folder: Path, *, participants: int = SWEPT_PARTICIPANTS) -> SweepFigures:
    """Search twice among so many participants: once for the time, and once for the memory."""
    with EmbeddedCloud(folder / "sweep") as cloud:
        session, config = cloud.session(), client_config()
        tables, queues = session.client("dynamodb", config=config), session.client("sqs", config=config)
        _fill_registry(tables, participants)
        queue_url = queues.create_queue(QueueName=QUEUE, Attributes={"FifoQueue": "true"})["QueueUrl"]
        catalogue = _Clocked(DynamoKeyCatalogue(tables, table_name=TABLE))
        clocked = _Clocked(queues)
        sweeper = KeySweeper(
            catalogue=catalogue,
            orders=SqsKeyOrders(clocked, queue_url=queue_url),  # type: ignore[arg-type]  # a client behind a clock
            alerts=_NoAlerts(),
            policy=RotationPolicy(),
            patience=timedelta(minutes=1),
            now=datetime.now(UTC),
        )
        began = time.perf_counter()
        found = sweeper.sweep(cursor=None, has_time=lambda: True)
        wall = time.perf_counter() - began
        own = wall - catalogue.seconds - clocked.seconds
        tracemalloc.start()
        sweeper.sweep(cursor=None, has_time=lambda: True)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return SweepFigures(participants, found.keys, found.orders, wall, own, peak_bytes)


def measure_containment(folder: Path, *, losses: int = CONTAINED_LOSSES) -> ContainmentTimes:
    """Report losses one after the other, each of another participant's keys."""
    with EmbeddedCloud(folder / "containment") as cloud:
        deployment = cloud.deploy()
        names = [f"bench-lost-{number}" for number in range(losses)]
        for name in names:
            arguments = ("participants", "add", name, "--managed", "--principal", role_arn("recipient"))
            _run(cloud, arguments).communicate()
        with use_profiles(cloud):
            recipient = make_session(profile="recipient", region=deployment.region)
            connections = Connections(deployment, recipient)
            reader = connections.key_reader()
            holders = [ManagedKeyHolder(name, connections.registry, reader, "bench") for name in names]
            times = [_contain(cloud, holder) for holder in holders]
    refused, reported = zip(*times, strict=True)
    return ContainmentTimes(refused_seconds=refused, reported_seconds=reported)


def describe_sweep(figures: SweepFigures) -> Iterator[str]:
    """The figures as lines of a table."""
    yield f"| keys looked at, orders sent | {figures.keys:,}, {figures.orders:,} |"
    yield f"| wall time, with table and queue | {figures.wall_seconds:.1f} s |"
    yield f"| our own time | {figures.own_seconds:.2f} s |"
    yield f"| peak of our memory | {figures.peak_bytes / (1 << 20):.1f} MiB |"


def describe_containment(times: ContainmentTimes) -> Iterator[str]:
    """The figures as lines of a table."""
    for name, seconds in (("first refusal", times.refused_seconds), ("the command ends", times.reported_seconds)):
        yield f"| {name} | {statistics.median(seconds):.2f} s ({min(seconds):.2f}-{max(seconds):.2f}) |"


def _contain(cloud: EmbeddedCloud, holder: ManagedKeyHolder) -> tuple[float, float]:
    key_id = find_active_key(holder.participant, KeyPurpose.KEM, registry=holder.registry).key_id
    holder.opening_keys([key_id])  # the first call of a process loads what boto3 needs
    began = time.perf_counter()
    command = _run(
        cloud, ("keys", "report-compromise", holder.participant, "--key", key_id, "--reason", "a benchmark", "--json")
    )
    refused = _time_refusal(lambda: holder.opening_keys([key_id]), began)
    command.communicate()
    return refused, time.perf_counter() - began


def _time_refusal(use: Callable[[], T], began: float) -> float:
    while True:
        try:
            use()
        except AccessError:
            return time.perf_counter() - began
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise NotContainedError("the lost key was still used a minute after the report")


def _run(cloud: EmbeddedCloud, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "pqtransfer"), *arguments],
        env={**cloud.variables("operator"), "PQTRANSFER_DEPLOYMENT": str(cloud.deployment_file)},
        stdout=subprocess.DEVNULL,
    )


def _fill_registry(tables: Any, participants: int) -> None:
    """So many participants whose KEM keys are due. They share one pair of keys: a search reads no public key."""
    tables.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "participant", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("participant", "item")],
    )
    identity = generate_identity("bench-0", suite_id="PQT-1").to_public()
    requests = [
        {"PutRequest": {"Item": item}} for number in range(participants) for item in _items_of(number, identity)
    ]
    batches = [requests[start : start + ITEMS_AT_ONCE] for start in range(0, len(requests), ITEMS_AT_ONCE)]
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(lambda batch: tables.batch_write_item(RequestItems={TABLE: batch}), batches):
            pass


def _items_of(number: int, identity: PublicIdentity) -> Iterator[Any]:
    now, name = datetime.now(UTC), f"bench-{number}"
    secrets = (f"bench/{name}/kem", f"bench/{name}/signing")
    versions = make_key_versions(identity, version=1, state=KeyState.ACTIVE, created_at=now, secret_ids=secrets)
    kem, signing = (key.model_copy(update={"participant": name}) for key in versions)
    due = kem.model_copy(update={"activated_at": now - timedelta(days=100)})
    arn = f"arn:aws:iam::000000000000:role/{name}"
    participant = Participant(name=name, kind=ParticipantKind.MANAGED, created_at=now, role_arn=arn)
    yield write_participant(RegisteredParticipant.model_construct(participant=participant, keys=(due, signing)))
    yield write_key(due)
    yield write_key(signing)
