"""SHA-256 over a stream whose parts are processed by several threads: each part waits for its turn."""

import hashlib
import threading
from collections.abc import Iterable

from cryptography.utils import Buffer

from pqtransfer.transfers.parts import StoppedError


class OrderedHash:
    """Hashes parts in the order of their index, whoever brings them. Costs one hashing pass; off unless asked for."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._turn = 0
        self._abandoned = False
        self._changed = threading.Condition()

    def add(self, index: int, slices: Iterable[Buffer]) -> None:
        """Hash part `index`, in slices, once all before it are hashed. Start parts in order, or this waits for ever.

        Raises:
            StoppedError: the run was abandoned, so that turn never comes.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._turn == index or self._abandoned)
            if self._abandoned:
                raise StoppedError("hashing was abandoned because another part failed")
        for data in slices:
            self._hash.update(data)
        with self._changed:
            self._turn += 1
            self._changed.notify_all()

    def abandon(self) -> None:
        """Let every waiting thread go: a part failed."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def digest(self) -> bytes:
        """The digest of all parts so far."""
        return self._hash.digest()
