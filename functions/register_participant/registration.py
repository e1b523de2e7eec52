"""Register a participant so that a crash between any two steps is mended by the same call again.

A managed participant comes to be in this order: the name and two PENDING keys in the registry, the role, the two
secrets, their backups, the keys ACTIVE. Outside of secrets and backups, private keys exist in this function's memory
only. What a crash leaves behind is in the registry, so the next call knows it: it finishes the registration when both
secrets and backups are there, or else gives those keys up for new ones. Of a participant that is ready, nothing changes
but its role, which the call brings back to what is registered: IAM forgets whom a role trusts when the trusted role is
deleted, even if it is made again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from functions.register_participant.audit import RegistrationFacts
from functions.register_participant.succeeding import KeySuccessor
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.identity import PublicIdentity, generate_identity
from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.crypto.succession import Succession
from pqtransfer.crypto.suites import DEFAULT_SUITE_ID, require_minimum_suite
from pqtransfer.errors import InputError
from pqtransfer.keys.backups import KeyBackups, name_backup
from pqtransfer.keys.custody import ParticipantRoles, PrivateKeyVault
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import (
    Participant,
    ParticipantKind,
    RegisteredParticipant,
    make_key_versions,
)
from pqtransfer.keys.registration import MalformedRegistrationError, RegisterParticipant
from pqtransfer.keys.registry import (
    KeyRegistry,
    ParticipantExistsError,
    ParticipantUnknownError,
    RegistryConflictError,
)


class IdentityOfAnotherError(InputError):
    """The identity was made for another name than the one being registered."""

    def __init__(self, name: str, identity_name: str) -> None:
        super().__init__(
            f"this identity was made for {identity_name}, not for {name}; register it under its own name, "
            f"or make one with: pqtransfer keygen {name}"
        )


@dataclass(frozen=True)
class Registrar:
    """Registers participants by its ports. `now` is the time that it writes down.

    No key comes to be, and none is put to use, before `trail` has it.
    """

    registry: KeyRegistry
    roles: ParticipantRoles
    vault: PrivateKeyVault
    backups: KeyBackups
    trail: AuditTrail
    facts: RegistrationFacts
    minimum_suite_id: str
    now: datetime

    def register(self, request: RegisterParticipant) -> RegisteredParticipant:
        """Register the participant, and return it as it is registered. Safe to repeat.

        Raises:
            ParticipantExistsError: the name is taken by a participant that differs.
            SpentSuccessionError: keys that were replaced, revoked, or used before, are brought again.
            WeakSuiteError, UnknownSuiteError: the suite is not allowed.
            MalformedDocumentError, InvalidKeyError, InvalidProofError, IdentityOfAnotherError: the identity is no good.
            ManagedNameTooLongError: the name does not fit a role.
            RegistryConflictError: two calls registered the same name at the same time.
            AuditUnavailableError: the audit log takes no event; what was begun is finished by the same call again.
        """
        if request.succession is not None:
            registered = self._successor.succeed(request.name, Succession.from_json(request.succession.encode()))
        elif request.kind is ParticipantKind.MANAGED:
            registered = self._register_managed(request)
        else:
            registered = self._register_external(request)
        self.trail.record(self.facts.registered(registered))
        return registered

    @property
    def _successor(self) -> KeySuccessor:
        return KeySuccessor(
            registry=self.registry,
            trail=self.trail,
            facts=self.facts,
            minimum_suite_id=self.minimum_suite_id,
            now=self.now,
        )

    def _register_external(self, request: RegisterParticipant) -> RegisteredParticipant:
        identity = PublicIdentity.from_json((request.identity or "").encode())
        if identity.participant != request.name:
            raise IdentityOfAnotherError(request.name, identity.participant)
        if request.suite not in (None, identity.suite_id):
            raise MalformedRegistrationError(f"the identity is of suite {identity.suite_id}, not {request.suite}")
        require_minimum_suite(identity.suite_id, minimum_suite_id=self.minimum_suite_id)
        existing = self._find(request.name)
        if existing is not None and existing.participant.kind is ParticipantKind.EXTERNAL:
            return self._successor.begin_anew(existing, identity)
        participant = Participant(name=request.name, kind=ParticipantKind.EXTERNAL, created_at=self.now)
        keys = make_key_versions(identity, version=1, state=KeyState.ACTIVE, created_at=self.now)
        if existing is None:
            self.trail.record(*map(self.facts.keys.created, keys), *map(self.facts.keys.activated, keys))
        return self.registry.add(RegisteredParticipant(participant=participant, keys=keys))

    def _find(self, name: str) -> RegisteredParticipant | None:
        try:
            return self.registry.load(name)
        except ParticipantUnknownError:
            return None

    def _register_managed(self, request: RegisterParticipant) -> RegisteredParticipant:
        suite_id = request.suite or DEFAULT_SUITE_ID
        require_minimum_suite(suite_id, minimum_suite_id=self.minimum_suite_id)
        role_arn = self.roles.arn_of(request.name)
        registered, private_keys = self._claim_name(request, suite_id)
        if registered.was_ready:
            self.roles.ensure(registered.participant)
            return registered
        self._settle(registered)
        for key in registered.pending_keys:
            if key.key_id in private_keys:
                self.vault.store(key, private_keys[key.key_id], role_arn=role_arn)
                self.backups.make(key, private_keys[key.key_id], at=self.now)
        return self._activate(registered)

    def _claim_name(
        self, request: RegisterParticipant, suite_id: str
    ) -> tuple[RegisteredParticipant, Mapping[str, PrivateKey]]:
        """The participant as it is registered now, and the private keys made for it in this call, by key id."""
        try:
            existing = self.registry.load(request.name)
        except ParticipantUnknownError:
            begun, private_keys = self._make_pending(request, suite_id, version=1)
            self.trail.record(*map(self.facts.keys.created, begun.keys))
            return self.registry.add(begun), private_keys
        if existing.participant.kind is not ParticipantKind.MANAGED:
            raise ParticipantExistsError(request.name, difference=f"another kind ({existing.participant.kind})")
        if existing.was_ready:
            _require_same(existing, request, suite_id)
            return existing, {}
        if self._can_finish(existing, request, suite_id):
            return existing, {}
        version = max(key.version for key in existing.keys) + 1
        afresh, private_keys = self._make_pending(request, suite_id, version=version)
        given_up = map(self.facts.keys.discarded, existing.pending_keys)
        self.trail.record(*given_up, *map(self.facts.keys.created, afresh.keys))
        self.registry.start_over(existing, afresh, at=self.now)
        return self.registry.load(request.name), private_keys

    def _make_pending(
        self, request: RegisterParticipant, suite_id: str, *, version: int
    ) -> tuple[RegisteredParticipant, Mapping[str, PrivateKey]]:
        private = generate_identity(request.name, suite_id=suite_id)
        identity = private.to_public()
        participant = Participant(
            name=request.name,
            kind=ParticipantKind.MANAGED,
            created_at=self.now,
            role_arn=self.roles.arn_of(request.name),
            principals=tuple(dict.fromkeys(request.principals)),
            buckets=request.buckets,
        )
        keys = make_key_versions(
            identity,
            version=version,
            state=KeyState.PENDING,
            created_at=self.now,
            secret_ids=(
                self.vault.name_secret(request.name, identity.kem),
                self.vault.name_secret(request.name, identity.signing),
            ),
        )
        private_keys = {identity.kem.key_id: private.kem, identity.signing.key_id: private.signing}
        return RegisteredParticipant(participant=participant, keys=keys), private_keys

    def _can_finish(self, begun: RegisteredParticipant, request: RegisterParticipant, suite_id: str) -> bool:
        pending = begun.pending_keys
        return (
            len(pending) > 0
            and set(begun.participant.principals) == set(request.principals)
            and set(begun.participant.buckets) == set(request.buckets)
            and all(key.suite_id == suite_id for key in pending)
            and all(self.vault.holds(key) and self.backups.hold(key) for key in pending)
        )

    def _settle(self, registered: RegisteredParticipant) -> None:
        """Bring the role to what is registered, and delete what is kept of keys that were given up."""
        self.roles.ensure(registered.participant)
        for key in registered.given_up_keys:
            if key.secret_id is None:
                continue
            self.vault.discard(key)
            self.backups.store.remove(name_backup(key))

    def _activate(self, registered: RegisteredParticipant) -> RegisteredParticipant:
        pending, facts = registered.pending_keys, self.facts.keys
        self.trail.record(*map(facts.backed_up, pending), *map(facts.activated, pending))
        try:
            self.registry.change_state(registered.pending_keys, KeyState.ACTIVE, at=self.now)
        except RegistryConflictError:  # another call was faster: it finished these keys, or gave them up for its own
            current = self.registry.load(registered.name)
            self._settle(current)
            if not all(key.key_id in _active_ids(current) for key in registered.pending_keys):
                raise
        return self.registry.load(registered.name)


def _require_same(existing: RegisteredParticipant, request: RegisterParticipant, suite_id: str) -> None:
    if set(existing.participant.principals) != set(request.principals):
        raise ParticipantExistsError(request.name, difference="other principals")
    if set(existing.participant.buckets) != set(request.buckets):
        raise ParticipantExistsError(request.name, difference="other buckets")
    identity = existing.to_identity()
    if identity is not None and identity.suite_id != suite_id:
        raise ParticipantExistsError(request.name, difference=f"keys of suite {identity.suite_id}")


def _active_ids(registered: RegisteredParticipant) -> set[str]:
    return {key.key_id for key in registered.keys if key.state is KeyState.ACTIVE}
