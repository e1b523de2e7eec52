"""A transfer that stands still is told from one that goes on, without comparing two clocks."""

import pytest

from pqtransfer.transfers.ledger import Progress, TransferState
from pqtransfer.transfers.stalling import Silence, explain_stall

WORD = (TransferState.RUNNING, 1, None)


@pytest.mark.requirement("D3.6")
@pytest.mark.parametrize(
    ("state", "idle", "silent", "said"),
    [
        (TransferState.RUNNING, 0.0, 0.0, None),
        (TransferState.RUNNING, 29.0, 0.5, None),
        (TransferState.RUNNING, 29.0, 1.0, "no part done for 30 s"),
        (TransferState.RUNNING, 500.0, 0.0, "no part done for 500 s"),
        (TransferState.RUNNING, 0.0, 30.0, "no word from its worker for 30 s"),
        (TransferState.RUNNING, 90.0, 31.0, "no word from its worker for 31 s"),
        (TransferState.SUBMITTED, 0.0, 900.0, None),  # it waits
        (TransferState.COMPLETED, 90.0, 900.0, None),
        (TransferState.FAILED, 90.0, 900.0, None),
    ],
)
def test_what_is_said_of_a_transfer(state: TransferState, idle: float, silent: float, said: str | None) -> None:
    """Which of the two it is decides whom to look at: the worker, or what it reads and writes."""
    stalled = explain_stall(state, Progress(idle_seconds=idle), silent_seconds=silent, stalled_after_seconds=30.0)
    assert stalled == said


def test_silence_is_measured_from_the_last_new_word() -> None:
    """The same word again is none; another transfer's does not count."""
    silence = Silence()
    assert silence.measure("a", WORD, at=100.0) == 0
    assert silence.measure("b", WORD, at=103.0) == 0
    assert silence.measure("a", WORD, at=107.0) == 7
    assert silence.measure("a", (TransferState.RUNNING, 2, None), at=108.0) == 0
    assert silence.measure("a", (TransferState.RUNNING, 2, None), at=109.0) == 1
    silence.forget_all_but({"b"})
    assert silence.measure("a", (TransferState.RUNNING, 2, None), at=120.0) == 0
    assert silence.measure("b", WORD, at=120.0) == 17
