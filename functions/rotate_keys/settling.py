"""Let old keys go: RETIRING to RETIRED, RETIRED to DESTROYED once nothing needs them, and secrets that nobody needs.

Whoever moves envelopes is told once a day of a key that is RETIRED and still has some: what was lost of its work begins
anew, until none is left or nobody here can move them.

A key that was revoked while it was in use keeps its private half as long as one that is RETIRED: for the answer to its
loss. Then it goes like that, if no envelope is left under it.

What cannot be told is not destroyed. No key is destroyed on the word of the index of envelopes alone, either: after it
came out of use, all containers must have been read again, and an envelope that has a stanza for it have its row. The
registry says DESTROYED before the private half is deleted, and keeps the secret's name until it is: so a crash in
between leaves neither a secret that nobody knows of, nor a key that seems usable and is gone. The audit log has each
step before the registry has it, or before the last of it is done.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.rotate_keys.records import describe_step
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.backups import BackupStore, name_backup
from pqtransfer.keys.custody import PrivateKeyVault
from pqtransfer.keys.dependents import KeyDependents
from pqtransfer.keys.events import KeyRotated
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyAnnouncer, KeyOrder
from pqtransfer.keys.participant import KeyVersion, RegisteredParticipant
from pqtransfer.keys.registry import KeyRegistry
from pqtransfer.keys.rotation import DueStep, KeySummary, RotationPolicy, find_due_keys, is_told_again, not_before


@dataclass(frozen=True)
class Settlement:
    """What became of a participant's old keys. `kept` are those that something still needs, or that may be needed."""

    retired: tuple[KeyVersion, ...] = ()
    destroyed: tuple[KeyVersion, ...] = ()
    kept: tuple[KeyVersion, ...] = ()
    unknown: tuple[KeyVersion, ...] = ()


@dataclass(frozen=True)
class KeySettler:
    """Settles old keys by its ports."""

    registry: KeyRegistry
    vault: PrivateKeyVault
    backups: BackupStore
    dependents: KeyDependents
    announcer: KeyAnnouncer
    trail: AuditTrail
    policy: RotationPolicy
    patience: timedelta
    now: datetime

    def settle(self, order: KeyOrder) -> Settlement:
        """Take every step that is due for the participant's old keys. Safe to repeat.

        Raises:
            ParticipantUnknownError: no such participant.
            AuditUnavailableError, CloudError, RegistryConflictError: a step failed; the next run goes on from there.
        """
        registered = self.registry.load(order.participant)
        for key in self._due(registered, DueStep.TELL):
            if key.state is not KeyState.RETIRED or self._is_said_to_be_needed(key):
                self._tell_again(registered, key)
        destroyed, kept, unknown = [], [], []
        for key in self._due(registered, DueStep.DESTROY):
            needed = self._is_needed(key)
            if needed is None:
                unknown.append(key)
            elif needed:
                kept.append(key)
                if key.state is KeyState.RETIRED and is_told_again(KeySummary.of(key), now=self.now):
                    self._tell_again(registered, key)
            else:
                destroyed.append(self._destroy(key, registered, order))
        for key in self._due(registered, DueStep.DISCARD):
            self._discard(key, order)
        return Settlement(
            retired=self._retire(registered, order),
            destroyed=tuple(destroyed),
            kept=tuple(kept),
            unknown=tuple(unknown),
        )

    def _retire(self, registered: RegisteredParticipant, order: KeyOrder) -> tuple[KeyVersion, ...]:
        due = self._due(registered, DueStep.RETIRE)
        if not due:
            return ()
        at = not_before(self.now, registered.keys)
        # First told and on record: once they are RETIRED they are due no more, and the next run has nothing to tell.
        for key in due:
            self._tell_again(registered, key)
        self.trail.record(*(describe_step("key.retire", key.move_to(KeyState.RETIRED, at=at), order) for key in due))
        return self.registry.change_state(due, KeyState.RETIRED, at=at)

    def _tell_again(self, registered: RegisteredParticipant, old: KeyVersion) -> None:
        """What replaced it may have died before it told anybody; of keys that others keep, this is who tells."""
        new = registered.find_active_key(old.purpose)
        if new is not None:
            self.announcer.announce(
                KeyRotated(
                    participant=new.participant,
                    purpose=new.purpose,
                    old_key_id=old.key_id,
                    new_key_id=new.key_id,
                    rotated_at=new.activated_at or self.now,
                )
            )

    def _is_said_to_be_needed(self, key: KeyVersion) -> bool:
        """For telling the others, the index's word will do."""
        if key.purpose is KeyPurpose.SIGNING:
            return False
        try:
            return self.dependents.has_dependents(key.key_id)
        except UnavailableError:
            return False

    def _is_needed(self, key: KeyVersion) -> bool | None:
        """None when it cannot be told. Signatures are checked with the public half, which stays."""
        if key.purpose is KeyPurpose.SIGNING:
            return False
        try:
            return self.dependents.has_dependents(key.key_id, since=KeySummary.of(key).in_state_since)
        except PqtransferError:
            return None

    def _destroy(self, key: KeyVersion, registered: RegisteredParticipant, order: KeyOrder) -> KeyVersion:
        if key.state is KeyState.REVOKED:  # which is for good; what there is to destroy is the private half
            self._discard(key, order)
            return key
        at = not_before(self.now, registered.keys)
        (destroyed,) = self.registry.change_state([key], KeyState.DESTROYED, at=at)
        self._discard(destroyed, order)
        return destroyed

    def _discard(self, key: KeyVersion, order: KeyOrder) -> None:
        self.trail.record(describe_step("key.destroy", key, order))
        self.vault.discard(key)
        self.backups.remove(name_backup(key))
        self.registry.forget_secrets([key])

    def _due(self, registered: RegisteredParticipant, step: DueStep) -> list[KeyVersion]:
        return find_due_keys(registered, step, policy=self.policy, patience=self.patience, now=self.now)
