"""What a job lets be measured: how long each part takes, and how long it waits for its source. The gauge has the clock.

It is asked once for a part. For a slice (1 MiB) that is read it looks at a clock twice, against the 200 µs that the
slice takes to be encrypted.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from cryptography.utils import Buffer


class PartGauge(Protocol):
    """Who measures. It is asked by many threads at once."""

    def working(self, *, of: int) -> AbstractContextManager[None]:
        """One of `of` threads has a part for as long as the block lasts."""

    def reading(self, slices: Iterable[Buffer]) -> Iterable[Buffer]:
        """The same slices, as they are read."""


class Ungauged:
    """Nothing is measured."""

    def working(self, *, of: int) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's
        return nullcontext()

    def reading(self, slices: Iterable[Buffer]) -> Iterable[Buffer]:
        return slices


UNGAUGED: PartGauge = Ungauged()
