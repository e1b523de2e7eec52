"""The ledger in DynamoDB, held to the one in memory: every step that is legal, and no other, with the same outcome."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.errors import PqtransferError
from pqtransfer.transfers.ledger import (
    FINAL_STATES,
    Failure,
    Lease,
    Progress,
    RecordDamagedError,
    TransferNotFoundError,
    TransferRecord,
    TransferResult,
    TransferState,
)
from pqtransfer.transfers.request import TransferRequest
from tests.fakes.clocks import BEGINNING, FakeClock
from tests.fakes.ledgers import InMemoryLedger
from tests.integration.transfers.conftest import Cloud

IDS = [f"0198c0de-0000-7000-8000-00000000000{digit}" for digit in range(2)]
OWNERS = ["worker-1", "worker-2"]
LEASE_SECONDS = 10
RESULT = TransferResult(
    location="s3://m/x/", plaintext_length=1, ciphertext_length=2, composite_sha256="AA==", part_count=1
)
FAILURE = Failure(code="SourceChanged", message="it changed; submit it again")
PROGRESS = Progress(bytes_done=5, bytes_total=9, parts_done=1, parts_total=2, bytes_per_second=2.5, seconds_left=1.6)


def make_request(
    transfer_id: str, *, sender: str = "alice", correlation_id: str = "c", kind: str = "encrypt"
) -> TransferRequest:
    return TransferRequest(
        transfer_id=transfer_id,
        kind=kind,
        source=None if kind == "upload" else "s3://site/model",
        sender=sender,
        recipients=("bob",),
        correlation_id=correlation_id,
        metadata={"round": "1"},
    )


class TwoLedgers(RuleBasedStateMachine):
    """Every call goes to both. They must give the same answer, or the same error, and hold the same records."""

    dynamo: DynamoTransferLedger

    def __init__(self) -> None:
        super().__init__()
        self.memory = InMemoryLedger()
        self.clock = FakeClock()
        self.leases: list[Lease] = []
        for transfer_id in IDS:
            self.dynamo._table.delete_item(Key={"transfer_id": transfer_id})

    def both(self, call: Callable[[InMemoryLedger | DynamoTransferLedger], object]) -> object:
        outcomes = []
        for ledger in (self.memory, self.dynamo):
            try:
                outcomes.append(call(ledger))
            except PqtransferError as error:
                outcomes.append((type(error), str(error), getattr(error, "state", None)))
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    @rule(transfer_id=st.sampled_from(IDS), correlation_id=st.sampled_from(["c", "c", "other"]))
    def submit(self, transfer_id: str, correlation_id: str) -> None:
        request = make_request(transfer_id, correlation_id=correlation_id)
        self.both(lambda ledger: ledger.submit(request, at=self.clock.now()))

    @rule(transfer_id=st.sampled_from(IDS), owner=st.sampled_from(OWNERS))
    def claim(self, transfer_id: str, owner: str) -> None:
        if transfer_id not in self.memory.records:
            return
        at = self.clock.now()
        lease = self.both(
            lambda ledger: ledger.claim(
                transfer_id, owner=owner, at=at, lease_expires_at=at + timedelta(seconds=LEASE_SECONDS)
            )
        )
        if isinstance(lease, Lease):
            self.leases.append(lease)

    @rule(seconds=st.sampled_from([1, LEASE_SECONDS, LEASE_SECONDS + 1]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), step=st.sampled_from(["renew", "release", "release", "complete", "fail"]))
    def write_held(self, data: st.DataObject, step: str) -> None:
        """With any lease that was ever given out, also one that was lost long ago."""
        lease, at = data.draw(st.sampled_from(self.leases)), self.clock.now()
        error = data.draw(st.sampled_from([None, FAILURE]))
        progress = PROGRESS.model_copy(update={"parts_done": data.draw(st.integers(0, 2))})
        calls: dict[str, Callable[..., object]] = {
            "renew": lambda ledger: ledger.renew(
                lease, at=at, lease_expires_at=at + timedelta(seconds=LEASE_SECONDS), progress=progress
            ),
            "release": lambda ledger: ledger.release(lease, at=at, error=error, progress=progress),
            "complete": lambda ledger: ledger.complete(lease, at=at, result=RESULT, progress=PROGRESS),
            "fail": lambda ledger: ledger.fail(lease, at=at, failure=FAILURE),
        }
        self.both(calls[step])

    @rule(transfer_id=st.sampled_from(IDS))
    def cancel(self, transfer_id: str) -> None:
        self.both(lambda ledger: ledger.cancel(transfer_id, at=self.clock.now()))

    @rule(transfer_id=st.sampled_from(IDS), by=st.sampled_from(IDS))
    def supersede(self, transfer_id: str, by: str) -> None:
        self.both(lambda ledger: ledger.supersede(transfer_id, by=by))

    @invariant()
    def the_records_are_the_same(self) -> None:
        for transfer_id in IDS:
            record = self.both(lambda ledger, each=transfer_id: ledger.get(each))
            if isinstance(record, TransferRecord) and record.state in FINAL_STATES:
                assert record.lease_expires_at is None


def test_both_ledgers_take_the_same_steps(cloud: Cloud) -> None:
    """In any order of any calls, by holders of any lease, old or new."""
    TwoLedgers.dynamo = cloud.ledger
    run_state_machine_as_test(
        TwoLedgers,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def history(cloud: Cloud) -> DynamoTransferLedger:
    """130 transfers, a second apart, by two senders; every third is cancelled."""
    with cloud.table("transfers").batch_writer() as batch:
        memory = InMemoryLedger()
        for number in range(130):
            at = BEGINNING + timedelta(seconds=number)
            request = make_request(name(number), sender=("alice", "dave")[number % 2])
            memory.submit(request, at=at)
            batch.put_item(
                Item={
                    "transfer_id": request.transfer_id,
                    "state": "CANCELLED" if number % 3 == 0 else "SUBMITTED",
                    "sender": request.sender,
                    "submitted_at": at.isoformat(timespec="microseconds"),
                    "changed_at": at.isoformat(timespec="microseconds"),
                    "attempt": 0,
                    "tries": 0,
                    "most_parts_done": 0,
                    "request": request.to_json(),
                }
            )
    return cloud.ledger


def name(number: int) -> str:
    return f"0198c0de-0000-7000-8000-{number:012}"


@pytest.mark.parametrize(
    ("sender", "state", "limit", "numbers"),
    [
        (None, None, 3, [129, 128, 127]),
        (None, None, 1000, list(range(129, -1, -1))),
        (None, TransferState.CANCELLED, 3, [129, 126, 123]),
        (None, TransferState.COMPLETED, 3, []),
        ("alice", None, 3, [128, 126, 124]),
        ("dave", None, 1000, list(range(129, -1, -2))),
        ("alice", TransferState.CANCELLED, 3, [126, 120, 114]),
        ("alice", TransferState.CANCELLED, 1000, list(range(126, -1, -6))),
        ("nobody", None, 3, []),
        (None, None, 0, []),
    ],
)
def test_listing(
    history: DynamoTransferLedger, sender: str | None, state: TransferState | None, limit: int, numbers: list[int]
) -> None:
    """Newest first, at most as many as asked for, over all pages."""
    found = [record.transfer_id for record in history.list_recent(sender=sender, state=state, limit=limit)]
    assert found == [name(number) for number in numbers]


def test_a_transfer_that_is_not_there(cloud: Cloud) -> None:
    """The error says how to find those that are."""
    with pytest.raises(TransferNotFoundError, match="pqtransfer list"):
        cloud.ledger.get(IDS[0])
    with pytest.raises(TransferNotFoundError):
        cloud.ledger.cancel(IDS[0], at=BEGINNING)


DAMAGES: dict[str, dict[str, Any]] = {
    "empty": {},
    "not JSON": {"request": "{"},
    "of another transfer": {"request": make_request(IDS[1]).to_json()},
    "an attempt that is no number": {"attempt": "one"},
    "no count of tries": {"tries": None},
    "an unknown state": {"state": "LOST"},
    "a time that is none": {"changed_at": "yesterday"},
    "a lease beyond all time": {"lease_expires_at_ms": 10**30},
    "progress that is none": {"progress": "fast"},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_row_that_is_no_record_is_named(cloud: Cloud, damage: str) -> None:
    """Whoever may submit can write rows: a bad one is refused wherever it is read, and hides no other from a list."""
    cloud.ledger.submit(make_request(IDS[0]), at=BEGINNING)
    cloud.ledger.submit(make_request(IDS[1]), at=BEGINNING)
    table = cloud.table("transfers")
    good = table.get_item(Key={"transfer_id": IDS[0]})["Item"]
    kept = good if DAMAGES[damage] else {name: good[name] for name in ("transfer_id", "state", "submitted_at")}
    table.put_item(Item={name: value for name, value in {**kept, **DAMAGES[damage]}.items() if value is not None})
    until = BEGINNING + timedelta(seconds=LEASE_SECONDS)
    for call in (
        lambda: cloud.ledger.get(IDS[0]),
        lambda: cloud.ledger.submit(make_request(IDS[0]), at=BEGINNING),
        lambda: cloud.ledger.claim(IDS[0], owner="worker-1", at=BEGINNING, lease_expires_at=until),
    ):
        with pytest.raises(RecordDamagedError, match=IDS[0]):
            call()
    listed = cloud.ledger.list_recent(sender=None, state=None, limit=10)
    assert [record.transfer_id for record in listed] == [IDS[1]]


def test_what_is_on_its_way_is_found_without_the_rest(cloud: Cloud) -> None:
    """Waiting, running and taken over: in the index. Ended, whichever way: not. The rows carry progress and retries."""
    until = BEGINNING + timedelta(seconds=LEASE_SECONDS)
    for number in range(6):
        cloud.ledger.submit(make_request(name(number)), at=BEGINNING + timedelta(milliseconds=number))
    leases = [
        cloud.ledger.claim(name(number), owner="worker-1", at=BEGINNING, lease_expires_at=until) for number in range(4)
    ]
    cloud.ledger.complete(leases[0], at=BEGINNING, result=RESULT, progress=PROGRESS)
    cloud.ledger.fail(leases[1], at=BEGINNING, failure=FAILURE)
    cloud.ledger.release(leases[2], at=BEGINNING, error=FAILURE, progress=PROGRESS)
    cloud.ledger.cancel(name(5), at=BEGINNING)
    later = until + timedelta(seconds=1)
    cloud.ledger.claim(name(3), owner="worker-2", at=later, lease_expires_at=later + timedelta(seconds=LEASE_SECONDS))

    (waiting,) = cloud.ledger.list_live(TransferState.SUBMITTED, limit=10)
    assert (waiting.transfer_id, waiting.owner, waiting.progress) == (name(4), None, Progress())
    given_back, taken_over = cloud.ledger.list_live(TransferState.RUNNING, limit=10)
    assert (given_back.transfer_id, given_back.retries) == (name(2), {"SourceChanged": 1})
    assert (given_back.progress, given_back.progress_at) == (PROGRESS, BEGINNING)
    assert (taken_over.transfer_id, taken_over.owner, taken_over.retries) == (name(3), "worker-2", {"WorkerLost": 1})
    for transfer_id in (name(2), name(3)):
        assert cloud.ledger.peek(transfer_id) == cloud.ledger.get(transfer_id)


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_a_list_of_what_is_on_its_way_is_bounded(cloud: Cloud, limit: int) -> None:
    """However much waits: as many as asked for, the oldest first."""
    for number in range(40):
        cloud.ledger.submit(make_request(name(number)), at=BEGINNING + timedelta(seconds=number))
    found = [each.transfer_id for each in cloud.ledger.list_live(TransferState.SUBMITTED, limit=limit)]
    assert found == [name(number) for number in range(40)][:limit]


def test_a_row_that_is_no_transfer_hides_no_other(cloud: Cloud) -> None:
    """Whoever may submit can write rows, into these buckets too."""
    cloud.ledger.submit(make_request(IDS[0]), at=BEGINNING)
    table = cloud.table("transfers")
    good = table.get_item(Key={"transfer_id": IDS[0]})["Item"]
    for number, damage in enumerate(({"progress": "fast"}, {"attempt": "one"}, {"retries": "many"}, {"kind": "odd"})):
        table.put_item(Item={**good, "transfer_id": name(number + 10), **damage})
    assert [each.transfer_id for each in cloud.ledger.list_live(TransferState.SUBMITTED, limit=10)] == [IDS[0]]


def test_what_workers_have_claimed_is_found_behind_any_number_of_uploads(cloud: Cloud) -> None:
    """The oldest first, as many as asked for; what a site claims for itself takes no place."""
    for number in range(130):
        kind = "encrypt" if number in (110, 120, 125) else "upload"
        at = BEGINNING + timedelta(seconds=number)
        cloud.ledger.submit(make_request(name(number), kind=kind), at=at)
        cloud.ledger.claim(name(number), owner="w", at=at, lease_expires_at=at + timedelta(seconds=LEASE_SECONDS))
    cloud.ledger.submit(make_request(name(200)), at=BEGINNING)
    assert [each.transfer_id for each in cloud.ledger.list_claimed(limit=2)] == [name(110), name(120)]
    assert [each.transfer_id for each in cloud.ledger.list_claimed(limit=9)] == [name(110), name(120), name(125)]
