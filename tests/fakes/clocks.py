"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """The same time for the calendar (`now`) and for durations (`monotonic`)."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.seconds)
