"""A registry that remembers participants for a moment: for many questions in a row that the next moment may answer too.

Nothing is taken into use by what it says: keys are reserved by the registry itself.
"""

import threading
from collections.abc import Callable

from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.keys.registry import KeyRegistry

MAX_AGE_SECONDS = 1.0


class RecentRegistry:
    """Reads through a registry; what was read is at most `max_age_seconds` old."""

    def __init__(
        self, registry: KeyRegistry, *, monotonic: Callable[[], float], max_age_seconds: float = MAX_AGE_SECONDS
    ) -> None:
        self._registry = registry
        self._monotonic = monotonic
        self._max_age_seconds = max_age_seconds
        self._lock = threading.Lock()
        self._read: dict[str, tuple[float, RegisteredParticipant]] = {}

    def load(self, name: str) -> RegisteredParticipant:
        """As `KeyRegistry.load`."""
        now = self._monotonic()
        with self._lock:
            read_at, registered = self._read.get(name, (float("-inf"), None))
        if registered is None or now - read_at > self._max_age_seconds:
            registered = self._registry.load(name)
            with self._lock:
                self._read[name] = (now, registered)
        return registered

    def list_all(self) -> list[RegisteredParticipant]:
        """As `KeyRegistry.list_all`."""
        return self._registry.list_all()
