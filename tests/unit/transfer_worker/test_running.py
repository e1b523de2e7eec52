"""The loop around the messages: when it ends, how it waits out an outage, and how long it waits."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.aws.failures import CloudUnavailableError
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import TransferResult, TransferState
from pqtransfer.transfers.request import TransferRequest
from tests.unit.transfer_worker.conftest import RESULT, Fleet
from transfer_worker import loop
from transfer_worker.health import STALE_SECONDS
from transfer_worker.refusals import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, backoff_seconds


def test_it_takes_what_waits_until_it_is_stopped(fleet: Fleet) -> None:
    """One transfer, then the stop: the loop ends and nothing more is taken."""
    fleet.queue.send("never read")

    def work(_request: TransferRequest, _context: JobContext) -> TransferResult:
        fleet.shutdown.request()
        return RESULT

    fleet.pipeline.attempts = [work]
    fleet.worker().run()
    assert fleet.record.state is TransferState.COMPLETED
    assert [waiting.body for waiting in fleet.queue.messages] == ["never read"]


@pytest.mark.parametrize("what", ["queue", "ledger"])
def test_an_outage_is_waited_out(fleet: Fleet, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try waits; the worker is not ready meanwhile; then the transfer is done."""
    monkeypatch.setattr(loop, "LONGEST_IDLE_SECONDS", 0.002)
    broken = fleet.queue if what == "queue" else fleet.ledger
    broken.outage = CloudUnavailableError("no answer", aws_code="503")
    ready: list[bool] = []
    turned = fleet.health.turned

    def look(*, queue_reached: bool) -> None:
        turned(queue_reached=queue_reached)
        ready.append(fleet.health.read()[1])
        fleet.clock.advance(61)
        if len(ready) == 3:
            broken.outage = None
        if len(ready) == 4:
            fleet.shutdown.request()

    fleet.health.turned = look  # type: ignore[method-assign]
    worker = fleet.worker()
    object.__setattr__(worker.settings, "max_receives", 9)
    worker.run()
    assert ready == [False, False, False, True, True]  # in the last round also in between
    assert fleet.record.state is TransferState.COMPLETED


def test_a_stop_ends_the_wait_of_an_outage(fleet: Fleet) -> None:
    """SIGTERM is not slept through."""
    fleet.queue.outage = CloudUnavailableError("no answer", aws_code="503")
    thread = threading.Thread(target=fleet.worker().run, daemon=True)
    thread.start()
    fleet.shutdown.request()
    thread.join(5)
    assert not thread.is_alive()


@given(st.integers(min_value=1, max_value=10**9))
def test_waits_are_bounded(attempt: int) -> None:
    """Never below half the first step, never above the step's ceiling or ten minutes, also after a very long outage."""
    ceiling = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(attempt - 1, 20))
    assert FIRST_RETRY_SECONDS / 2 <= backoff_seconds(attempt) <= ceiling


def test_waits_differ() -> None:
    """Workers that failed together do not come back together."""
    assert len({backoff_seconds(5) for _ in range(20)}) > 15


def test_an_idle_worker_in_an_outage_is_not_taken_for_hung() -> None:
    """Its waits are shorter than what the health check calls hung."""
    assert STALE_SECONDS / 2 > loop.LONGEST_IDLE_SECONDS
