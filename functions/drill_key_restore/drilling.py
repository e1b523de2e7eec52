"""Restore keys from their backups into memory, use each once, and tell of those that do not come back.

Nothing that is restored leaves this process: what is kept of a drill are its counts, its events and its alerts.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.backups import BackupSealer, BackupStore, restore_into_memory
from pqtransfer.keys.lifecycle import may_open
from pqtransfer.keys.participant import KeyVersion, RegisteredParticipant
from pqtransfer.keys.registry import KeyRegistry
from pqtransfer.keys.rotation import KeyCatalogue
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity


class DrillUnfinishedError(UnavailableError):
    """A run has not come to the end of a page, so the next one would not either."""

    def __init__(self, participant: str) -> None:
        super().__init__(
            f"the time was up before the keys of {participant} were tried, within one page of keys; something answers "
            "slowly: S3, KMS or the registry"
        )


@dataclass(frozen=True)
class FailedRestore:
    """A key that does not come back from its backup."""

    key: KeyVersion
    error: PqtransferError


@dataclass
class DrillReport:
    """What a drill found. `next_cursor`: from where on another run has to go on; None when all keys were tried."""

    restored: list[KeyVersion] = field(default_factory=list)
    failed: list[FailedRestore] = field(default_factory=list)
    next_cursor: str | None = None


@dataclass(frozen=True)
class RestoreDrill:
    """Drills by its ports. It can open backups, and do nothing else with keys."""

    environment: str
    registry: KeyRegistry
    catalogue: KeyCatalogue
    store: BackupStore
    sealer: BackupSealer
    trail: AuditTrail
    alerts: Alerts
    now: datetime
    correlation_id: str
    asked_by: str

    def drill_participant(self, name: str) -> DrillReport:
        """Try every key of one participant.

        Raises:
            ParticipantUnknownError: no such participant.
            UnavailableError: something does not answer, so that nothing is known.
        """
        report = DrillReport()
        self._drill(self.registry.load(name), report)
        return report

    def drill_all(
        self, *, cursor: str | None, has_time: Callable[[], bool], is_ending: Callable[[], bool] = lambda: False
    ) -> DrillReport:
        """Try every key of the registry from `cursor` on, for as long as there is time; memory: one page of keys.

        Args:
            cursor: where the run before this one has ended.
            has_time: is asked after each page whether another one may be begun.
            is_ending: is asked before each participant whether there is only time left to say that there is none.

        Raises:
            DrillUnfinishedError: a page took longer than a run has. The administrators are told.
            InvalidCursorError: the cursor is none of this registry.
            UnavailableError: something does not answer, so that nothing is known. The administrators are told.
        """
        try:
            return self._drill_all(cursor=cursor, has_time=has_time, is_ending=is_ending)
        except PqtransferError as error:
            self._tell_of_failure(error)
            raise

    def _drill_all(
        self, *, cursor: str | None, has_time: Callable[[], bool], is_ending: Callable[[], bool]
    ) -> DrillReport:
        report = DrillReport(next_cursor=cursor)
        while True:
            page = self.catalogue.list_keys(cursor=report.next_cursor)
            wanted = {key.key_id for key in page.keys if key.secret_id is not None and may_open(key.state)}
            for name in sorted({key.participant for key in page.keys if key.key_id in wanted}):
                if is_ending():
                    raise DrillUnfinishedError(name)
                self._drill(self.registry.load(name), report, only=wanted)
            report.next_cursor = page.next_cursor
            if report.next_cursor is None or not has_time():
                return report

    def _drill(
        self, registered: RegisteredParticipant, report: DrillReport, *, only: Iterable[str] | None = None
    ) -> None:
        facts = []
        for key in registered.keys:
            if key.secret_id is None or not may_open(key.state) or (only is not None and key.key_id not in only):
                continue
            try:
                restore_into_memory(key, environment=self.environment, store=self.store, sealer=self.sealer)
            except UnavailableError:
                raise
            except PqtransferError as error:
                report.failed.append(FailedRestore(key, error))
                facts.append(self._describe(key, error))
                self.alerts.raise_alert(self._alert(key, error))
                continue
            report.restored.append(key)
            facts.append(self._describe(key, None))
        if facts:
            self.trail.record(*facts)

    def _tell_of_failure(self, error: PqtransferError) -> None:
        """A drill of all keys ended early: of those it did not come to, nobody knows whether they can be restored."""
        self.alerts.raise_alert(
            Alert(
                code="key-drill-failed",
                key="key-drill-failed",
                severity=AlertSeverity.HIGH,
                summary=f"the drill of key backups ended before all keys were tried: {error}"[:1024],
                remedy="Mend what it names, and drill again: docs/runbooks/key-drill-failed.md",
                raised_at=self.now,
                correlation_id=self.correlation_id,
                details={"error": error.code},
            )
        )

    def _describe(self, key: KeyVersion, error: PqtransferError | None) -> AuditFacts:
        return AuditFacts(
            kind=EventKind.KEY,
            action="key.drill",
            actor=self.asked_by,
            target=Target(type="key", id=key.key_id),
            succeeded=error is None,
            correlation_id=self.correlation_id,
            severity=Severity.INFORMATIONAL if error is None else Severity.CRITICAL,
            reason=None if error is None else f"{error.code}: {error}"[:1024],
            key_id=key.key_id,
            suite=key.suite_id,
            details={
                "participant": key.participant,
                "purpose": key.purpose.value,
                "version": str(key.version),
                "caller_says": self.asked_by,
            },
        )

    def _alert(self, key: KeyVersion, error: PqtransferError) -> Alert:
        return Alert(
            code="key-restore-failed",
            key=f"key-restore-failed/{key.key_id}",
            severity=AlertSeverity.CRITICAL,
            summary=f"the {key.purpose} key {key.key_id[:16]} of {key.participant} cannot be restored: {error}"[:1024],
            remedy="Back it up again while its secret is there: docs/runbooks/key-restore-failed.md",
            raised_at=self.now,
            correlation_id=self.correlation_id,
            details={"participant": key.participant, "key_id": key.key_id, "error": error.code},
        )
