"""What a run of the benchmark found, and which of its targets were reached."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.benchmarks.alert_delivery import AlertTimes
from scripts.benchmarks.audit_deployed import DeployedRate
from scripts.benchmarks.audit_log import AuditFigures
from scripts.benchmarks.crypto_core import CoreRate
from scripts.benchmarks.key_operations import ContainmentTimes, SweepFigures
from scripts.benchmarks.key_rotation import RotationTime
from scripts.benchmarks.measuring import Measured
from scripts.benchmarks.renewals import RenewalFigures
from scripts.benchmarks.scaling import DecisionTimes
from scripts.benchmarks.worker import ResumedRun, WorkerRun

OURS = "pqtransfer_sdk"
PLAIN = "boto3_plain"
FLOOR = "socket_reads"
ROTATION_SECONDS = 0.2
CONTAINMENT_SECONDS = 5.0
DECISION_SECONDS = 0.01
ALERT_SECONDS = 5.0
RSS_LIMIT_BYTES = 512 << 20
RECEIVE_FACTOR = 2.0
CORE_SHARE = 0.75
SCALING = 1.6


@dataclass(frozen=True)
class Target:
    """One of the numbers to reach."""

    name: str
    found: str
    is_reached: bool


@dataclass(frozen=True)
class Results:
    """Everything that was measured; what was left out is empty."""

    machine: dict[str, str]
    cores: int
    command: str
    date: str
    runs: int
    size_bytes: int
    worker_size_bytes: int
    resume_size_bytes: int
    took_seconds: float = 0.0
    tables: dict[str, list[Measured]] = field(default_factory=dict)
    core: list[CoreRate] = field(default_factory=list)
    audit: AuditFigures | None = None
    audit_deployed: list[DeployedRate] = field(default_factory=list)
    rotations: list[RotationTime] = field(default_factory=list)
    sweep: SweepFigures | None = None
    containment: ContainmentTimes | None = None
    renewals: RenewalFigures | None = None
    decisions: DecisionTimes | None = None
    alerts: AlertTimes | None = None
    worker: WorkerRun | None = None
    resumed: ResumedRun | None = None

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)

    def bound_receive_seconds(self) -> float | None:
        """The shortest a receive can take where client and store share the cores: all that must be done, over them.

        That is what bare sockets and the store take, one pass of SHA-256 and one of AES-GCM. None when one of these
        was not measured.
        """
        floor = next((found for found in self.tables.get("receive", []) if found.contender == FLOOR), None)
        if floor is None or not self.core:
            return None
        single = {rate.operation: rate.bytes_per_cpu_second for rate in self.core if rate.threads == 1}
        crypto_seconds = sum(self.size_bytes / single[name] for name in ("SHA-256", "AESGCM.encrypt_into"))
        return (floor.cpu_seconds + floor.store_cpu_seconds + crypto_seconds) / self.cores

    def check_targets(self) -> Iterator[Target]:
        """The targets of what was measured."""
        if "send" in self.tables:
            ours, plain = _find(self.tables["send"], OURS), _find(self.tables["send"], PLAIN)
            yield _at_least("send: speed of boto3's plain upload", plain.wall_seconds / ours.wall_seconds, 1.0)
            yield _at_most("send: CPU of boto3's plain upload", ours.cpu_seconds / plain.cpu_seconds, 1.0)
        if "receive" in self.tables:
            ours, plain = _find(self.tables["receive"], OURS), _find(self.tables["receive"], PLAIN)
            speed = plain.wall_seconds / ours.wall_seconds
            yield _at_least("receive: speed of boto3's plain download", speed, RECEIVE_FACTOR)
        if self.core:
            rates = {(rate.operation, rate.threads): rate.bytes_per_second for rate in self.core}
            threads = max(count for _, count in rates)
            single = {rate.operation: rate.bytes_per_cpu_second for rate in self.core if rate.threads == 1}
            share = single["encrypt a part, without its SHA-256"] / single["AESGCM.encrypt_into"]
            yield _at_least("crypto core: share of raw AES-GCM, one core", share, CORE_SHARE)
            if threads > 1:
                speed = rates["encrypt a part", threads] / rates["encrypt a part", 1]
                yield _at_least(f"crypto core: speed of {threads} cores beside one", speed, SCALING * threads / 2)
        if self.audit is not None:
            yield from _check_audit(self.audit)
        if self.rotations:
            slowest = max(each.median_seconds for each in self.rotations)
            yield Target(
                "keys: rotation of one key under 200 ms", f"{1000 * slowest:.1f} ms", slowest < ROTATION_SECONDS
            )
        if self.containment is not None:
            refused = self.containment.median_refused_seconds
            yield Target(
                "keys: a lost key is refused within 5 s of the report",
                f"{refused:.2f} s",
                refused < CONTAINMENT_SECONDS,
            )
        if self.renewals is not None:
            touched = self.renewals.payload_requests + self.renewals.payload_bytes
            yield Target("renewed envelopes: no request for a payload, and no byte", f"{touched}", touched == 0)
        if self.decisions is not None:
            p99 = self.decisions.p99_seconds
            yield Target("scaling: p99 of a decision under 10 ms", f"{1000 * p99:.2f} ms", p99 < DECISION_SECONDS)
        if self.alerts is not None:
            median = self.alerts.median_seconds
            yield Target("alerts: from cause to webhook under 5 s", f"{median:.2f} s", median < ALERT_SECONDS)
        if self.worker is not None:
            found = f"{self.worker.peak_rss_bytes / (1 << 20):.0f} MiB"
            yield Target("worker: peak RSS under 512 MiB", found, self.worker.peak_rss_bytes < RSS_LIMIT_BYTES)
        if self.resumed is not None:
            again, allowed = self.resumed.parts_sent_again, self.resumed.parts_in_flight
            yield Target(f"resume: at most {allowed} parts sent again", str(again), again <= allowed)


def _check_audit(audit: AuditFigures) -> Iterator[Target]:
    appended, verified = audit.appended_per_second, audit.verified_per_second
    yield Target("audit log: append 5,000 events/s", f"{appended:,.0f}", appended >= 5_000)
    yield Target("audit log: verify 200,000 entries/s", f"{verified:,.0f}", verified >= 200_000)
    rss = audit.peak_rss_bytes
    yield Target("audit log: verification in under 512 MiB", f"{rss / (1 << 20):.0f} MiB", rss < RSS_LIMIT_BYTES)
    yield Target("audit log: one hour's entries under 1 s", f"{audit.hour_seconds:.2f} s", audit.hour_seconds < 1)
    proof_ms, added_ms = 1000 * audit.proof_seconds, 1000 * audit.percentile(0.99)
    yield Target("audit log: proof of any entry under 50 ms", f"{proof_ms:.1f} ms", proof_ms < 50)
    yield Target("audit log: adds under 1 ms p99 to a request", f"{added_ms:.2f} ms", added_ms < 1)


def _find(table: list[Measured], contender: str) -> Measured:
    return next(measured for measured in table if measured.contender == contender)


def _at_least(name: str, found: float, wanted: float) -> Target:
    return Target(f"{name}, at least {wanted:.2f}", f"{found:.2f}", found >= wanted)


def _at_most(name: str, found: float, wanted: float) -> Target:
    return Target(f"{name}, at most {wanted:.2f}", f"{found:.2f}", found <= wanted)
