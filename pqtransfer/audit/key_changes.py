"""The keys of a log or of its witness are replaced by new ones, and both sign for a while.

Whoever holds both secrets publishes the new keys, keeps the former ones on record, and signs with all of them: readers
that know the former keys go on, and so do those that know the new ones. When the former keys are revoked, the new ones
sign alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.audit.note_keys import NoteSigner

REPLACE_ACTION = "audit.keys.replace"


@dataclass(frozen=True)
class SigningKeys:
    """The keys that sign now, and those that signed before and sign along; none of them is revoked."""

    current: tuple[NoteSigner, ...]
    former: tuple[NoteSigner, ...] = ()

    @property
    def signers(self) -> tuple[NoteSigner, ...]:
        """All that sign."""
        return (*self.current, *self.former)

    def without_revoked(self, revoked: Sequence[str]) -> "SigningKeys":
        """The former keys sign no more when one of them was revoked."""
        is_revoked = any(str(signer.key) in revoked for signer in self.former)
        return SigningKeys(self.current) if is_revoked else self

    def list_policies(self, origin: str) -> list[TrustPolicy]:
        """Under which the log's own last checkpoint may be signed: by the new keys alone, or by the former alone."""
        times = (self.current, self.former)
        return [TrustPolicy(origin, log_keys=tuple(each.key for each in signers)) for signers in times if signers]


def describe_replacement(keys: SigningKeys, *, of: str, actor: str, at: datetime) -> AuditFacts:
    """The event that says that keys were replaced: by which, and which. It stands in the log under both."""
    return AuditFacts(
        kind=EventKind.KEY,
        action=REPLACE_ACTION,
        actor=actor,
        target=Target(type="audit-keys", id=of),
        succeeded=True,
        severity=Severity.HIGH,
        correlation_id=f"audit-keys-{int(at.timestamp())}",
        details={
            **{f"new_key_{number}": str(each.key) for number, each in enumerate(keys.current, 1)},
            **{f"former_key_{number}": str(each.key) for number, each in enumerate(keys.former, 1)},
        },
    )
