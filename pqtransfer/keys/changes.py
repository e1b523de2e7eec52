"""The changes that a registry makes to a participant's keys: from what is registered to what is registered then.

Each is a pure function. A registry writes the difference as a whole, on condition that nothing which the change stands
on has changed meanwhile (`is_overtaken`); so what holds here holds in the registry, whoever else writes to it.
"""

from collections.abc import Iterable
from datetime import datetime

from pqtransfer.crypto.identity import InvalidProofError
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import InputError
from pqtransfer.keys.lifecycle import IllegalTransitionError, KeyState
from pqtransfer.keys.participant import KeyVersion, PairProof, RegisteredParticipant, Revocation
from pqtransfer.keys.registry import RegistryConflictError


class KeyStaysInUseError(InputError):
    """A step would leave two keys of one purpose in use."""

    def __init__(self, key: KeyVersion) -> None:
        super().__init__(
            f"{key.participant} would have two ACTIVE {key.purpose} keys, with {key.key_id[:16]}; "
            "a new key is put to use in the place of the one before, not beside it"
        )


class NotTheNextVersionError(InputError):
    """A key version is not what may be added to the participant's keys."""

    def __init__(self, key: KeyVersion, reason: str) -> None:
        super().__init__(f"{key.purpose} key {key.key_id[:16]} of {key.participant} cannot be added: {reason}")


def move_keys(
    registered: RegisteredParticipant, keys: Iterable[KeyVersion], state: KeyState, *, at: datetime
) -> RegisteredParticipant:
    """Some of its keys in another state.

    Raises:
        IllegalTransitionError: a key may not take this step.
        KeyStaysInUseError: two keys of one purpose would be ACTIVE.
        RegistryConflictError: a key is not, or no longer, registered as it was read.
    """
    read = tuple(keys)
    moved = [key.move_to(state, at=at) for key in read]
    return _require_single_active(_replace(_require_as_read(registered, read), moved))


def add_versions(registered: RegisteredParticipant, keys: Iterable[KeyVersion]) -> RegisteredParticipant:
    """With new key versions, each PENDING and the next of its purpose.

    Raises:
        NotTheNextVersionError: a key has another state or number, or was registered before.
    """
    for key in keys:
        if key.state is not KeyState.PENDING:
            raise NotTheNextVersionError(key, f"a new version is PENDING, not {key.state}")
        if key.participant != registered.name or registered.find_key(key.key_id) is not None:
            raise NotTheNextVersionError(key, "it was registered before, or belongs to somebody else")
        newest = registered.newest_version(key.purpose)
        if key.version != newest + 1:
            raise NotTheNextVersionError(key, f"the next version is {newest + 1}, not {key.version}")
        keys_by_age = sorted((*registered.keys, key), key=lambda each: (each.version, each.purpose))
        registered = registered.model_copy(update={"keys": tuple(keys_by_age)})
    return registered


def activate_versions(
    registered: RegisteredParticipant, keys: Iterable[KeyVersion], *, proof: PairProof | None, at: datetime
) -> RegisteredParticipant:
    """With PENDING keys ACTIVE in the place of those of the same purpose, which are RETIRING from now.

    Args:
        proof: binds the two keys that are ACTIVE then; None keeps what was proven when they were registered together,
            and is right while the other purpose has no ACTIVE key.

    Raises:
        IllegalTransitionError: a key is not PENDING.
        InvalidProofError: the proof is missing, is of another pair, or does not hold.
        RegistryConflictError: a key is not among those that were read.
    """
    news = tuple(keys)
    purposes = {key.purpose for key in news}
    retiring = [key for key in registered.keys if key.state is KeyState.ACTIVE and key.purpose in purposes]
    moved = move_keys(registered, retiring, KeyState.RETIRING, at=at)
    activated = move_keys(moved, news, KeyState.ACTIVE, at=at)
    if proof is not None:
        activated = activated.model_copy(update={"pair_proof": proof})
    identity = activated.to_identity()
    if identity is None and activated.is_ready:
        raise InvalidProofError(registered.name)
    if identity is not None:
        identity.require_valid()
    return activated


def revoke_keys(
    registered: RegisteredParticipant, keys: Iterable[KeyVersion], revocation: Revocation
) -> RegisteredParticipant:
    """With these keys REVOKED, from whatever state they are in now. A key that is revoked keeps its first revocation.

    `keys` say which ones, not what they are like.
    """
    revoked_ids = {key.key_id for key in keys}
    return _replace(
        registered,
        (
            key.revoke(revocation)
            for key in registered.keys
            if key.key_id in revoked_ids and key.state is not KeyState.REVOKED
        ),
    )


def give_up_key(registered: RegisteredParticipant, key: KeyVersion, revocation: Revocation) -> RegisteredParticipant:
    """With this PENDING key REVOKED.

    Raises:
        RegistryConflictError: it is not, or no longer, registered as it was read, or was read in another state.
    """
    if key.state is not KeyState.PENDING:
        raise RegistryConflictError(registered.name)
    return _replace(_require_as_read(registered, (key,)), (key.revoke(revocation),))


def forget_secrets(registered: RegisteredParticipant, keys: Iterable[KeyVersion]) -> RegisteredParticipant:
    """With keys whose private halves are deleted: nothing points to a secret any more.

    Raises:
        IllegalTransitionError: a key is not one whose private half may be gone.
        RegistryConflictError: a key is not, or no longer, registered as it was read.
    """
    read = tuple(keys)
    forgotten = []
    for key in read:
        if key.state not in (KeyState.DESTROYED, KeyState.REVOKED):
            raise IllegalTransitionError(key.state, KeyState.DESTROYED)
        forgotten.append(key.model_copy(update={"secret_id": None}))
    return _replace(_require_as_read(registered, read), forgotten)


def is_overtaken(current: RegisteredParticipant, before: RegisteredParticipant, after: RegisteredParticipant) -> bool:
    """True when the step from `before` to `after` may not be made any more, now that `current` is registered.

    What a change stands on: the keys that it changes; the ACTIVE pair, if it changes that; the number of the newest
    version of each purpose that it adds to.
    """
    touched = changed_keys(before, after)
    if any(current.find_key(key.key_id) != key for key, _ in touched):
        return True
    if (changes_pair(before, after)) and active_ids(current) != active_ids(before):
        return True
    return any(current.newest_version(key.purpose) != key.version - 1 for key in first_new_keys(before, after))


def changed_keys(before: RegisteredParticipant, after: RegisteredParticipant) -> list[tuple[KeyVersion, KeyVersion]]:
    """Each key that differs, as it was and as it becomes."""
    pairs = ((key, after.find_key(key.key_id)) for key in before.keys)
    return [(was, becomes) for was, becomes in pairs if becomes is not None and becomes != was]


def new_keys(before: RegisteredParticipant, after: RegisteredParticipant) -> list[KeyVersion]:
    """Each key that was not there before."""
    return [key for key in after.keys if before.find_key(key.key_id) is None]


def first_new_keys(before: RegisteredParticipant, after: RegisteredParticipant) -> list[KeyVersion]:
    """For each purpose that something is added to: the first of the new keys."""
    firsts: dict[KeyPurpose, KeyVersion] = {}
    for key in new_keys(before, after):
        firsts.setdefault(key.purpose, key)
    return list(firsts.values())


def changes_pair(before: RegisteredParticipant, after: RegisteredParticipant) -> bool:
    """True when other keys are ACTIVE then, or bound by another proof."""
    return active_ids(before) != active_ids(after) or before.pair_proof != after.pair_proof


def active_ids(registered: RegisteredParticipant) -> dict[KeyPurpose, str | None]:
    """The id of the ACTIVE key of each purpose."""
    found = {purpose: registered.find_active_key(purpose) for purpose in KeyPurpose}
    return {purpose: None if key is None else key.key_id for purpose, key in found.items()}


def _require_as_read(registered: RegisteredParticipant, keys: tuple[KeyVersion, ...]) -> RegisteredParticipant:
    if any(registered.find_key(key.key_id) != key for key in keys):
        raise RegistryConflictError(registered.name)
    return registered


def _replace(registered: RegisteredParticipant, changed: Iterable[KeyVersion]) -> RegisteredParticipant:
    by_id = {key.key_id: key for key in changed}
    keys = tuple(by_id.get(key.key_id, key) for key in registered.keys)
    return registered.model_copy(update={"keys": keys})


def _require_single_active(registered: RegisteredParticipant) -> RegisteredParticipant:
    for purpose in KeyPurpose:
        active = [key for key in registered.keys if key.purpose is purpose and key.state is KeyState.ACTIVE]
        if len(active) > 1:
            raise KeyStaysInUseError(active[-1])
    return registered
