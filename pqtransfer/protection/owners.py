"""Whose a key is: a stanza names a key by its id, and who owns it stands in the registry alone."""

from collections.abc import Callable, Iterable
from typing import Protocol

from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.errors import AccessError, InputError
from pqtransfer.keys.custody import PrivateKeyReader
from pqtransfer.keys.lifecycle import KeyState, may_open
from pqtransfer.keys.participant import KeyVersion, RegisteredParticipant
from pqtransfer.keys.registry import ParticipantUnknownError


class ParticipantDirectory(Protocol):
    """The part of a registry that is asked who somebody is."""

    def load(self, name: str) -> RegisteredParticipant:
        """As `KeyRegistry.load`."""

    def list_all(self) -> list[RegisteredParticipant]:
        """As `KeyRegistry.list_all`."""


class UnknownRecipientError(InputError):
    """An envelope is wrapped to a key that nobody is registered with."""

    def __init__(self, transfer_id: str, key_id: str) -> None:
        super().__init__(
            f"transfer {transfer_id} is wrapped to key {key_id[:16]}, which nobody is registered with; "
            "ask its sender whom it is for, and rewrap it to their names"
        )


class NobodyHereCanOpenError(AccessError):
    """The system keeps no private key that opens the envelope."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(
            f"no recipient of transfer {transfer_id} has its keys kept by the system; "
            "ask its sender, or a recipient, to rewrap it"
        )


class KeyOwners:
    """Finds owners, and remembers them: a key never changes hands. What a key may be used for is always read anew."""

    def __init__(self, registry: ParticipantDirectory, *, among_everybody: bool = True) -> None:
        """`among_everybody`: who is not among the candidates is looked for among all participants."""
        self._registry = registry
        self._names: dict[str, str] = {}
        self._listed = not among_everybody

    def find(self, key_ids: Iterable[str], *, candidates: Callable[[], Iterable[str]]) -> dict[str, str]:
        """The owner of each key, by key id. Ids that nobody is registered with are left out.

        `candidates` are looked at first; when that was not enough, everybody is, if that was not ruled out.
        """
        wanted = tuple(key_ids)
        if any(key_id not in self._names for key_id in wanted):
            for name in candidates():
                self._learn(name)
        if any(key_id not in self._names for key_id in wanted) and not self._listed:
            for registered in self._registry.list_all():
                self._remember(registered)
            self._listed = True
        return {key_id: self._names[key_id] for key_id in wanted if key_id in self._names}

    def _learn(self, name: str) -> None:
        try:
            self._remember(self._registry.load(name))
        except ParticipantUnknownError:
            return

    def _remember(self, registered: RegisteredParticipant) -> None:
        self._names.update({key.key_id: registered.name for key in registered.keys})


def find_managed_keys(registry: ParticipantDirectory, owners: dict[str, str], *, rescue: bool) -> list[KeyVersion]:
    """The keys among `owners` whose private halves the system keeps, those that may be used before the revoked ones.

    With `rescue`, revoked keys are among them: the thief has them too, so opening with one, to wrap anew what it
    protected, gives nothing away. Nothing else may ever be done with them.
    """
    found = []
    for name in dict.fromkeys(owners.values()):
        registered = registry.load(name)
        if registered.participant.role_arn is None:
            continue
        found += [key for key in registered.keys if key.key_id in owners and key.secret_id is not None]
    usable = [key for key in found if may_open(key.state)]
    revoked = [key for key in found if rescue and key.state is KeyState.REVOKED]
    return [*usable, *revoked]


def read_managed_key(
    key: KeyVersion, *, registry: ParticipantDirectory, reader: PrivateKeyReader, session_name: str
) -> PrivateKey:
    """The private half of a managed key, read as its participant.

    Raises:
        CloudError, StoredKeyMismatchError: it cannot be had.
    """
    role_arn = registry.load(key.participant).participant.role_arn
    return reader.read(key, role_arn=str(role_arn), session_name=session_name[:64])
