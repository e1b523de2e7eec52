"""What the audit log costs: appending, checking, proving, and what recording adds to a request.

The core runs in one process on a log in a directory; seconds are CPU of the process, but those of a request are the
clock's, with the spool on the disk and its thread at work.
"""

import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from pqtransfer.audit.checkpoints import TrustPolicy, cosign, open_checkpoint, sign_checkpoint
from pqtransfer.audit.derived_keys import LOG_KINDS, WITNESS_KINDS, derive_signers
from pqtransfer.audit.errors import TileMissingError
from pqtransfer.audit.events import AuditEvent, AuditFacts, EventKind, Target, read_event_header
from pqtransfer.audit.note_keys import LocalNoteSigner, SignatureKind
from pqtransfer.audit.positions import ProducerPosition
from pqtransfer.audit.producing import ProducerTrail
from pqtransfer.audit.sequencing import IncomingBatch, LogState, read_batch, read_edge, sequence_batch
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import ReadTile
from pqtransfer.audit.tree import hash_leaf, verify_inclusion
from pqtransfer.audit.verifier import verify_log
from pqtransfer.aws.audit_forwarding import SpoolForwarder
from pqtransfer.crypto.secret import SecretBytes

T = TypeVar("T")

ORIGIN, WITNESS = "bench.pqtransfer.example/audit", "bench.pqtransfer.example/witness"
TIME_SECONDS = 1_780_000_000
LOG_ENTRIES = 1_000_000
SMOKE_ENTRIES = 20_000
APPENDED = 10_000
BATCH = 500
MADE_AT_ONCE = 25_600
HOUR_ENTRIES = 20_000
PRODUCERS = 20
PROOFS = 100
REQUESTS = 3_000
REQUEST_PAUSE_SECONDS = 0.002
SEND_SECONDS = 0.005

FACTS = AuditFacts(
    kind=EventKind.CRYPTOGRAPHY,
    action="envelope.wrap",
    actor="hospital-a",
    target=Target(type="transfer", id="0198c0de-0000-7000-8000-000000000001"),
    succeeded=True,
    correlation_id="round-7",
    key_id="ab" * 32,
    suite="PQT-1",
    source_address="192.0.2.7",
    details={"recipients": "hospital-b hospital-c"},
)


@dataclass(frozen=True)
class AuditFigures:
    """What was found. Rates are entries or events in a CPU second; `added` what `record` takes of a request."""

    entries: int
    appended_per_second: float
    verified_per_second: float
    peak_rss_bytes: int
    hour_entries: int
    hour_seconds: float
    proof_seconds: float
    added_seconds: Sequence[float]
    fsync_seconds: Sequence[float]

    def percentile(self, share: float) -> float:
        """What `share` of the requests stay under, in seconds."""
        return _percentile(self.added_seconds, share)

    def fsync_percentile(self, share: float) -> float:
        """The same for a bare write and fdatasync on this disk."""
        return _percentile(self.fsync_seconds, share)


def measure_audit_log(folder: Path, *, entries: int = LOG_ENTRIES) -> AuditFigures:
    """Measure everything; the log is made below `folder`, 1 GiB for a million entries, and removed."""
    added, fsync = measure_requests(folder)
    appended = measure_appending()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        directory = Path(name)
        note = _sign(make_log(entries, directory))
        policy = _make_policy()
        report, verify_seconds = _time(lambda: verify_log(note, policy, _read_from(directory)))
        if report.findings or report.entries_checked != entries:
            raise AssertionError(report.findings[:3])
        first = max(entries - HOUR_ENTRIES, 0)
        trusted = report.checkpoint
        _, hour_seconds = _time(
            lambda: verify_log(note, policy, _read_from(directory), trusted=trusted, first_index=first)
        )
        proof_seconds = max(
            _time(partial(_prove, note, policy, directory, at * entries // PROOFS))[1] for at in range(PROOFS)
        )
    return AuditFigures(
        entries=entries,
        appended_per_second=appended,
        verified_per_second=entries / verify_seconds,
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        hour_entries=min(entries, HOUR_ENTRIES),
        hour_seconds=hour_seconds,
        proof_seconds=proof_seconds,
        added_seconds=added,
        fsync_seconds=fsync,
    )


def measure_requests(folder: Path) -> tuple[list[float], list[float]]:
    """What `record` takes with a spool, request after request, while a queue of 5 ms takes the events; and the disk."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        spool = SpoolForwarder(Path(name), sink=_SlowQueue(), limit_bytes=64 << 20)
        spool.start()
        trail = ProducerTrail("bench/1", sink=_SlowQueue(), spool=spool, now_ms=lambda: time.time_ns() // 1_000_000)
        added = [_time_request(lambda: trail.record(FACTS)) for _ in range(REQUESTS)]
        spool.close()
        with (Path(name) / "bare").open("w+b", buffering=0) as file:
            file.write(bytes(4 << 20))
            os.fsync(file.fileno())
            file.seek(0)

            def write() -> None:
                file.write(bytes(1024))
                os.fdatasync(file.fileno())

            bare = [_time_request(write) for _ in range(REQUESTS)]
    return added, bare


def measure_appending() -> float:
    """Events in a CPU second through the sequencer's core: read and checked, tiles made, checkpoint signed."""
    entries = [make_entry(index) for index in range(APPENDED)]

    def read_tile(path: str) -> bytes:
        return files[path]

    signers, files = _make_signers(), dict[str, bytes]()
    state, positions = LogState(origin=ORIGIN), dict[str, ProducerPosition]()
    started = time.process_time()
    for first in range(0, APPENDED, BATCH):
        edge = read_edge(state, read_tile)
        batch = sequence_batch(state, edge, read_batch(entries[first : first + BATCH]), positions=positions)
        files.update(batch.files)
        state, positions = batch.state, {**positions, **batch.positions}
        sign_checkpoint(state.checkpoint, signers, time_seconds=TIME_SECONDS)
    return APPENDED / (time.process_time() - started)


def make_entry(index: int) -> bytes:
    """An event of one of the producers, by substitution: making a million by the model takes minutes."""
    sequence, producer = index // PRODUCERS + 1, index % PRODUCERS
    digest = hashlib.sha256(index.to_bytes(8, "big")).hexdigest()
    event_id = f"{digest[:8]}-{digest[8:12]}-7{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    return (
        _TEMPLATE.replace(b'"sequence":9999999', b'"sequence":%d' % sequence)
        .replace(b"worker/zz", b"worker/%02d" % producer)
        .replace(b"0198c0de-0000-7000-8000-00000098967f", event_id.encode())
    )


def make_log(size: int, directory: Path) -> LogState:
    """A log in a directory, in large steps; headers are read, events are not."""
    state, positions = LogState(origin=ORIGIN), dict[str, ProducerPosition]()
    for first in range(0, size, MADE_AT_ONCE):
        entries = [make_entry(index) for index in range(first, min(first + MADE_AT_ONCE, size))]
        headers = [(place, read_event_header(entry)) for place, entry in enumerate(entries)]
        incoming = IncomingBatch(entries, headers, ())
        batch = sequence_batch(state, read_edge(state, _read_from(directory)), incoming, positions=positions)
        for path, data in batch.files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(data)
        state, positions = batch.state, {**positions, **batch.positions}
    return state


class _SlowQueue:
    def send(self, entries: Sequence[bytes]) -> None:  # noqa: ARG002 - where they go is not measured
        time.sleep(SEND_SECONDS)


_TEMPLATE = AuditEvent(
    **dict(FACTS),
    producer="worker/zz",
    sequence=9_999_999,
    event_id="0198c0de-0000-7000-8000-00000098967f",
    time_ms=TIME_SECONDS * 1000,
).to_json()


def _make_signers(name: str = ORIGIN, kinds: Sequence[SignatureKind] = LOG_KINDS) -> list[LocalNoteSigner]:
    return derive_signers(name, kinds, SecretBytes(b"bench" * 16))


def _sign(state: LogState) -> bytes:
    note = sign_checkpoint(state.checkpoint, _make_signers(), time_seconds=TIME_SECONDS)
    return cosign(note, _make_signers(WITNESS, WITNESS_KINDS), time_seconds=TIME_SECONDS).to_bytes()


def _make_policy() -> TrustPolicy:
    return TrustPolicy(
        ORIGIN,
        log_keys=tuple(signer.key for signer in _make_signers()),
        witness_keys=tuple(signer.key for signer in _make_signers(WITNESS, WITNESS_KINDS)),
        witnesses_required=1,
    )


def _prove(note: bytes, policy: TrustPolicy, directory: Path, index: int) -> None:
    tree = TiledTree(open_checkpoint(note, policy).checkpoint, _read_from(directory))
    size, root = tree.checkpoint.size, tree.checkpoint.root
    verify_inclusion(hash_leaf(make_entry(index)), index=index, size=size, path=tree.prove_inclusion(index), root=root)


def _read_from(directory: Path) -> ReadTile:
    def read(path: str) -> bytes:
        try:
            return (directory / path).read_bytes()
        except FileNotFoundError:
            raise TileMissingError(path) from None

    return read


def _time(action: Callable[[], T]) -> tuple[T, float]:
    started = time.process_time()
    return action(), time.process_time() - started


def _time_request(action: Callable[[], object]) -> float:
    time.sleep(REQUEST_PAUSE_SECONDS)
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
