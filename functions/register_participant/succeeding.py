"""Put an external participant's new keys in the place of those in use, on the word of the latter.

The new pair is registered PENDING, then put to use in one step. A crash in between is mended by the same call again.
After a compromise there may be no key in use; then new ones are registered as the first were.
"""

from dataclasses import dataclass
from datetime import datetime

from functions.register_participant.audit import RegistrationFacts
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.identity import PublicIdentity
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.crypto.succession import Succession
from pqtransfer.crypto.suites import require_minimum_suite
from pqtransfer.errors import AccessError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import KeyVersion, PairProof, ParticipantKind, RegisteredParticipant
from pqtransfer.keys.registry import KeyRegistry, ParticipantExistsError
from pqtransfer.keys.rotation import not_before


class SpentSuccessionError(AccessError):
    """The keys that are to be replaced are not those in use, or the new ones were registered before: a replay."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"these keys cannot follow those of {name}: the keys they replace are not in use, or they were registered "
            f"before; its keys: pqtransfer keys list {name}"
        )


@dataclass(frozen=True)
class KeySuccessor:
    """Replaces external keys by its ports."""

    registry: KeyRegistry
    trail: AuditTrail
    facts: RegistrationFacts
    minimum_suite_id: str
    now: datetime

    def succeed(self, name: str, succession: Succession) -> RegisteredParticipant:
        """Put the new keys to use, and return the participant as it is then. Safe to repeat.

        Raises:
            ParticipantUnknownError, ParticipantExistsError: there is no such external participant.
            SpentSuccessionError: it was used before, or was made for keys that are no longer in use.
            InvalidProofError: the key in use did not sign it.
            WeakSuiteError: the new keys are under the environment's minimum.
            RegistryConflictError: another call changed the keys at the same time.
        """
        registered = self.registry.load(name)
        if registered.participant.kind is not ParticipantKind.EXTERNAL or succession.identity.participant != name:
            raise ParticipantExistsError(name, difference="keys that others keep")
        if is_pair_in_use(registered, succession.identity):
            return registered
        kem, signing = (registered.find_active_key(purpose) for purpose in (KeyPurpose.KEM, KeyPurpose.SIGNING))
        if kem is None or signing is None:
            raise SpentSuccessionError(name)
        if (kem.key_id, signing.key_id) != (succession.replaces_kem, succession.replaces_signing):
            raise SpentSuccessionError(name)
        succession.require_signer(signing.public_key)
        require_minimum_suite(succession.identity.suite_id, minimum_suite_id=self.minimum_suite_id)
        return self._replace(self._add(registered, succession.identity), succession.identity)

    def begin_anew(self, registered: RegisteredParticipant, identity: PublicIdentity) -> RegisteredParticipant:
        """Put new keys to use where a key was revoked, so that nothing in use can vouch for them. Safe to repeat.

        It is the word of whoever may call the function that they are the participant's, as it was for its first keys.

        Raises:
            ParticipantExistsError: it has both keys in use: these have to vouch for the new ones.
            SpentSuccessionError: a key was registered before; one that was lost never comes back.
            RegistryConflictError: another call changed the keys at the same time.
        """
        if is_pair_in_use(registered, identity):
            return registered
        if registered.is_ready:
            raise ParticipantExistsError(registered.name, difference="other keys")
        return self._replace(self._add(registered, identity), identity)

    def _add(self, registered: RegisteredParticipant, identity: PublicIdentity) -> RegisteredParticipant:
        known = [registered.find_key(key.key_id) for key in (identity.kem, identity.signing)]
        if all(key is not None and key.state is KeyState.PENDING for key in known):
            return registered
        if any(key is not None for key in known):
            raise SpentSuccessionError(registered.name)
        at = not_before(self.now, registered.keys)
        keys = [
            KeyVersion(
                participant=registered.name,
                version=registered.newest_version(public_key.purpose) + 1,
                public_key=public_key,
                state=KeyState.PENDING,
                created_at=at,
                state_changed_at=at,
            )
            for public_key in (identity.kem, identity.signing)
        ]
        self.trail.record(*map(self.facts.keys.created, keys))
        return self.registry.add_versions(registered, keys)

    def _replace(self, registered: RegisteredParticipant, identity: PublicIdentity) -> RegisteredParticipant:
        new = [key for key in registered.pending_keys if key.key_id in (identity.kem.key_id, identity.signing.key_id)]
        old = {key.purpose: registered.find_active_key(key.purpose) for key in new}
        retired = [
            self.facts.keys.retired(before, replaced_by=key.key_id)
            for key in new
            if (before := old[key.purpose]) is not None
        ]
        self.trail.record(*map(self.facts.keys.activated, new), *retired)
        at = not_before(self.now, registered.keys)
        return self.registry.activate(registered, new, proof=PairProof.of(identity), at=at)


def is_pair_in_use(registered: RegisteredParticipant, identity: PublicIdentity) -> bool:
    """Whether these are the keys that the participant has in use."""
    active = (registered.find_active_key(key.purpose) for key in (identity.kem, identity.signing))
    ids = (identity.kem.key_id, identity.signing.key_id)
    return tuple(None if key is None else key.key_id for key in active) == ids
