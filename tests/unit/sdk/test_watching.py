"""Watching a transfer: no older state after a newer one, patience with a busy table, and what stands still is said."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from pqtransfer.aws.failures import CloudUnavailableError
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.sdk.watching import LONGEST_POLL_SECONDS, POLL_SECONDS, Sighting, choose_wait, watch_transfer
from pqtransfer.transfers.container import NotReadyError
from pqtransfer.transfers.heartbeat import BEAT_SECONDS
from pqtransfer.transfers.ledger import Failure, Progress, TransferNotFoundError, TransferRecord, TransferState
from pqtransfer.transfers.live import LiveTransfer
from pqtransfer.transfers.request import TransferRequest
from tests.containers import TRANSFER_ID
from tests.fakes.clocks import BEGINNING, FakeClock

REQUEST = TransferRequest(
    transfer_id=TRANSFER_ID, kind="upload", sender="alice", recipients=("bob",), correlation_id="c"
)
BUSY = CloudUnavailableError("throttled", aws_code="ProvisionedThroughputExceededException")


def record(state: str = "RUNNING", *, attempt: int = 1, told_at: float | None = None, done: int = 0) -> TransferRecord:
    """A row as it was at a second."""
    return TransferRecord(
        request=REQUEST,
        state=TransferState(state),
        submitted_at=BEGINNING,
        changed_at=BEGINNING,
        attempt=attempt,
        owner="worker-1",
        progress=Progress(bytes_done=done, bytes_total=9),
        progress_at=None if told_at is None else BEGINNING + timedelta(seconds=told_at),
    )


class Answers:
    """A ledger that gives these answers in turn, the last one again and again; the time of each is noted."""

    def __init__(self, clock: FakeClock, *answers: TransferRecord | PqtransferError) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.asked_at: list[float] = []

    def peek(self, transfer_id: str) -> TransferRecord:
        assert transfer_id == TRANSFER_ID
        self.asked_at.append(self.clock.seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, PqtransferError):
            raise answer
        return answer

    def list_live(self, state: TransferState, *, limit: int) -> list[LiveTransfer]:  # noqa: ARG002 - the port's
        raise AssertionError("a watcher of one transfer lists nothing")


Watch = Callable[..., list[Sighting]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def watch(clock: FakeClock, answers: Answers, **options: float) -> list[Sighting]:
    """Everything that was seen to the end."""
    first = record("SUBMITTED", attempt=0)
    return list(watch_transfer(answers, first, monotonic=clock.monotonic, sleep=clock.advance, **options))


@pytest.mark.requirement("D3.6")
def test_a_watcher_is_at_most_two_seconds_behind() -> None:
    """The worker speaks every second, the watcher looks every half: what is left is for the two calls."""
    assert BEAT_SECONDS + POLL_SECONDS <= 1.5


def test_what_is_seen_never_goes_back(clock: FakeClock) -> None:
    """Copies of the table answer out of order, or do not know the row yet."""
    answers = Answers(
        clock,
        TransferNotFoundError(TRANSFER_ID),
        record(told_at=2, done=4),
        record(told_at=1, done=2),
        record("SUBMITTED", attempt=0),
        record(told_at=3, done=6),
        record(attempt=2, told_at=2.5, done=6),  # by a worker whose clock is behind
        record(attempt=1, told_at=3, done=6),
        record("COMPLETED", attempt=2, told_at=4, done=9),
    )
    seen = watch(clock, answers)
    assert [each.record.progress.bytes_done for each in seen if each.is_news] == [0, 4, 6, 6, 9]
    assert [each.record.attempt for each in seen] == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert seen[-1].record.state is TransferState.COMPLETED


def test_a_busy_table_is_asked_less_and_less(clock: FakeClock) -> None:
    """And the first answer afterwards counts as always."""
    answers = Answers(clock, *[BUSY] * 5, record(told_at=1), record("COMPLETED", told_at=2))
    seen = watch(clock, answers)
    waits = [later - earlier for earlier, later in zip(answers.asked_at, answers.asked_at[1:], strict=False)]
    assert all(wait >= POLL_SECONDS for wait in waits)
    assert waits[3] > 2 * POLL_SECONDS
    assert waits[-1] == POLL_SECONDS
    assert seen[-1].record.state is TransferState.COMPLETED


@pytest.mark.parametrize("failures", range(1, 2000, 100))
def test_waits_are_bounded(failures: int) -> None:
    """However long it lasts."""
    assert 0 < choose_wait(failures) <= LONGEST_POLL_SECONDS


def test_no_answer_for_a_minute_ends_it(clock: FakeClock) -> None:
    """With the reason, so that the command ends with exit code 5."""
    with pytest.raises(UnavailableError, match="throttled"):
        watch(clock, Answers(clock, BUSY))
    assert 60 <= clock.seconds <= 60 + LONGEST_POLL_SECONDS


def test_a_timeout_is_kept(clock: FakeClock) -> None:
    """As whoever waits asked for it."""
    with pytest.raises(NotReadyError):
        watch(clock, Answers(clock, record(told_at=1)), timeout_seconds=10.0)
    assert clock.seconds == 10


@pytest.mark.requirement("D3.6")
def test_a_worker_that_says_nothing_is_noticed_once(clock: FakeClock) -> None:
    """It is news when it stalls, and when it goes on, and not in between."""
    answers = Answers(clock, *[record(told_at=1)] * 100, record(told_at=2), record("FAILED", told_at=2))
    seen = watch(clock, answers, stalled_after_seconds=20.0)
    news = [each for each in seen if each.is_news]
    assert [(each.record.state, each.stalled) for each in news] == [
        ("SUBMITTED", None),
        ("RUNNING", None),
        ("RUNNING", "no word from its worker for 20 s"),
        ("RUNNING", None),
        ("FAILED", None),
    ]


def test_a_transfer_that_has_ended_is_seen_once(clock: FakeClock) -> None:
    """Nothing more is asked."""
    answers = Answers(clock, record())
    ended = record("CANCELLED")
    (only,) = watch_transfer(answers, ended, monotonic=clock.monotonic, sleep=clock.advance)
    assert (only.record, only.is_news, answers.asked_at) == (ended, True, [])
    assert Failure(code="X", message="y").exit_code == 1
