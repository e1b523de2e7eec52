"""What this function says in the audit log: who was registered, by whom, and which keys came to be.

`requested_by` is the word of the caller: an event names it as such. Beside it stands who AWS says called, where that
was proven.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.recording.keys import KeyFacts
from pqtransfer.recording.wording import explain, fit_text, list_names, weigh

UNKNOWN_CALLER = "unknown"


@dataclass(frozen=True)
class RegistrationFacts:
    """The facts of one call. `name` is what the caller wants to have registered."""

    name: str
    requested_by: str | None
    correlation_id: str
    proven_caller: str | None = None

    @property
    def keys(self) -> KeyFacts:
        """The facts of the keys in it."""
        return KeyFacts(self._actor, self.correlation_id, self._through)

    def registered(self, participant: RegisteredParticipant) -> AuditFacts:
        """It is registered, with these keys, and with what others may do in its name."""
        who = participant.participant
        details = {
            "participant_kind": str(who.kind),
            **({"role": who.role_arn} if who.role_arn else {}),
            **list_names("principals", who.principals),
            **list_names("buckets", who.buckets),
            **list_names("keys", (key.key_id for key in participant.keys)),
        }
        return self._make(EventKind.CONFIGURATION, "participant.register", details=details)

    def refused(self, error: PqtransferError) -> tuple[AuditFacts, ...]:
        """It is not; a finding beside it when a key or its proof is not what it pretends to be."""
        refusal = self._make(EventKind.CONFIGURATION, "participant.register", error=error)
        severity = weigh(error)
        if severity is None:
            return (refusal,)
        return refusal, self._make(EventKind.SECURITY, "violation.detect", error=error, severity=severity)

    @property
    def _actor(self) -> str:
        return fit_text(self.proven_caller or self.requested_by or UNKNOWN_CALLER)

    @property
    def _through(self) -> dict[str, str]:
        proven = {} if self.proven_caller is None else {"caller_proven": fit_text(self.proven_caller)}
        return {"caller_says": fit_text(self.requested_by or UNKNOWN_CALLER), **proven}

    def _make(
        self,
        kind: EventKind,
        action: str,
        *,
        error: PqtransferError | None = None,
        severity: Severity = Severity.INFORMATIONAL,
        details: Mapping[str, str] | None = None,
    ) -> AuditFacts:
        code = {} if error is None else {"code": error.code}
        return AuditFacts(
            kind=kind,
            action=action,
            actor=self._actor,
            target=Target(type="participant", id=fit_text(self.name)),
            succeeded=error is None,
            correlation_id=self.correlation_id,
            severity=severity,
            reason=None if error is None else explain(error),
            details={**self._through, **code, **(details or {})},
        )
