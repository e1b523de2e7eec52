"""The heartbeat of a running transfer: progress for whoever watches, and the end of the job when the lease is lost."""

from datetime import timedelta

import pytest

from pqtransfer.aws.failures import CloudAccessDeniedError, CloudUnavailableError
from pqtransfer.errors import PqtransferError
from pqtransfer.transfers.heartbeat import BEAT_SECONDS, Heartbeat, LeaseExpiredError
from pqtransfer.transfers.ledger import LeaseLostError, Progress, TransferState
from pqtransfer.transfers.parts import StoppedError, StopSignal
from pqtransfer.transfers.progress import ProgressMeter
from pqtransfer.transfers.request import TransferRequest
from tests.containers import TRANSFER_ID
from tests.fakes.clocks import FakeClock
from tests.fakes.ledgers import InMemoryLedger

LEASE_SECONDS = 60


class Patient:
    """A claimed transfer and its heartbeat."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ledger = InMemoryLedger()
        self.stop = StopSignal()
        self.seen: list[Progress] = []
        self.on_beat_error: PqtransferError | None = None
        request = TransferRequest(
            transfer_id=TRANSFER_ID, kind="upload", sender="alice", recipients=("bob",), correlation_id="c"
        )
        self.ledger.submit(request, at=self.clock.now())
        lease = self.ledger.claim(
            TRANSFER_ID,
            owner="worker-1",
            at=self.clock.now(),
            lease_expires_at=self.clock.now() + timedelta(seconds=LEASE_SECONDS),
        )
        self.heartbeat = Heartbeat(
            lease,
            ledger=self.ledger,
            stop=self.stop,
            lease_seconds=LEASE_SECONDS,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            on_beat=self.on_beat,
        )

    def on_beat(self, progress: Progress) -> None:
        self.seen.append(progress)
        if self.on_beat_error is not None:
            raise self.on_beat_error


@pytest.fixture
def patient() -> Patient:
    return Patient()


def test_progress_appears_at_least_every_two_seconds(patient: Patient) -> None:
    """A beat a second, each with bytes, parts, rate and time left, and the lease prolonged from that moment."""
    assert BEAT_SECONDS <= 2
    meter = ProgressMeter(bytes_total=100, parts_total=4, started_at=0)
    patient.heartbeat.watch(meter)
    for beat in range(1, 4):
        patient.clock.advance(BEAT_SECONDS)
        meter.add(25, parts=1, at=patient.clock.monotonic())
        patient.heartbeat.beat()
        record = patient.ledger.get(TRANSFER_ID)
        assert (record.progress.bytes_done, record.progress.parts_done) == (25 * beat, beat)
        assert record.progress.seconds_left == pytest.approx((4 - beat) * BEAT_SECONDS)
        assert record.progress_at == patient.clock.now()
        assert record.lease_expires_at == patient.clock.now() + timedelta(seconds=LEASE_SECONDS)
    assert len(patient.seen) == 3


def test_it_beats_by_itself_until_the_block_ends(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread of its own, which ends with the block."""
    monkeypatch.setattr("pqtransfer.transfers.heartbeat.BEAT_SECONDS", 0.001)
    with patient.heartbeat:
        while len(patient.seen) < 3:
            patient.stop.wait(0.001)
    beats = len(patient.seen)
    patient.stop.wait(0.02)
    assert len(patient.seen) == beats


@pytest.mark.parametrize("state", [TransferState.CANCELLED, TransferState.RUNNING])
def test_a_lost_lease_stops_the_job(patient: Patient, state: TransferState) -> None:
    """The reason carries the state, so that the owner can tell a cancellation from a takeover."""
    record = patient.ledger.records[TRANSFER_ID]
    patient.ledger.records[TRANSFER_ID] = record.model_copy(update={"owner": "worker-2", "state": state})
    patient.heartbeat.beat()
    with pytest.raises(LeaseLostError) as caught:
        patient.stop.raise_if_set()
    assert caught.value.state is state


def test_an_outage_is_borne_until_the_lease_expires(patient: Patient) -> None:
    """Up to then the work goes on; at that moment another worker may take over, so it stops."""
    patient.ledger.outage = CloudUnavailableError("no answer", aws_code="503")
    for _ in range(LEASE_SECONDS - 1):
        patient.clock.advance(1)
        patient.heartbeat.beat()
        assert not patient.stop.is_set
    patient.clock.advance(1)
    patient.heartbeat.beat()
    with pytest.raises(LeaseExpiredError, match="no answer"):
        patient.stop.raise_if_set()


def test_what_else_a_beat_does_is_done_during_an_outage(patient: Patient) -> None:
    """A worker that is told to stop while the ledger does not answer stops."""
    patient.ledger.outage = CloudUnavailableError("no answer", aws_code="503")
    patient.on_beat_error = StoppedError("told to stop")
    patient.heartbeat.beat()
    with pytest.raises(StoppedError):
        patient.stop.raise_if_set()


def test_an_outage_that_ends_in_time_changes_nothing(patient: Patient) -> None:
    """The lease counts from the last beat that got through."""
    for _ in range(5):
        patient.ledger.outage = CloudUnavailableError("no answer", aws_code="503")
        patient.clock.advance(LEASE_SECONDS - 1)
        patient.heartbeat.beat()
        patient.ledger.outage = None
        patient.heartbeat.beat()
    assert not patient.stop.is_set


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (CloudUnavailableError("the queue does not answer", aws_code="503"), False),
        (CloudAccessDeniedError("no", aws_code="AccessDenied"), True),
    ],
)
def test_what_the_owner_raises_at_a_beat(patient: Patient, error: PqtransferError, stops: bool) -> None:
    """Unavailability is tried again at the next beat; everything else ends the job with that reason."""
    patient.on_beat_error = error
    patient.heartbeat.beat()
    assert patient.stop.is_set is stops


def test_progress_is_nothing_before_totals_are_known(patient: Patient) -> None:
    """A beat may come first."""
    patient.heartbeat.beat()
    assert patient.ledger.get(TRANSFER_ID).progress == Progress()
