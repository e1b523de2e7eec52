"""What the scaling decision publishes of the queue that it looked at."""

from datetime import UTC, datetime, timedelta

import pytest

from functions.decide_scaling.measuring import measure_queue
from pqtransfer.operations.metrics import BYTES_WAITING, MESSAGES_IN_FLIGHT, MESSAGES_WAITING, QUEUE_AGE, Metric
from pqtransfer.scaling.observing import Observation, WaitingTransfer

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def waiting(minutes: int, size_bytes: int | None) -> WaitingTransfer:
    return WaitingTransfer(NOW - timedelta(minutes=minutes), size_bytes)


@pytest.mark.requirement("D3.1")
@pytest.mark.parametrize(
    ("messages", "in_flight", "oldest", "values"),
    [
        (0, 0, (), {MESSAGES_WAITING: 0, MESSAGES_IN_FLIGHT: 0, BYTES_WAITING: 0, QUEUE_AGE: 0}),
        (
            10, 2, (waiting(5, 100), waiting(3, None), waiting(1, 300)),
            {MESSAGES_WAITING: 10, MESSAGES_IN_FLIGHT: 2, BYTES_WAITING: 2000, QUEUE_AGE: 300},
        ),
        (3, 0, (waiting(1, None),), {MESSAGES_WAITING: 3, MESSAGES_IN_FLIGHT: 0, QUEUE_AGE: 60}),  # no size is known
        (None, None, None, {}),
        (3, None, None, {MESSAGES_WAITING: 3}),
    ],
)  # fmt: skip
def test_what_is_known_is_published(
    messages: int | None,
    in_flight: int | None,
    oldest: tuple[WaitingTransfer, ...] | None,
    values: dict[Metric, float],
) -> None:
    """And what is not has no number, rather than 0."""
    seen = Observation(
        at=NOW, desired=1, running=1, pending=0,
        messages_waiting=messages, messages_in_flight=in_flight, oldest_waiting=oldest,
    )  # fmt: skip
    assert measure_queue(seen) == values
