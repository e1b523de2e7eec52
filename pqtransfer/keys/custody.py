"""Where the private keys of managed participants live, as the domain sees it: three ports.

A secret gets its value only after the rule about who may read it is in place, and only the participant's role may.
"""

from typing import Protocol

from pqtransfer.crypto.keypairs import PrivateKey, PublicKey
from pqtransfer.errors import AccessError, IntegrityError
from pqtransfer.keys.participant import KeyVersion, Participant


class StoredKeyMismatchError(IntegrityError):
    """The secret store returned a private key that is not the one the registry names."""

    def __init__(self, key: KeyVersion) -> None:
        super().__init__(
            f"the stored private key of {key.participant} is not that of {key.purpose} key {key.key_id[:16]}; "
            "treat the participant's keys as compromised"
        )


class KeyNotStoredError(AccessError):
    """The system does not hold this private key: its participant keeps it."""

    def __init__(self, key: KeyVersion) -> None:
        super().__init__(
            f"{key.participant} keeps its own private keys; what needs its {key.purpose} key is done where that key is"
        )


class ParticipantRoles(Protocol):
    """The roles that managed participants act under."""

    def arn_of(self, name: str) -> str:
        """The ARN of a participant's role, whether it exists yet or not."""

    def ensure(self, participant: Participant) -> None:
        """Make the participant's role, or bring it to what the participant says. Safe to repeat."""


class PrivateKeyVault(Protocol):
    """The store that private keys are put into. It does not give them back: reading takes the participant's role."""

    def name_secret(self, participant: str, public_key: PublicKey) -> str:
        """The id that the private half of this key is stored under."""

    def store(self, key: KeyVersion, private_key: PrivateKey, *, role_arn: str) -> None:
        """Store a private key so that this role alone can read it. Safe to repeat with the same key."""

    def holds(self, key: KeyVersion) -> bool:
        """True when the private key was stored completely."""

    def discard(self, key: KeyVersion) -> None:
        """Delete a private key for good; nothing happens when there is none. Only for keys that never were in use."""


class PrivateKeyReader(Protocol):
    """The way to a private key: acting under the participant's role."""

    def read(self, key: KeyVersion, *, role_arn: str, session_name: str) -> PrivateKey:
        """The private half of a managed key.

        Args:
            session_name: who reads and for what, for the cloud's own trail; 2-64 characters.

        Raises:
            AccessError: the role cannot be taken, or may not read this secret.
            StoredKeyMismatchError: the stored key is another one.
        """
