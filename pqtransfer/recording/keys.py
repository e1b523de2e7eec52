"""The facts of keys: one comes to be, is put to use, is given up; a private half is read, and through which role."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.custody import PrivateKeyReader
from pqtransfer.keys.participant import KeyVersion
from pqtransfer.recording.wording import explain, name_suite, weigh


@dataclass(frozen=True)
class KeyFacts:
    """Facts of keys by `actor`, in the course of what has this correlation id. `through` is said in every event."""

    actor: str
    correlation_id: str
    through: Mapping[str, str] = field(default_factory=dict)

    def created(self, key: KeyVersion) -> AuditFacts:
        """A key was made by the system, or registered by a participant that keeps its private half."""
        kept_by = "participant" if key.secret_id is None else "system"
        return self.make("key.create", key, details={"version": str(key.version), "kept_by": kept_by})

    def backed_up(self, key: KeyVersion) -> AuditFacts:
        """Its private half was sealed into a backup."""
        return self.make("key.backup", key, details={"version": str(key.version)})

    def activated(self, key: KeyVersion) -> AuditFacts:
        """It may protect and sign from now on."""
        return self.make("key.activate", key, details={"version": str(key.version)})

    def retired(self, key: KeyVersion, *, replaced_by: str) -> AuditFacts:
        """It protects nothing new any more: another one has its place."""
        return self.make("key.retire", key, details={"version": str(key.version), "replaced_by": replaced_by})

    def discarded(self, key: KeyVersion) -> AuditFacts:
        """It was given up before it was ever in use, and its private half is deleted."""
        return self.make("key.revoke", key, details={"version": str(key.version), "because": "never in use"})

    def used(self, key: KeyVersion, *, role_arn: str, session_name: str) -> AuditFacts:
        """Its private half was read, through this role, by this session."""
        return self.make("key.use", key, details={"role": role_arn, "session": session_name})

    def use_refused(
        self, key: KeyVersion, error: PqtransferError, *, role_arn: str, session_name: str
    ) -> tuple[AuditFacts, ...]:
        """Its private half could not be had; a finding beside it when what is stored is another key."""
        details = {"role": role_arn, "session": session_name}
        severity = weigh(error)
        refusal = self.make("key.use", key, details=details, error=error)
        if severity is None:
            return (refusal,)
        finding = self.make(
            "violation.detect",
            key,
            kind=EventKind.SECURITY,
            severity=severity,
            details={"code": error.code, **details},
            error=error,
        )
        return (refusal, finding)

    def make(
        self,
        action: str,
        key: KeyVersion,
        *,
        kind: EventKind = EventKind.KEY,
        severity: Severity = Severity.INFORMATIONAL,
        details: Mapping[str, str] | None = None,
        error: PqtransferError | None = None,
    ) -> AuditFacts:
        """A fact about a key. Of the key, only public things are said."""
        return AuditFacts(
            kind=kind,
            action=action,
            actor=self.actor,
            target=Target(type="key", id=key.key_id),
            succeeded=error is None,
            correlation_id=self.correlation_id,
            severity=severity,
            reason=None if error is None else explain(error),
            key_id=key.key_id,
            suite=name_suite(key.suite_id),
            details={
                "participant": key.participant,
                "purpose": str(key.purpose),
                **self.through,
                **(details or {}),
            },
        )


@dataclass(frozen=True)
class RecordingKeyReader:
    """A `PrivateKeyReader` that hands no private key out before its use is on record."""

    reader: PrivateKeyReader
    trail: AuditTrail
    facts: KeyFacts

    def read(self, key: KeyVersion, *, role_arn: str, session_name: str) -> PrivateKey:
        try:
            private_key = self.reader.read(key, role_arn=role_arn, session_name=session_name)
        except UnavailableError:
            raise
        except PqtransferError as error:
            self.trail.record(*self.facts.use_refused(key, error, role_arn=role_arn, session_name=session_name))
            raise
        self.trail.record(self.facts.used(key, role_arn=role_arn, session_name=session_name))
        return private_key
