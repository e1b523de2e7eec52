"""What still needs a key: the port that is asked before a private key is destroyed."""

from typing import Protocol

from pqtransfer.errors import UnavailableError


class DependentsUnknownError(UnavailableError):
    """Whether an envelope still needs a key cannot be told now. The key stays."""

    def __init__(self, key_id: str, reason: str) -> None:
        super().__init__(f"whether an envelope still needs key {key_id[:16]} is not known ({reason}); it is kept")


class KeyDependents(Protocol):
    """The envelopes that stand on a key."""

    def has_dependents(self, key_id: str) -> bool:
        """True when at least one envelope is wrapped to this key.

        Raises:
            PqtransferError: it cannot be told. An implementation never answers False out of ignorance.
        """
