"""One look of the witness at the log: cosign what continues the last checkpoint that it has seen, and show that."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy, open_checkpoint
from pqtransfer.audit.note_keys import NoteSigner
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.witnessing import witness_checkpoint
from pqtransfer.errors import IntegrityError
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity

MEMORY_PATH = "witness/last"


class WitnessedLog(Protocol):
    """The log: what it has signed last, its tiles, and the place of the cosigned checkpoint."""

    def read_tile(self, path: str) -> bytes: ...

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        """What the log has signed last."""

    def find_witnessed(self) -> PublishedCheckpoint | None:
        """What was cosigned last."""

    def publish_witnessed(self, data: bytes, *, etag: str | None) -> None:
        """
        Raises:
            LogMovedError: another one is there.
        """


class Memory(Protocol):
    """What only the witness can write."""

    def load(self) -> PublishedCheckpoint | None: ...

    def save(self, data: bytes, *, etag: str | None) -> None:
        """
        Raises:
            LogMovedError: another one is there.
        """


@dataclass(frozen=True)
class Witness:
    """Looks at the log by its ports. `now` is the time that it signs."""

    log: WitnessedLog
    memory: Memory
    policy: TrustPolicy
    signers: Sequence[NoteSigner]
    alerts: Alerts
    now: datetime

    def look(self) -> Checkpoint | None:
        """Cosign what the log shows; the checkpoint that is shown to readers now.

        What was remembered and not shown, because a run died in between or because somebody has replaced what was
        shown, is shown again. A log that does not continue is not signed, and an alert says so.

        Raises:
            LogMovedError: another run of the witness was faster, or the log moved meanwhile; look again.
            IntegrityError: what the log shows must not be signed; the alert was raised.
        """
        remembered = self.memory.load()
        note = remembered.data if remembered else None
        try:
            shown = self.log.find_checkpoint()
            last = open_checkpoint(note, self.policy).checkpoint if note else None
            if shown is not None:
                note = self._cosign(shown.data, last, remembered)
        except IntegrityError as error:
            self._refuse(error, note)
            raise
        if note is None:
            return None
        self._show(note)
        return open_checkpoint(note, self.policy).checkpoint

    def _cosign(self, data: bytes, last: Checkpoint | None, remembered: PublishedCheckpoint | None) -> bytes:
        """The note to show; it is remembered before it is given away."""
        with suppress(IntegrityError):
            if remembered is not None and last == open_checkpoint(data, self.policy).checkpoint:
                return remembered.data
        cosigned = witness_checkpoint(
            data,
            policy=self.policy,
            last=last,
            read_tile=self.log.read_tile,
            signers=self.signers,
            time_seconds=int(self.now.timestamp()),
        )
        note = cosigned.note.to_bytes()
        self.memory.save(note, etag=remembered.etag if remembered else None)
        return note

    def _show(self, note: bytes) -> None:
        witnessed = self.log.find_witnessed()
        if witnessed is None or witnessed.data != note:
            self.log.publish_witnessed(note, etag=witnessed.etag if witnessed else None)

    def _refuse(self, error: IntegrityError, note: bytes | None) -> None:
        """Readers keep seeing what was signed before."""
        self.alerts.raise_alert(make_refusal_alert(error, now=self.now))
        if note is not None:
            self._show(note)


def make_refusal_alert(error: IntegrityError, *, now: datetime) -> Alert:
    """What the administrators are told when nothing can be signed."""
    return Alert(
        code="audit-witness-refused",
        key=f"audit-witness-refused:{error.code}",
        severity=AlertSeverity.CRITICAL,
        summary=f"the witness does not sign what the audit log shows: {error}"[:1024],
        remedy="follow docs/runbooks/audit-witness-refused.md",
        raised_at=now,
        correlation_id=f"audit-witness-{int(now.timestamp() * 1000)}",
        details={"error": error.code},
    )


def make_failure_alert(code: str, reason: str, *, now: datetime) -> Alert:
    """What the administrators are told when the witness could not look at all."""
    return Alert(
        code="audit-check-failed",
        key=f"audit-check-failed:witness:{code}"[:256],
        severity=AlertSeverity.HIGH,
        summary=f"the witness could not look at the audit log: {reason}"[:1024],
        remedy="follow docs/runbooks/audit-check-failed.md",
        raised_at=now,
        correlation_id=f"audit-witness-{int(now.timestamp() * 1000)}",
        details={"error": code},
    )
