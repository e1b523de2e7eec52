"""Answer a compromise: revoke first, then everything else, step by step; every step can be repeated.

Revoking needs nothing but the registry, and comes before anything is written down anywhere else: from when it returns,
no reader of the registry is given the keys. A run that dies later is gone on with by the next, from the step on record.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.respond_to_compromise.ports import Surroundings
from functions.respond_to_compromise.tasks import TaskWorker
from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import UnavailableError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.keys.participant import KeyVersion, ParticipantKind, RegisteredParticipant, Revocation
from pqtransfer.operations.alerts import Alert, AlertSeverity
from pqtransfer.protection.incident_report import IncidentReport
from pqtransfer.protection.incidents import (
    STEPS,
    CompromiseReported,
    Incident,
    IncidentNotFoundError,
    IncidentStep,
    ParticipantCredentialsRevoked,
    choose_keys,
)

ACTOR = "incident-response"
RUNBOOK = "docs/runbooks/key-compromised.md"


@dataclass(frozen=True)
class Responder:
    """Answers compromises. `now` is the time, `has_time` tells whether this run may begin something more.

    `removal_wait`: how long a container that was re-encrypted is kept. However short, another run removes it.
    """

    around: Surroundings
    now: Callable[[], datetime]
    has_time: Callable[[], bool]
    removal_wait: timedelta

    def report(self, report: CompromiseReported) -> Incident:
        """Revoke the keys, open the incident, and put both on record.

        The same report again changes nothing: keys that were made since stay in use.

        Raises:
            AuditUnavailableError: the keys are revoked; `work` puts it on record before anything else.
            ParticipantUnknownError, ForeignKeyError: the report names what does not exist.
            IncidentTakenError: the id is of an incident about other keys; nothing was revoked.
            CloudError, RegistryConflictError: it can be tried again.
        """
        registered = self.around.registry.load_to_revoke(report.participant)
        opened = self._find_opened(report.incident_id)
        key_ids = choose_keys(registered, report) if opened is None else list(opened.require_same(report).key_ids)
        self._revoke(registered, key_ids, report)
        incident = self.around.incidents.open(
            Incident(
                report=report,
                key_ids=tuple(key_ids),
                managed=registered.participant.kind is ParticipantKind.MANAGED,
                revoked_at=self.now(),
                step=IncidentStep.REVOKED,
                changed_at=self.now(),
            )
        )
        if incident.step is not IncidentStep.REVOKED:
            return incident
        self._record_opening(incident)
        return self.around.incidents.advance(incident, IncidentStep.RECORDED, at=self.now())

    def work(self, incident_id: str) -> Incident:
        """Go on with an incident until it is closed, there is no time left, or something has to be waited for.

        Raises:
            CloudError, AuditUnavailableError: a step failed; the next run goes on from there.
        """
        incident = self.around.incidents.get(incident_id)
        steps: dict[IncidentStep, Callable[[Incident], bool]] = {
            IncidentStep.RECORDED: self._record_opening,
            IncidentStep.TOLD: self._tell,
            IncidentStep.KEYS_MADE: self._make_keys,
            IncidentStep.LISTED: self._tasks.list_all,
            IncidentStep.RENEWED: self._tasks.renew_all,
            IncidentStep.REENCRYPTED: self._tasks.reencrypt_all,
            IncidentStep.CLOSED: self._close,
        }
        while self.has_time() and not incident.is_closed:
            following = STEPS[STEPS.index(incident.step) + 1]
            if not steps[following](incident):
                break
            incident = self.around.incidents.advance(incident, following, at=self.now())
        return incident

    def retry(self, incident_id: str) -> Incident:
        """Have everything tried again that failed; an incident that is closed is opened again for it.

        Raises:
            IncidentNotFoundError: there is no such incident.
            CloudError, AuditUnavailableError: it can be asked for again.
        """
        incident = self.around.incidents.get(incident_id)
        self.around.trail.record(self._describe("incident.retry", incident))
        if not self._tasks.retry_failed(incident):
            return incident
        return self.around.incidents.reopen(incident, at=self.now())

    def next_due(self, incident: Incident) -> datetime | None:
        """When there is something to be done again, as far as it waits for its tasks alone; None: who knows."""
        return self._tasks.next_due(incident) if incident.step is IncidentStep.RENEWED else None

    @property
    def _tasks(self) -> TaskWorker:
        return TaskWorker(self.around, now=self.now, has_time=self.has_time, removal_wait=self.removal_wait)

    def _find_opened(self, incident_id: str) -> Incident | None:
        """The incident, if it is on record. While nobody can tell, it counts as new: revoking does not wait."""
        try:
            return self.around.incidents.get(incident_id)
        except (IncidentNotFoundError, UnavailableError):
            return None

    def _revoke(self, registered: RegisteredParticipant, key_ids: list[str], report: CompromiseReported) -> None:
        revocation = Revocation(
            reason=report.reason,
            revoked_at=self.now(),
            compromised_at=report.since,
            reported_by=report.reported_by,
        )
        keys = [key for key in registered.keys if key.key_id in key_ids]
        self.around.registry.revoke(keys, revocation)

    def _record_opening(self, incident: Incident) -> bool:
        """What was revoked, as the registry has it, and that the incident is open."""
        report = incident.report
        registered = self.around.registry.load_to_revoke(report.participant)
        keys = [key for key in registered.keys if key.key_id in incident.key_ids]
        self.around.trail.record(
            *(self._describe_revocation(key, report) for key in keys),
            self._describe("incident.open", incident, severity=Severity.CRITICAL, reason=report.reason),
        )
        return True

    def _tell(self, incident: Incident) -> bool:
        report = incident.report
        self.around.announcer.announce_credentials_revoked(
            ParticipantCredentialsRevoked(
                incident_id=incident.incident_id,
                participant=report.participant,
                revoked_at=incident.revoked_at,
                reason=report.reason,
            )
        )
        self.around.trail.record(self._describe("credentials.revoke", incident, severity=Severity.HIGH))
        self.around.alerts.raise_alert(
            Alert(
                code="key-compromised",
                key=incident.incident_id,
                severity=AlertSeverity.CRITICAL,
                summary=f"Keys of {report.participant} are reported lost: {report.reason[:500]}",
                remedy=f"Watch it with: pqtransfer keys incident {incident.incident_id} --watch. See {RUNBOOK}.",
                raised_at=self.now(),
                correlation_id=incident.incident_id,
                details={
                    "participant": report.participant,
                    "keys_revoked": str(len(incident.key_ids)),
                    "reported_by": report.reported_by,
                    "since": "unknown" if report.since is None else report.since.isoformat(),
                },
            )
        )
        return True

    def _make_keys(self, incident: Incident) -> bool:
        """New keys for a managed participant, made by the key service; an external one registers its own."""
        registered = self.around.registry.load(incident.report.participant)
        missing = [purpose for purpose in KeyPurpose if registered.find_active_key(purpose) is None]
        if not missing or not incident.managed:
            return True
        self.around.key_orders.send(
            KeyOrder(
                action=KeyAction.ROTATE,
                participant=registered.name,
                purpose=purpose,
                asked_by=ACTOR,
                correlation_id=incident.incident_id,
            )
            for purpose in missing
        )
        return False

    def _close(self, incident: Incident) -> bool:
        report = IncidentReport(incident=incident, tasks=tuple(self._tasks.all_tasks(incident.incident_id)))
        left, counts = report.left, {name: str(count) for name, count in report.counts.items()}
        if left or not incident.managed:
            self.around.alerts.raise_alert(
                Alert(
                    code="incident-left-over",
                    key=f"{incident.incident_id}/left-over",
                    severity=AlertSeverity.HIGH,
                    summary=f"The answer to the loss of keys of {incident.report.participant} leaves {len(left)} "
                    "containers to people",
                    remedy=f"Read: pqtransfer keys incident {incident.incident_id}. See {RUNBOOK}.",
                    raised_at=self.now(),
                    correlation_id=incident.incident_id,
                    details=counts,
                )
            )
        self.around.trail.record(self._describe("incident.close", incident, details=counts))
        return True

    def _describe(
        self,
        action: str,
        incident: Incident,
        *,
        severity: Severity = Severity.INFORMATIONAL,
        reason: str | None = None,
        details: dict[str, str] | None = None,
    ) -> AuditFacts:
        return AuditFacts(
            kind=EventKind.SECURITY,
            action=action,
            actor=incident.report.reporter if action == "incident.open" else ACTOR,
            target=Target(type="participant", id=incident.report.participant),
            succeeded=True,
            correlation_id=incident.incident_id,
            severity=severity,
            reason=reason,
            details={
                "incident": incident.incident_id,
                "keys": str(len(incident.key_ids)),
                **incident.report.callers,
                **(details or {}),
            },
        )

    def _describe_revocation(self, key: KeyVersion, report: CompromiseReported) -> AuditFacts:
        return AuditFacts(
            kind=EventKind.KEY,
            action="key.revoke",
            actor=report.reporter,
            target=Target(type="key", id=key.key_id),
            succeeded=key.state is KeyState.REVOKED,
            correlation_id=report.incident_id,
            severity=Severity.CRITICAL,
            reason=report.reason,
            key_id=key.key_id,
            suite=key.suite_id,
            details={
                "participant": key.participant,
                "purpose": key.purpose.value,
                "version": str(key.version),
                **report.callers,
            },
        )
