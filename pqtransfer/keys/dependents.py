"""What still needs a key: the port that is asked before a private key is destroyed."""

from datetime import datetime
from typing import Protocol

from pqtransfer.errors import UnavailableError


class DependentsUnknownError(UnavailableError):
    """Whether an envelope still needs a key cannot be told now. The key stays."""

    def __init__(self, key_id: str, reason: str) -> None:
        super().__init__(f"whether an envelope still needs key {key_id[:16]} is not known ({reason}); it is kept")


class KeyDependents(Protocol):
    """The envelopes that stand on a key."""

    def has_dependents(self, key_id: str, *, since: datetime | None = None) -> bool:
        """True when at least one envelope is wrapped to this key.

        Args:
            since: when the key came out of use for good. Then what is on record does not count alone: the containers
                themselves must have been read after that, all of them. None: what is on record will do.

        Raises:
            PqtransferError: it cannot be told. An implementation never answers False out of ignorance.
        """
