"""A silence: for a time, and for a reason, nobody is told of some alerts. It always ends."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from pqtransfer.errors import InputError


class InvalidSilenceError(InputError):
    """This cannot be silenced so."""


class Silence(BaseModel):
    """Nobody is told of alerts with this code, or of the one with this id, until it expires."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    silence_id: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$")
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")] | None = None
    alert_id: Annotated[str, Field(pattern=r"^[0-9a-f]{20}$")] | None = None
    reason: str = Field(min_length=1, max_length=256)
    made_by: str = Field(min_length=1, max_length=256)
    made_at: AwareDatetime
    expires_at: AwareDatetime

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.code is None) == (self.alert_id is None):
            raise ValueError("names a code or an alert, and not both")
        if self.expires_at <= self.made_at:
            raise ValueError("ends before it begins")
        return self

    def require_short(self, *, at_most: timedelta) -> None:
        """Check that it ends soon enough.

        Raises:
            InvalidSilenceError: it does not.
        """
        if self.expires_at - self.made_at > at_most:
            raise InvalidSilenceError(
                f"a silence lasts {at_most.days} days at most: make a shorter one, and mend what it is about"
            )

    def matches(self, *, alert_id: str, codes: Iterable[str]) -> bool:
        """Whether it is about an alert: about its id, or about everything that it consists of."""
        return alert_id == self.alert_id if self.code is None else set(codes) == {self.code}


def find_silence_end(
    silences: Iterable[Silence], *, alert_id: str, codes: Iterable[str], at: datetime
) -> datetime | None:
    """Until when an alert is silenced at `at`; None when it is not."""
    known = tuple(codes)
    ends = [
        each.expires_at
        for each in silences
        if each.made_at <= at < each.expires_at and each.matches(alert_id=alert_id, codes=known)
    ]
    return max(ends, default=None)
