"""Whoever can use a participant's private keys: from a key directory, or through the participant's role."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey
from pqtransfer.keys.custody import KeyNotStoredError, PrivateKeyReader
from pqtransfer.keys.participant import KeyVersion
from pqtransfer.keys.registry import KeyRegistry, find_active_key, find_opening_key


class KeyHolder(Protocol):
    """A participant that can sign and open. Private keys are fetched when they are used, not before."""

    @property
    def participant(self) -> str:
        """Its name."""

    def public_kem_key(self) -> PublicKey:
        """The KEM key that others wrap to now."""

    def signing_key(self) -> PrivateKey:
        """The key that signs now."""

    def opening_keys(self, key_ids: Iterable[str]) -> list[PrivateKey]:
        """Those of its KEM keys that are among `key_ids`; none is no error."""


@dataclass(frozen=True)
class LocalKeyHolder:
    """A participant that keeps its keys in a key directory."""

    identity: PrivateIdentity

    @property
    def participant(self) -> str:
        return self.identity.participant

    def public_kem_key(self) -> PublicKey:
        return self.identity.kem.public_key

    def signing_key(self) -> PrivateKey:
        return self.identity.signing

    def opening_keys(self, key_ids: Iterable[str]) -> list[PrivateKey]:
        return [self.identity.kem] if self.identity.kem.public_key.key_id in key_ids else []


@dataclass(frozen=True)
class ManagedKeyHolder:
    """A managed participant: its keys are read through its role, which the caller must be allowed to take.

    `session_name` says who reads, for the cloud's own trail.
    """

    participant: str
    registry: KeyRegistry
    reader: PrivateKeyReader
    session_name: str

    def public_kem_key(self) -> PublicKey:
        return find_active_key(self.participant, KeyPurpose.KEM, registry=self.registry).public_key

    def signing_key(self) -> PrivateKey:
        return self._read(find_active_key(self.participant, KeyPurpose.SIGNING, registry=self.registry))

    def opening_keys(self, key_ids: Iterable[str]) -> list[PrivateKey]:
        held = {key.key_id for key in self.registry.load(self.participant).keys}
        return [
            self._read(find_opening_key(self.participant, key_id, registry=self.registry))
            for key_id in key_ids
            if key_id in held
        ]

    def _read(self, key: KeyVersion) -> PrivateKey:
        role_arn = self.registry.load(self.participant).participant.role_arn
        if role_arn is None:
            raise KeyNotStoredError(key)
        return self.reader.read(key, role_arn=role_arn, session_name=self.session_name[:64])
