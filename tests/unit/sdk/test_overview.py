"""The overview: who works on what, what waits, what has just ended, and at what price."""

from datetime import timedelta

import pytest

from pqtransfer.aws.service_load import Workload
from pqtransfer.sdk.overview import WORKLOAD_EVERY_SECONDS, Overlook
from pqtransfer.transfers.ledger import Failure, Lease, Progress
from pqtransfer.transfers.request import TransferRequest
from tests.fakes.clocks import FakeClock
from tests.fakes.ledgers import InMemoryLedger

WORKLOAD = Workload(messages_waiting=3, messages_in_flight=2, workers_desired=4, workers_running=2)


class Hall:
    """Transfers, and somebody who looks at them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ledger = InMemoryLedger()
        self.workload_reads = 0
        self.overlook = Overlook(
            self.ledger,
            read_workload=self.read_workload,
            monotonic=self.clock.monotonic,
            now=self.clock.now,
            limit=10,
            stalled_after_seconds=30.0,
        )

    def read_workload(self) -> Workload:
        self.workload_reads += 1
        return WORKLOAD

    def submit(self, number: int) -> str:
        transfer_id = f"0198c0de-0000-7000-8000-{number:012}"
        request = TransferRequest(
            transfer_id=transfer_id, kind="upload", sender="alice", recipients=("bob",), correlation_id="c"
        )
        self.ledger.submit(request, at=self.clock.now())
        return transfer_id

    def claim(self, transfer_id: str, owner: str) -> Lease:
        at = self.clock.now()
        return self.ledger.claim(transfer_id, owner=owner, at=at, lease_expires_at=at + timedelta(seconds=60))

    def say(self, lease: Lease, done: int, *, idle: float = 0.0) -> None:
        at = self.clock.now()
        progress = Progress(bytes_done=done, bytes_total=100, bytes_per_second=50.0, idle_seconds=idle)
        self.ledger.renew(lease, at=at, lease_expires_at=at + timedelta(seconds=60), progress=progress)


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_it_shows_what_runs_waits_and_has_ended(hall: Hall) -> None:
    """By worker, and why one failed."""
    first, second, third = (hall.submit(number) for number in range(3))
    leases = [hall.claim(first, "worker-1"), hall.claim(second, "worker-2")]
    for lease in leases:
        hall.say(lease, 10)
    seen = hall.overlook.look()
    assert [each.transfer.transfer_id for each in seen.running] == [first, second]
    assert [each.transfer_id for each in seen.waiting] == [third]
    assert [(worker.name, worker.transfers, worker.bytes_per_second) for worker in seen.workers] == [
        ("worker-1", 1, 50.0),
        ("worker-2", 1, 50.0),
    ]
    assert (seen.ended, seen.workload, seen.is_cut) == ((), WORKLOAD, False)

    hall.ledger.fail(leases[0], at=hall.clock.now(), failure=Failure(code="SourceChanged", message="it changed"))
    hall.clock.advance(1)
    seen = hall.overlook.look()
    assert [each.transfer.transfer_id for each in seen.running] == [second]
    assert [(record.transfer_id, record.failure and record.failure.code) for record in seen.ended] == [
        (first, "SourceChanged")
    ]
    hall.clock.advance(60)
    assert hall.overlook.look().ended == ()


@pytest.mark.requirement("D3.6")
def test_what_stands_still_is_marked(hall: Hall) -> None:
    """One whose worker is silent, and one whose worker says that nothing gets done; the third goes on."""
    leases = [hall.claim(hall.submit(number), f"worker-{number}") for number in range(3)]
    for lease in leases:
        hall.say(lease, 10)
    hall.overlook.look()
    hall.clock.advance(30)
    hall.say(leases[1], 10, idle=30.0)
    hall.say(leases[2], 40)
    assert [each.stalled for each in hall.overlook.look().running] == [
        "no word from its worker for 30 s",
        "no part done for 30 s",
        None,
    ]
    assert [worker.stalled for worker in hall.overlook.look().workers] == [True, True, False]


def test_the_service_is_not_asked_at_each_look(hall: Hall) -> None:
    """AWS answers DescribeServices some 20 times a second for the whole account."""
    for _ in range(int(WORKLOAD_EVERY_SECONDS) * 3):
        hall.overlook.look()
        hall.clock.advance(1)
    assert hall.workload_reads == 3


def test_more_than_was_asked_for_is_said(hall: Hall) -> None:
    """Nobody takes the first ten for all."""
    for number in range(15):
        hall.submit(number)
    seen = hall.overlook.look()
    assert (len(seen.waiting), seen.is_cut) == (10, True)
