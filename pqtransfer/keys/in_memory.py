"""The ports of this domain in memory: for tests, simulations, and whoever builds on the package without a cloud."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from pqtransfer.crypto.keypairs import PrivateKey, PublicKey
from pqtransfer.crypto.sealing import UnsealError
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import AccessError
from pqtransfer.keys import changes
from pqtransfer.keys.custody import KeyNotStoredError, StoredKeyMismatchError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import (
    KeyVersion,
    PairProof,
    Participant,
    RegisteredParticipant,
    Revocation,
    require_managed_name,
)
from pqtransfer.keys.registry import (
    ParticipantExistsError,
    ParticipantUnknownError,
    RegistryConflictError,
    describe_difference,
)
from pqtransfer.keys.rotation import KeyPage, KeySummary


class InMemoryKeyRegistry:
    """A `KeyRegistry` in a dictionary."""

    def __init__(self, registered: Iterable[RegisteredParticipant] = ()) -> None:
        self._participants = {each.name: each for each in registered}

    def load(self, name: str) -> RegisteredParticipant:
        if name not in self._participants:
            raise ParticipantUnknownError(name)
        return self._participants[name]

    def load_to_revoke(self, name: str) -> RegisteredParticipant:
        return self.load(name)

    def list_all(self) -> list[RegisteredParticipant]:
        return [self._participants[name] for name in sorted(self._participants)]

    def add(self, registered: RegisteredParticipant) -> RegisteredParticipant:
        existing = self._participants.setdefault(registered.name, registered)
        difference = describe_difference(existing, registered)
        if difference is not None:
            raise ParticipantExistsError(registered.name, difference=difference)
        return existing

    def start_over(self, begun: RegisteredParticipant, afresh: RegisteredParticipant, *, at: datetime) -> None:
        if self._participants.get(begun.name) != begun or begun.was_ready:
            raise RegistryConflictError(begun.name)
        self.change_state(begun.pending_keys, KeyState.REVOKED, at=at)
        self._participants[begun.name] = RegisteredParticipant(
            participant=afresh.participant, keys=self.load(begun.name).keys + afresh.keys
        )

    def change_state(self, keys: Iterable[KeyVersion], state: KeyState, *, at: datetime) -> tuple[KeyVersion, ...]:
        before = tuple(keys)
        if not before:
            return ()
        current = self.load(before[0].participant)
        return self._write(current, changes.move_keys(current, before, state, at=at), before)

    def add_versions(self, registered: RegisteredParticipant, keys: Iterable[KeyVersion]) -> RegisteredParticipant:
        added = tuple(keys)
        after = changes.add_versions(registered, added)
        current = self.load(registered.name)
        if changes.is_overtaken(current, registered, after):
            raise RegistryConflictError(registered.name)
        self._participants[current.name] = changes.add_versions(current, added)
        return self.load(current.name)

    def activate(
        self,
        registered: RegisteredParticipant,
        keys: Iterable[KeyVersion],
        *,
        proof: PairProof | None,
        at: datetime,
    ) -> RegisteredParticipant:
        news = tuple(keys)
        after = changes.activate_versions(registered, news, proof=proof, at=at)
        current = self.load(registered.name)
        if changes.is_overtaken(current, registered, after):
            raise RegistryConflictError(registered.name)
        self._participants[current.name] = changes.activate_versions(current, news, proof=proof, at=at)
        return self.load(current.name)

    def revoke(self, keys: Iterable[KeyVersion], revocation: Revocation) -> tuple[KeyVersion, ...]:
        before = tuple(keys)
        if not before:
            return ()
        current = self.load_to_revoke(before[0].participant)
        return self._write(current, changes.revoke_keys(current, before, revocation), before)

    def give_up(self, key: KeyVersion, revocation: Revocation) -> KeyVersion:
        current = self.load(key.participant)
        (given_up,) = self._write(current, changes.give_up_key(current, key, revocation), (key,))
        return given_up

    def forget_secrets(self, keys: Iterable[KeyVersion]) -> None:
        before = tuple(keys)
        if before:
            current = self.load(before[0].participant)
            self._write(current, changes.forget_secrets(current, before), before)

    def _write(
        self, current: RegisteredParticipant, after: RegisteredParticipant, keys: tuple[KeyVersion, ...]
    ) -> tuple[KeyVersion, ...]:
        self._participants[current.name] = after
        asked = {key.key_id for key in keys}
        return tuple(key for key in after.keys if key.key_id in asked)

    def list_keys(self, *, cursor: str | None = None) -> KeyPage:
        """One page a participant. The cursor is the name of the last one."""
        later = sorted(name for name in self._participants if cursor is None or name > cursor)
        if not later:
            return KeyPage(keys=(), next_cursor=None)
        keys = tuple(KeySummary.of(key) for key in self._participants[later[0]].keys)
        return KeyPage(keys=keys, next_cursor=later[0] if len(later) > 1 else None)


class InMemoryRoles:
    """`ParticipantRoles` in a dictionary: role ARN -> the participant it was last made for."""

    def __init__(self) -> None:
        self.roles: dict[str, Participant] = {}

    def arn_of(self, name: str) -> str:
        return f"arn:aws:iam::123456789012:role/participants/{require_managed_name(name)}"

    def ensure(self, participant: Participant) -> None:
        self.roles[self.arn_of(participant.name)] = participant


class InMemoryVault:
    """A `PrivateKeyVault` and `PrivateKeyReader` in a dictionary; it checks the role as the real one does."""

    def __init__(self) -> None:
        self.secrets: dict[str, tuple[str, PrivateKey]] = {}

    def name_secret(self, participant: str, public_key: PublicKey) -> str:
        return f"participants/{participant}/{public_key.purpose}/{public_key.key_id[:16]}"

    def store(self, key: KeyVersion, private_key: PrivateKey, *, role_arn: str) -> None:
        self.secrets[_require_secret_id(key)] = (role_arn, private_key)

    def holds(self, key: KeyVersion) -> bool:
        return key.secret_id in self.secrets

    def discard(self, key: KeyVersion) -> None:
        self.secrets.pop(_require_secret_id(key), None)

    def read(self, key: KeyVersion, *, role_arn: str, session_name: str) -> PrivateKey:  # noqa: ARG002 - the port's
        reader, private_key = self.secrets.get(_require_secret_id(key), (None, None))
        if private_key is None or reader != role_arn:
            raise AccessError(f"{role_arn} may not read {key.secret_id}; use the participant's own role")
        if private_key.public_key.key_id != key.key_id:
            raise StoredKeyMismatchError(key)
        return private_key


def _require_secret_id(key: KeyVersion) -> str:
    if key.secret_id is None:
        raise KeyNotStoredError(key)
    return key.secret_id


class InMemoryBackups:
    """A `BackupStore` in a dictionary, by name."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}

    def create(self, name: str, data: bytes) -> None:
        self.documents.setdefault(name, data)

    def replace(self, name: str, data: bytes) -> None:
        self.documents[name] = data

    def read(self, name: str, *, limit_bytes: int) -> bytes | None:
        data = self.documents.get(name)
        return None if data is None else data[: limit_bytes + 1]

    def holds(self, name: str) -> bool:
        return name in self.documents

    def remove(self, name: str) -> None:
        self.documents.pop(name, None)

    def list_names(self, *, prefix: str = "") -> Iterator[str]:
        return iter(sorted(name for name in self.documents if name.startswith(prefix)))


class InMemorySealer:
    """A `BackupSealer` that keeps what it seals to itself: what it gives out is a ticket, bound to the context."""

    key_name = "in-memory"

    def __init__(self) -> None:
        self._sealed: dict[bytes, tuple[SecretBytes, dict[str, str]]] = {}

    def seal(self, secret: SecretBytes, *, context: dict[str, str]) -> bytes:
        ticket = f"ticket-{len(self._sealed)}".encode()
        self._sealed[ticket] = (secret, dict(context))
        return ticket

    def unseal(self, sealed: bytes, *, context: dict[str, str]) -> SecretBytes:
        secret, sealed_under = self._sealed.get(sealed, (None, None))
        if secret is None or sealed_under != context:
            raise UnsealError
        return secret
