"""Where decisions are kept: numbered, so that of two runs at the same time only one decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from pqtransfer.errors import IntegrityError
from pqtransfer.scaling.deciding import Decision

_DECISION = TypeAdapter(Decision)


class DecisionDamagedError(IntegrityError):
    """What stands in the history is not a decision."""

    def __init__(self, number: int) -> None:
        super().__init__(f"decision {number} on the fleet cannot be read; delete its row: the next run decides anew")


@dataclass(frozen=True)
class Numbered:
    """A decision and its number in the history."""

    number: int
    decision: Decision


class DecisionHistory(Protocol):
    """The last decisions on one service."""

    def read_recent(self, *, limit: int) -> Sequence[Numbered]:
        """The last ones, newest first.

        Raises:
            DecisionDamagedError: one of them cannot be read.
            CloudError: the history cannot be read.
        """

    def add(self, number: int, decision: Decision) -> bool:
        """Keep a decision under the next number; False when another run has taken it.

        Raises:
            CloudError: it could not be kept.
        """

    def mark_applied(self, number: int) -> None:
        """The service was told.

        Raises:
            CloudError: it could not be noted; the next run takes it for a decision that was not carried out.
        """


def write_decision(decision: Decision) -> str:
    """A decision as JSON."""
    return _DECISION.dump_json(decision, exclude_none=True).decode()


def read_decision(number: int, text: str) -> Decision:
    """Read what `write_decision` wrote.

    Raises:
        DecisionDamagedError: it is something else.
    """
    try:
        return _DECISION.validate_json(text)
    except ValidationError:
        raise DecisionDamagedError(number) from None
