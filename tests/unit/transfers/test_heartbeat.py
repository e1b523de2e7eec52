"""The heartbeat keeps the lease, and stops the job as soon as the lease is somebody else's or may be."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.transfers import heartbeat as heartbeat_module
from pqtransfer.transfers.heartbeat import Heartbeat, LeaseExpiredError
from pqtransfer.transfers.ledger import Lease, LeaseLostError, Progress, TransferLedger, TransferState
from pqtransfer.transfers.parts import StopSignal
from pqtransfer.transfers.progress import ProgressMeter
from tests.containers import TRANSFER_ID

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
LEASE_SECONDS = 60


class Scene:
    """A heartbeat with a clock that is set by hand and a ledger that says what it is told to say."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.answer: PqtransferError | None = None
        self.renewals: list[dict[str, Any]] = []
        self.beats: list[Progress] = []
        self.stop = StopSignal()
        self.heartbeat = Heartbeat(
            Lease(transfer_id=TRANSFER_ID, owner="worker", attempt=1),
            ledger=cast(TransferLedger, self),
            stop=self.stop,
            lease_seconds=LEASE_SECONDS,
            now=lambda: START + timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            on_beat=self.beats.append,
        )

    def renew(self, _lease: Lease, **renewal: Any) -> None:
        if self.answer is not None:
            raise self.answer
        self.renewals.append(renewal)

    def beat_at(self, seconds: float) -> None:
        self.seconds = seconds
        self.heartbeat.beat()


def test_a_beat_renews_the_lease_with_progress() -> None:
    """From the moment of the beat on."""
    scene = Scene()
    meter = ProgressMeter(bytes_total=100, parts_total=1, started_at=0.0)
    meter.add(40, parts=0, at=1.0)
    scene.heartbeat.watch(meter)
    scene.beat_at(5)
    assert scene.renewals[0]["lease_expires_at"] == START + timedelta(seconds=5 + LEASE_SECONDS)
    assert scene.renewals[0]["progress"].bytes_done == 40
    assert scene.beats[0].bytes_done == 40
    assert not scene.stop.is_set


def test_a_lost_lease_stops_the_job() -> None:
    """Cancelled, or taken over: the reason is what the job raises."""
    scene = Scene()
    scene.answer = LeaseLostError(TRANSFER_ID, TransferState.CANCELLED)
    scene.beat_at(1)
    with pytest.raises(LeaseLostError):
        scene.stop.raise_if_set()


def test_a_ledger_that_does_not_answer_is_borne_until_the_lease_expires() -> None:
    """Not longer: another worker may have the transfer then."""
    scene = Scene()
    scene.beat_at(10)
    scene.answer = UnavailableError("throttled")
    for seconds in (11, 40, 10 + LEASE_SECONDS - 1):
        scene.beat_at(seconds)
        assert not scene.stop.is_set
    scene.beat_at(10 + LEASE_SECONDS)
    with pytest.raises(LeaseExpiredError, match="throttled"):
        scene.stop.raise_if_set()


def test_a_ledger_that_answers_again_in_time_is_forgiven() -> None:
    """The lease counts from the last renewal that worked."""
    scene = Scene()
    scene.answer = UnavailableError("throttled")
    scene.beat_at(LEASE_SECONDS - 1)
    scene.answer = None
    scene.beat_at(LEASE_SECONDS - 0.5)
    scene.answer = UnavailableError("throttled")
    scene.beat_at(LEASE_SECONDS + 10)
    assert not scene.stop.is_set


def test_it_beats_by_itself_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread of its own, which is gone afterwards."""
    monkeypatch.setattr(heartbeat_module, "BEAT_SECONDS", 0.002)
    scene = Scene()
    with scene.heartbeat:
        while len(scene.beats) < 3:
            scene.stop.wait(0.001)
    count = len(scene.beats)
    scene.stop.wait(0.02)
    assert len(scene.beats) == count
