"""What the key service is told to do: one order for one participant, small enough for a queue. Safe to repeat."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pqtransfer.crypto.identity import ParticipantName
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import InputError
from pqtransfer.keys.events import KeyRotated

ORDER_LIMIT_BYTES = 8 * 1024


class MalformedOrderError(InputError):
    """An order does not say what is needed."""


class KeyAction(StrEnum):
    """What is to be done with a participant's keys."""

    ROTATE = "rotate"
    SETTLE = "settle"
    BACK_UP = "backup"


class KeyOrder(BaseModel):
    """One order.

    A rotation names what it replaces, so that the same order, twice, is one rotation: `replaces` is the key that was
    ACTIVE when the order was made (None: there was none); `unfinished` is a PENDING key that an interrupted rotation
    left. `SETTLE` retires and destroys what is due; `BACK_UP` makes the backups that are missing, or all of
    them anew with `replace_backups`: that is for backups that are there and no good. `asked_by` is the caller's word;
    `proven_caller`, which the function that takes the order writes for its record and its answer, is who AWS says
    called it. What comes from a queue proves nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: KeyAction
    participant: ParticipantName
    purpose: KeyPurpose | None = None
    replaces: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    unfinished: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    replace_backups: bool = False
    asked_by: str = Field(min_length=1, max_length=1024)
    correlation_id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    proven_caller: str | None = Field(default=None, min_length=1, max_length=2048)

    @property
    def actor(self) -> str:
        """Who gave it: who was proven to, or else who says so."""
        return self.proven_caller or self.asked_by

    @property
    def callers(self) -> dict[str, str]:
        """What an event says of who gave it."""
        proven = {} if self.proven_caller is None else {"caller_proven": self.proven_caller}
        return {"caller_says": self.asked_by, **proven}

    @model_validator(mode="after")
    def _require_purpose_of_rotation(self) -> Self:
        if (self.action is KeyAction.ROTATE) != (self.purpose is not None):
            raise ValueError("a rotation, and nothing else, is of one purpose")
        if self.action is not KeyAction.ROTATE and (self.replaces or self.unfinished):
            raise ValueError("only a rotation replaces or finishes a key")
        if self.action is not KeyAction.BACK_UP and self.replace_backups:
            raise ValueError("only an order to back up replaces backups")
        return self


class KeyOrders(Protocol):
    """Where orders wait for the key service."""

    def send(self, orders: Iterable[KeyOrder]) -> int:
        """Hand orders over, durably, and return how many. Those of one participant are carried out one by one.

        Raises:
            CloudError: some may not have been taken; sending all of them again is safe.
        """

    def continue_sweep(self, cursor: str) -> None:
        """Hand over the rest of a search for what is due."""


class KeyAnnouncer(Protocol):
    """Who tells the others of a new key."""

    def announce(self, rotated: KeyRotated) -> None:
        """Tell it, durably.

        Raises:
            CloudError: it may not have been told; telling it again is safe.
        """


def without_proof(order: KeyOrder) -> KeyOrder:
    """The order as it goes through a queue, or comes from one: whoever writes to a queue can write any name."""
    return order.model_copy(update={"proven_caller": None})


def read_order(document: object) -> KeyOrder:
    """The order in `document`, already parsed from JSON.

    Raises:
        MalformedOrderError: names the fields that are wrong, never their values.
    """
    try:
        return KeyOrder.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'order'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)[:5]
        )
        raise MalformedOrderError(f"this is no order for the key service: {problems}") from None
