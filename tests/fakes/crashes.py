"""Ports whose process dies at one of their writes: before it takes effect, or right after."""

from typing import Any


class CrashError(BaseException):
    """The process dies here; no handler of errors sees it."""


class CrashingPort:
    """A port in front of a real one. `countdown` is shared by all ports of a process."""

    def __init__(self, port: Any, countdown: list[int], *, after_effect: bool, writes: frozenset[str]) -> None:
        self._port, self._countdown, self._after_effect, self._writes = port, countdown, after_effect, writes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in self._writes:
            return method

        def write(*arguments: Any, **named: Any) -> Any:
            self._countdown[0] -= 1
            dies = self._countdown[0] == 0
            if dies and not self._after_effect:
                raise CrashError
            result = method(*arguments, **named)
            if dies:
                raise CrashError
            return result

        return write
