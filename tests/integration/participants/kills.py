"""A process that is killed at one of its calls to AWS."""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any

import botocore.client
import pytest


class KilledError(BaseException):
    """The process is killed: no handler of errors sees it."""


@contextmanager
def killed_at(
    monkeypatch: pytest.MonkeyPatch, writes: Set[str], *, write: int, after_effect: bool
) -> Iterator[list[str]]:
    """Kill the process at the n-th call of `writes` (0 for never); yields the names of these calls as they are made."""
    calls: list[str] = []
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def make_api_call(self: Any, operation: str, parameters: Any) -> Any:
        dies = False
        if operation in writes:
            calls.append(operation)
            dies = len(calls) == write
        if dies and not after_effect:
            raise KilledError
        try:
            return call(self, operation, parameters)
        finally:
            if dies:
                raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", make_api_call)
        yield calls
