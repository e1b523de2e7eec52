"""The key registry as the domain sees it: the port that adapters implement, and the questions asked of it.

Reads are strong: a key that was revoked a moment ago is not handed out.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from pqtransfer.crypto.keypairs import KeyPurpose, PublicKey
from pqtransfer.crypto.suites import require_minimum_suite
from pqtransfer.errors import AccessError, InputError, IntegrityError, PqtransferError, UnavailableError
from pqtransfer.keys.lifecycle import KeyState, may_open, may_verify
from pqtransfer.keys.participant import KeyVersion, PairProof, RegisteredParticipant, Revocation


class ParticipantUnknownError(InputError):
    """No participant has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"participant {name[:60]!r} is not registered; add it with: pqtransfer participants add {name[:60]}"
        )


class ParticipantExistsError(InputError):
    """The name is taken by a participant that differs from the one being added."""

    def __init__(self, name: str, *, difference: str) -> None:
        super().__init__(f"participant {name} is registered already with {difference}; choose another name")


class ParticipantNotReadyError(InputError):
    """The participant's registration was begun and not finished, or its keys are out of use."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"participant {name} has no active keys; if adding it was interrupted, add it again: "
            "pqtransfer participants add ..."
        )


class KeyNotFoundError(InputError):
    """The participant never had such a key."""

    def __init__(self, name: str, key_id: str, purpose: KeyPurpose) -> None:
        super().__init__(
            f"participant {name} has no {purpose} key {key_id[:16]}; its keys: pqtransfer participants show {name}"
        )


class KeyNotUsableError(AccessError):
    """The key exists, but its state does not allow this use."""

    def __init__(self, key: KeyVersion, use: str) -> None:
        super().__init__(
            f"the {key.purpose} key {key.key_id[:16]} of {key.participant} is {key.state}: it may not {use}"
        )


class RegistryConflictError(PqtransferError):
    """Another call changed the same participant at the same time."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"participant {name} was changed by another call at the same time; look at it and repeat the call"
        )


class RegistryDamagedError(IntegrityError):
    """What the registry holds is not a participant or key that this version can read."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"the registry's entry for {name[:60]!r} cannot be used ({reason}); restore the table to a time before"
        )


class RegistryTornError(UnavailableError):
    """Again and again the participant was read while its keys changed: what was read is half of a change."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the registry names other ACTIVE keys of {name[:60]!r} than its keys are; they are being changed, "
            "try again in a few seconds. If it stays so, the entry was changed by hand: restore the table"
        )


class KeyRegistry(Protocol):
    """Where participants and their public keys are kept. Each write happens as a whole or not at all."""

    def load(self, name: str) -> RegisteredParticipant:
        """The participant and all of its keys.

        Raises:
            ParticipantUnknownError: no such participant.
            RegistryTornError: its keys are being changed, and were at every read.
        """

    def load_to_revoke(self, name: str) -> RegisteredParticipant:
        """The participant and all of its keys, also where what it says of its ACTIVE keys does not agree with them.

        For revoking and what is recorded of it alone.

        Raises:
            ParticipantUnknownError: no such participant.
        """

    def list_all(self) -> list[RegisteredParticipant]:
        """Every participant, ordered by name.

        Raises:
            RegistryTornError: as `load`.
        """

    def add(self, registered: RegisteredParticipant) -> RegisteredParticipant:
        """Register a participant with its first keys, and return what is registered.

        Repeating it with the same keys changes nothing.

        Raises:
            ParticipantExistsError: the name is taken by somebody else.
        """

    def start_over(self, begun: RegisteredParticipant, afresh: RegisteredParticipant, *, at: datetime) -> None:
        """Give up a registration that never became ready, for a fresh one: the pending keys become REVOKED.

        Args:
            begun: what is registered, none of it ever active.
            afresh: the participant with its new, PENDING keys alone.

        Raises:
            RegistryConflictError: it is no longer as `begun` says.
        """

    def change_state(self, keys: Iterable[KeyVersion], state: KeyState, *, at: datetime) -> tuple[KeyVersion, ...]:
        """Move keys of one participant to another state, together, and return them as they are then.

        Raises:
            IllegalTransitionError: a key may not take this step.
            KeyStaysInUseError: two keys of one purpose would be ACTIVE.
            RegistryConflictError: a key is no longer in the state that was read.
        """

    def add_versions(self, registered: RegisteredParticipant, keys: Iterable[KeyVersion]) -> RegisteredParticipant:
        """Add PENDING key versions to what is registered, and return what is registered then.

        Args:
            registered: the participant as it was read: each key is the next version of its purpose.

        Raises:
            NotTheNextVersionError: a key is not that.
            RegistryConflictError: another call added a version of the same purpose first.
        """

    def activate(
        self,
        registered: RegisteredParticipant,
        keys: Iterable[KeyVersion],
        *,
        proof: PairProof | None,
        at: datetime,
    ) -> RegisteredParticipant:
        """Put PENDING keys to use in the place of those of the same purpose, which become RETIRING, in one step.

        Args:
            registered: the participant as it was read.
            proof: binds the keys that are ACTIVE then (see `activate_versions`).

        Raises:
            IllegalTransitionError: a key is not PENDING.
            InvalidProofError: the proof does not hold for the keys that are ACTIVE then.
            RegistryConflictError: a key, or which keys are ACTIVE, changed since it was read.
        """

    def revoke(self, keys: Iterable[KeyVersion], revocation: Revocation) -> tuple[KeyVersion, ...]:
        """Take keys of one participant out of use for good, together, whatever state they are in by now.

        A key that was revoked before keeps its first revocation. Whoever reads the registry after this call returned
        is not given any of them.

        Returns:
            The keys as they are registered then.

        Raises:
            ParticipantUnknownError: no such participant.
            RegistryConflictError: other calls changed the keys, again and again; nothing was revoked.
        """

    def give_up(self, key: KeyVersion, revocation: Revocation) -> KeyVersion:
        """Revoke a PENDING key, and no other: whoever took its maker for dead may be wrong about that.

        Raises:
            RegistryConflictError: it is not PENDING, or not any more; it stays as it is.
        """

    def forget_secrets(self, keys: Iterable[KeyVersion]) -> None:
        """Note that the private halves of these keys of one participant are deleted.

        Raises:
            IllegalTransitionError: a key is neither destroyed nor revoked.
            RegistryConflictError: a key is no longer as it was read.
        """


def resolve_recipients(names: Iterable[str], *, registry: KeyRegistry, minimum_suite_id: str) -> list[PublicKey]:
    """The KEM keys that a new envelope is wrapped to: the active one of each name, in order, each name once.

    Raises:
        ParticipantUnknownError, ParticipantNotReadyError: a name has no key in use.
        WeakSuiteError: a recipient's key is of a suite under the minimum.
    """
    recipients = []
    for name in dict.fromkeys(names):
        key = find_active_key(name, KeyPurpose.KEM, registry=registry)
        require_minimum_suite(key.suite_id, minimum_suite_id=minimum_suite_id)
        recipients.append(key.public_key)
    return recipients


def find_active_key(name: str, purpose: KeyPurpose, *, registry: KeyRegistry) -> KeyVersion:
    """The key that a participant protects or signs new transfers with.

    Raises:
        ParticipantUnknownError, ParticipantNotReadyError: there is none.
    """
    key = registry.load(name).find_active_key(purpose)
    if key is None:
        raise ParticipantNotReadyError(name)
    return key


def find_signing_key(name: str, key_id: str, *, registry: KeyRegistry) -> PublicKey:
    """The participant's signing key with this id, if signatures made with it still count.

    Raises:
        ParticipantUnknownError, KeyNotFoundError: there is no such participant or key.
        KeyNotUsableError: the key was never put to use, or was revoked.
    """
    key = _find_key(name, key_id, KeyPurpose.SIGNING, registry=registry)
    if not may_verify(key.state):
        raise KeyNotUsableError(key, "verify a signature")
    return key.public_key


def find_opening_key(name: str, key_id: str, *, registry: KeyRegistry) -> KeyVersion:
    """The participant's KEM key with this id, if it may still open what was wrapped to it.

    Raises:
        ParticipantUnknownError, KeyNotFoundError: there is no such participant or key.
        KeyNotUsableError: it may not be used any more, or not yet.
    """
    key = _find_key(name, key_id, KeyPurpose.KEM, registry=registry)
    if not may_open(key.state):
        raise KeyNotUsableError(key, "open an envelope")
    return key


def describe_difference(existing: RegisteredParticipant, added: RegisteredParticipant) -> str | None:
    """What an existing registration has that the added one contradicts; None when they say the same."""
    if existing.participant.kind is not added.participant.kind:
        return f"another kind ({existing.participant.kind})"
    if set(existing.participant.principals) != set(added.participant.principals):
        return "other principals"
    if set(existing.participant.buckets) != set(added.participant.buckets):
        return "other buckets"
    if not {key.key_id for key in added.keys} <= {key.key_id for key in existing.keys}:
        return "other keys"
    return None


def _find_key(name: str, key_id: str, purpose: KeyPurpose, *, registry: KeyRegistry) -> KeyVersion:
    key = registry.load(name).find_key(key_id)
    if key is None or key.purpose is not purpose:
        raise KeyNotFoundError(name, key_id, purpose)
    return key
