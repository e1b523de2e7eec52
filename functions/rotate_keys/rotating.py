"""Rotate one key in four steps, each of which can be repeated: create, set, test, finish.

They are the steps of Secrets Manager's rotation protocol. What a step leaves behind is in the registry, the vault or
the backups before the next one begins, so whoever runs next sees how far the last run came and goes on from there:

- create: a PENDING version in the registry names the key and its secret before either exists anywhere else
- set: the private half in its secret, then in its backup
- test: read back through the participant's own role, used once, and bound to the participant's other key by a proof
- finish: ACTIVE in the place of the old key, in one transaction; then the others are told

The audit log has each step before it takes effect, so no death and no outage in between takes an event from it; at most
it has a step that the next run takes. The others are told after the last step, and by the next run if this one dies.

A PENDING version without a secret belongs to the run that made it, for as long as a run can last (`patience`); after
that its key is lost for certain, and it is given up. If that run lives all the same, one of the two writes of the
registry comes first: either the key is put to use and stays, or it is given up and never used. Two runs at once end in
one transaction: the second finds that its order has been carried out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.rotate_keys.records import describe_step, describe_untaken_step
from pqtransfer.audit.events import AuditFacts
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.identity import prove_pair
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, generate_private_key
from pqtransfer.errors import InputError, UnavailableError
from pqtransfer.keys.backups import KeyBackups, name_backup, prove_key
from pqtransfer.keys.changes import activate_versions
from pqtransfer.keys.custody import PrivateKeyReader, PrivateKeyVault
from pqtransfer.keys.events import KeyRotated
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyAnnouncer, KeyOrder
from pqtransfer.keys.participant import KeyVersion, PairProof, RegisteredParticipant, Revocation
from pqtransfer.keys.registry import KeyRegistry, ParticipantNotReadyError, RegistryConflictError
from pqtransfer.keys.rotation import find_replaced, not_before

SESSION_NAME = "rotate-keys"
GIVEN_UP_REASON = "its private half was not stored before the rotation that made it was interrupted"
NOT_GIVEN_UP_REASON = "the run that made it put it to use after all"
MOST_FINISH_ATTEMPTS = 3


class NotRotatedHereError(InputError):
    """The participant keeps its own private keys, so the system cannot make new ones for it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} keeps its own private keys, and rotates them itself: "
            f"pqtransfer keys replace {name} --key DIR --new-key NEW_DIR"
        )


class RotationUnderWayError(UnavailableError):
    """Another run is rotating the same key."""

    def __init__(self, key: KeyVersion) -> None:
        super().__init__(
            f"the {key.purpose} key of {key.participant} is being rotated by another run; it is tried again later"
        )


@dataclass(frozen=True)
class KeyRotator:
    """Rotates keys by its ports. `now` is the time that it writes down; `patience` how long a run can last."""

    registry: KeyRegistry
    vault: PrivateKeyVault
    reader: PrivateKeyReader
    backups: KeyBackups
    announcer: KeyAnnouncer
    trail: AuditTrail
    patience: timedelta
    now: datetime

    def rotate(self, order: KeyOrder) -> KeyVersion | None:
        """Carry out one order, and return the new key; None when there was nothing left to do.

        Raises:
            ParticipantUnknownError, ParticipantNotReadyError, NotRotatedHereError: there is nothing to rotate.
            RotationUnderWayError: another run is at it, or was slower than a run can be and came to its end after all.
            KeyProofError, StoredKeyMismatchError: what was stored is not the key; the old one stays in use.
            AuditUnavailableError, CloudError: a step failed; the same order goes on from there.
        """
        registered = self.registry.load(order.participant)
        purpose = _require_rotatable(registered, order)
        active = registered.find_active_key(purpose)
        if order.unfinished is None and (active and active.key_id) != order.replaces:
            return self._repeat_finish(registered, active, order)
        if order.unfinished is not None and not _is_pending(registered, order.unfinished):
            return self._repeat_finish(registered, registered.find_key(order.unfinished), order)
        key, private_key = self._create(registered, purpose, order)
        return self.go_on(key, private_key, order)

    def go_on(self, key: KeyVersion, private_key: PrivateKey | None, order: KeyOrder) -> KeyVersion | None:
        """Take the steps after the first with a PENDING key; `private_key` is None when its secret is stored."""
        self._set(key, private_key)
        return self._test_and_finish(key, order)

    def back_up(self, order: KeyOrder) -> tuple[KeyVersion, ...]:
        """Make the backups that a participant's keys lack, or all that they need anew, and return those keys.

        The service cannot read backups, so only an administrator can say that one which is there is no good.
        """
        registered = self.registry.load(order.participant)
        needed = [key for key in registered.keys if _needs_backup(key)]
        missing = [key for key in needed if order.replace_backups or not self.backups.hold(key)]
        for key in missing:
            private_key = self._read(key)
            self.trail.record(self._describe_backup(key, order))
            self.backups.make(key, private_key, at=self.now, replace=order.replace_backups)
        return tuple(missing)

    def _create(
        self, registered: RegisteredParticipant, purpose: KeyPurpose, order: KeyOrder
    ) -> tuple[KeyVersion, PrivateKey | None]:
        """A PENDING version: the one that an earlier run left, or a new one with its private half."""
        for pending in registered.pending_keys:
            if pending.purpose is not purpose:
                continue
            if self.vault.holds(pending):
                return pending, None
            if abs(self.now - pending.created_at) < self.patience:
                raise RotationUnderWayError(pending)
            registered = self._give_up(pending, order)
        suite_id = max(registered.keys, key=lambda key: (key.purpose is purpose, key.version)).suite_id
        private_key = generate_private_key(purpose, suite_id)
        key = KeyVersion(
            participant=registered.name,
            version=registered.newest_version(purpose) + 1,
            public_key=private_key.public_key,
            state=KeyState.PENDING,
            created_at=not_before(self.now, registered.keys),
            state_changed_at=not_before(self.now, registered.keys),
            secret_id=self.vault.name_secret(registered.name, private_key.public_key),
        )
        self.trail.record(describe_step("key.create", key, order))
        self.registry.add_versions(registered, [key])
        return key, private_key

    def _set(self, key: KeyVersion, private_key: PrivateKey | None) -> None:
        if private_key is not None:
            self.vault.store(key, private_key, role_arn=self._role_of(key))
        if not self.backups.hold(key):
            self.backups.make(key, private_key or self._read(key), at=self.now)

    def _test_and_finish(self, key: KeyVersion, order: KeyOrder) -> KeyVersion | None:
        for _ in range(MOST_FINISH_ATTEMPTS):
            registered = self.registry.load(key.participant)
            current = registered.find_key(key.key_id)
            if current is None or current.state is not KeyState.PENDING:
                return self._settle_overtaken(registered, key, order)
            proof = self._test(registered, key)
            replaced = registered.find_active_key(key.purpose)
            at = not_before(self.now, registered.keys)
            self._record_finish(activate_versions(registered, [current], proof=proof, at=at), replaced, key, order)
            try:
                after = self.registry.activate(registered, [current], proof=proof, at=at)
            except RegistryConflictError:  # another run finished it, or the other key was rotated: prove it again
                continue
            return self._tell(after, replaced, key)
        raise RotationUnderWayError(key)

    def _test(self, registered: RegisteredParticipant, key: KeyVersion) -> PairProof | None:
        """Use the key as it is stored, and prove that it belongs to the participant's other key."""
        private_key = self._read(key)
        prove_key(private_key, key.public_key)
        kem, signing = (registered.find_active_key(purpose) for purpose in (KeyPurpose.KEM, KeyPurpose.SIGNING))
        if key.purpose is KeyPurpose.KEM:
            if signing is None:
                return None
            return PairProof.of(prove_pair(registered.name, kem=key.public_key, signing=self._read(signing)))
        if kem is None:
            return None
        return PairProof.of(prove_pair(registered.name, kem=kem.public_key, signing=private_key))

    def _settle_overtaken(
        self, registered: RegisteredParticipant, key: KeyVersion, order: KeyOrder
    ) -> KeyVersion | None:
        """Another run finished this key, or took this one for dead and gave it up: then nothing of it may stay."""
        current = registered.find_key(key.key_id)
        if current is not None and current.is_spent:
            self.vault.discard(key)
            self.backups.store.remove(name_backup(key))
            if current.secret_id is not None:
                self.registry.forget_secrets([current])
        return self._repeat_finish(registered, registered.find_active_key(_purpose_of(order)), order)

    def _repeat_finish(
        self, registered: RegisteredParticipant, key: KeyVersion | None, order: KeyOrder
    ) -> KeyVersion | None:
        """The order was carried out by an earlier run, which may have died before it told anybody: tell it again."""
        if key is None or key.activated_at is None:
            return None
        named = None if order.replaces is None else registered.find_key(order.replaces)
        return self._tell(registered, named or find_replaced(registered, key), key)

    def _record_finish(
        self, after: RegisteredParticipant, replaced: KeyVersion | None, key: KeyVersion, order: KeyOrder
    ) -> None:
        """Record what the registry will say once the key is ACTIVE."""
        new, old = _as_registered(after, key), None if replaced is None else _as_registered(after, replaced)
        facts = [self._describe_backup(key, order), describe_step("key.activate", new, order)]
        if old is not None:
            facts.append(describe_step("key.retire", old, order, replaced_by=new.key_id))
        replaces = {} if old is None else {"replaces": old.key_id}
        self.trail.record(*facts, describe_step("key.rotate", new, order, **replaces))

    def _tell(self, registered: RegisteredParticipant, replaced: KeyVersion | None, key: KeyVersion) -> KeyVersion:
        new = _as_registered(registered, key)
        self.announcer.announce(
            KeyRotated(
                participant=new.participant,
                purpose=new.purpose,
                old_key_id=None if replaced is None else replaced.key_id,
                new_key_id=new.key_id,
                rotated_at=new.activated_at or self.now,
            )
        )
        return new

    def _give_up(self, key: KeyVersion, order: KeyOrder) -> RegisteredParticipant:
        revocation = Revocation(reason=GIVEN_UP_REASON, revoked_at=self.now, reported_by=order.asked_by)
        self.trail.record(describe_step("key.revoke", key.revoke(revocation), order, reason=GIVEN_UP_REASON))
        try:
            given_up = self.registry.give_up(key, revocation)
        except RegistryConflictError:  # the run that made it lives, and was faster: what it put to use stays
            self.trail.record(describe_untaken_step("key.revoke", key, order, reason=NOT_GIVEN_UP_REASON))
            raise RotationUnderWayError(key) from None
        self.vault.discard(given_up)
        self.registry.forget_secrets([given_up])
        return self.registry.load(key.participant)

    def _describe_backup(self, key: KeyVersion, order: KeyOrder) -> AuditFacts:
        return describe_step("key.backup", key, order, recovery_key=self.backups.recovery_key.key_id)

    def _read(self, key: KeyVersion) -> PrivateKey:
        return self.reader.read(key, role_arn=self._role_of(key), session_name=SESSION_NAME)

    def _role_of(self, key: KeyVersion) -> str:
        role_arn = self.registry.load(key.participant).participant.role_arn
        if role_arn is None:
            raise NotRotatedHereError(key.participant)
        return role_arn


def _require_rotatable(registered: RegisteredParticipant, order: KeyOrder) -> KeyPurpose:
    if registered.participant.role_arn is None:
        raise NotRotatedHereError(registered.name)
    if not registered.was_ready:
        raise ParticipantNotReadyError(registered.name)
    return _purpose_of(order)


def _purpose_of(order: KeyOrder) -> KeyPurpose:
    if order.purpose is None:
        raise NotRotatedHereError(order.participant)
    return order.purpose


def _is_pending(registered: RegisteredParticipant, key_id: str) -> bool:
    key = registered.find_key(key_id)
    return key is not None and key.state is KeyState.PENDING


def _as_registered(registered: RegisteredParticipant, key: KeyVersion) -> KeyVersion:
    return registered.find_key(key.key_id) or key


def _needs_backup(key: KeyVersion) -> bool:
    return key.secret_id is not None and key.activated_at is not None and key.state is not KeyState.DESTROYED
