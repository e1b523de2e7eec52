"""Logs in directories, as `pqtransfer audit fetch` leaves them: signed, witnessed, the published keys beside them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pqtransfer.audit.checkpoints import Checkpoint, cosign, sign_checkpoint
from pqtransfer.audit.events import AuditEvent, Severity
from pqtransfer.audit.published_keys import PublishedKeys
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS
from tests.unit.audit.samples import SAMPLES, make_event
from tests.unit.audit.trees import hash_tree, make_log

KINDS = list(SAMPLES)


def make_events(count: int) -> list[AuditEvent]:
    """Events of every kind by two producers and three actors, a minute apart, every tenth of them a failure."""
    return [
        make_event(
            KINDS[number % len(KINDS)],
            sequence=number // 2 + 1,
            producer=("worker/a", "worker/b")[number % 2],
            event_id=f"0198c0de-0000-7000-8000-{number:012x}",
            time_ms=TIME_SECONDS * 1000 + number * 60_000,
            actor=("hospital-a", "hospital-b", "hospital-c")[number % 3],
            correlation_id=f"round-{number // 8}",
            succeeded=number % 10 != 9,
            severity=Severity.HIGH if number % 10 == 9 else Severity.INFORMATIONAL,
        )
        for number in range(count)
    ]


@cache
def sign(size: int, root: bytes) -> bytes:
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG_SIGNERS, time_seconds=TIME_SECONDS)
    return cosign(note, WITNESS_SIGNERS, time_seconds=TIME_SECONDS).to_bytes()


def write_log(directory: Path, events: Sequence[AuditEvent]) -> Path:
    """The log of these events in `directory/log`, and the keys in `directory/audit-keys.json`."""
    entries = [event.to_json() for event in events]
    files = make_log(entries) | {"checkpoint": sign(len(entries), hash_tree(entries))}
    for path, data in files.items():
        target = directory / "log" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (directory / "audit-keys.json").write_bytes(PublishedKeys.from_policy(POLICY).to_json())
    return directory / "log"
