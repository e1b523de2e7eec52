"""The table at the head of `transfer_worker.loop`, row by row: transfer, message, upload and checkpoint."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pqtransfer.aws.failures import CloudAccessDeniedError, CloudUnavailableError
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.registry import KeyNotFoundError, ParticipantUnknownError, RegistryDamagedError
from pqtransfer.transfers.folder import SourceChangedError
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import (
    LeaseLostError,
    Progress,
    RecordDamagedError,
    TransferResult,
    TransferState,
    explain_failure,
)
from pqtransfer.transfers.request import TransferRequest
from pqtransfer.transfers.signed_request import UntrustedRequestError
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID
from tests.fakes.clocks import BEGINNING
from tests.unit.transfer_worker.conftest import LEASE_SECONDS, MAX_RECEIVES, RESULT, Attempt, Fleet, make_request
from transfer_worker.hold import ShutdownError

UNAVAILABLE = CloudUnavailableError("the store does not answer", aws_code="503")


def work_until_stopped(_request: TransferRequest, context: JobContext) -> TransferResult:
    """A job that would never end by itself."""
    assert context.stop.wait(10), "nobody stopped the job"
    context.stop.raise_if_set()
    raise AssertionError


def test_done(fleet: Fleet) -> None:
    """COMPLETED with its result; message deleted; checkpoint cleared, nothing discarded."""
    fleet.save_checkpoint()
    fleet.handle_next()
    assert (fleet.record.state, fleet.record.result) == (TransferState.COMPLETED, RESULT)
    assert fleet.queue.messages == []
    assert fleet.checkpoints.load(TRANSFER_ID) is None
    assert fleet.pipeline.discarded == []


def test_cannot_be_done(fleet: Fleet) -> None:
    """FAILED with the reason; message deleted; upload and checkpoint dropped."""
    fleet.save_checkpoint()
    fleet.pipeline.attempts = [SourceChangedError("s3://site/model")]
    fleet.handle_next()
    assert fleet.record.state is TransferState.FAILED
    assert fleet.record.failure is not None
    assert fleet.record.failure.code == "SourceChanged"
    assert "submit it again" in fleet.record.failure.message
    assert (fleet.queue.messages, fleet.queue.dead) == ([], [])
    assert fleet.pipeline.discarded == [TRANSFER_ID]
    assert fleet.checkpoints.load(TRANSFER_ID) is None


def test_something_is_unavailable(fleet: Fleet) -> None:
    """Claimable at once, with the reason; message visible after a wait; upload and checkpoint kept."""
    fleet.save_checkpoint()
    fleet.pipeline.attempts = [UNAVAILABLE]
    fleet.handle_next()
    assert fleet.record.state is TransferState.RUNNING
    assert fleet.record.last_error is not None
    assert fleet.record.last_error.code == "CloudUnavailable"
    assert fleet.record.lease_expires_at is not None
    assert fleet.record.lease_expires_at < fleet.clock.now()
    assert 2 <= fleet.queue.seconds_until_visible[0] <= 5
    assert fleet.pipeline.discarded == []
    assert set(fleet.checkpoints.load_parts(TRANSFER_ID)) == {0}
    fleet.clock.advance(5)
    fleet.handle_next("worker-2")
    assert (fleet.record.state, fleet.record.attempt) == (TransferState.COMPLETED, 2)


def test_received_too_often(fleet: Fleet) -> None:
    """FAILED, naming the last attempt's error; message in the dead-letter queue with the same reason; all dropped."""
    fleet.pipeline.attempts = [UNAVAILABLE] * 9
    for _ in range(MAX_RECEIVES):
        fleet.handle_next()
        fleet.clock.advance(600)
    fleet.save_checkpoint()
    fleet.handle_next()
    assert len(fleet.pipeline.runs) == MAX_RECEIVES
    assert fleet.record.state is TransferState.FAILED
    assert fleet.record.failure is not None
    assert "after 3 receives" in fleet.record.failure.message
    assert "the store does not answer" in fleet.record.failure.message
    assert fleet.queue.dead == [(make_request().to_json(), fleet.record.failure)]
    assert fleet.queue.messages == []
    assert fleet.pipeline.discarded == [TRANSFER_ID]


def test_a_message_that_kills_every_worker_is_given_up(fleet: Fleet) -> None:
    """No attempt could say why: the reason says that too."""
    for number in range(MAX_RECEIVES):
        fleet.receive()
        fleet.ledger.submit(make_request(), at=fleet.clock.now())
        fleet.ledger.claim(
            TRANSFER_ID,
            owner=f"dead-{number}",
            at=fleet.clock.now(),
            lease_expires_at=fleet.clock.now() + timedelta(seconds=LEASE_SECONDS),
        )
        fleet.clock.advance(LEASE_SECONDS + 1)
    fleet.handle_next()
    assert fleet.record.failure is not None
    assert "a dead worker" in fleet.record.failure.message
    assert len(fleet.queue.dead) == 1


def do_one_more_part(fleet: Fleet) -> Attempt:
    """An attempt that brings the transfer one part further than any before it, and then finds a store unavailable."""

    def attempt(_request: TransferRequest, context: JobContext) -> TransferResult:
        meter = context.start_meter(bytes_total=99, parts_total=99)
        meter.skip(0, parts=fleet.record.most_parts_done)
        meter.add(1, parts=1, at=fleet.clock.monotonic())
        raise UNAVAILABLE

    return attempt


def test_only_what_led_nowhere_counts(fleet: Fleet) -> None:
    """Any number of shutdowns, of visits while another worker holds it, and of attempts that brought it forward."""

    def be_stopped(_request: TransferRequest, context: JobContext) -> TransferResult:
        raise ShutdownError

    def be_visited(_request: TransferRequest, _context: JobContext) -> TransferResult:
        for _ in range(MAX_RECEIVES + 1):
            fleet.queue.send(make_request().to_json())
            fleet.handle_next("worker-2")
        return RESULT

    moving = do_one_more_part(fleet)
    fleet.pipeline.attempts = [*[moving, be_stopped] * (MAX_RECEIVES + 1), UNAVAILABLE, be_visited]
    while fleet.pipeline.attempts:
        fleet.handle_next()
        fleet.clock.advance(600)
    assert fleet.record.state is TransferState.COMPLETED
    assert fleet.record.tries < MAX_RECEIVES


def test_an_attempt_that_begins_from_nothing_each_time_leads_nowhere(fleet: Fleet) -> None:
    """A verification, or an upload that the store keeps dropping: as far as the one before is not forward."""

    def get_as_far_as_ever(_request: TransferRequest, context: JobContext) -> TransferResult:
        context.start_meter(bytes_total=99, parts_total=99).add(66, parts=66, at=fleet.clock.monotonic())
        raise UNAVAILABLE

    fleet.pipeline.attempts = [get_as_far_as_ever] * 9
    while fleet.queue.messages:
        fleet.handle_next()
        fleet.clock.advance(600)
    assert fleet.record.state is TransferState.FAILED
    assert len(fleet.pipeline.runs) == MAX_RECEIVES + 1


def test_workers_that_die_after_they_brought_it_forward_do_not_count(fleet: Fleet) -> None:
    """Their last beat says how far they were."""
    fleet.ledger.submit(make_request(), at=fleet.clock.now())
    for number in range(2 * MAX_RECEIVES):
        fleet.receive()
        until = fleet.clock.now() + timedelta(seconds=LEASE_SECONDS)
        lease = fleet.ledger.claim(TRANSFER_ID, owner=f"{number}", at=fleet.clock.now(), lease_expires_at=until)
        progress = Progress(parts_done=number + 1, parts_total=99)
        fleet.ledger.renew(lease, at=fleet.clock.now(), lease_expires_at=until, progress=progress)
        fleet.clock.advance(LEASE_SECONDS + 1)
    fleet.handle_next()
    assert fleet.record.state is TransferState.COMPLETED


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "message"),
        ("not json", "JSON"),
        ("[]", "message"),
        ("{}", "transfer_id"),
        (make_request().to_json().replace("pqtransfer-request/1", "pqtransfer-request/2"), "format"),
        (make_request().to_json().replace('"kind":"encrypt"', '"kind":"shred"'), "kind"),
        (make_request().to_json()[:-1] + ',"surprise":1}', "surprise"),
        (make_request().to_json() + " " * 300_000, "bytes"),
    ],
)
def test_not_a_request(fleet: Fleet, body: str, says: str) -> None:
    """To the dead-letter queue with a reason that names what is wrong; the ledger is not touched."""
    fleet.queue.messages.clear()
    fleet.queue.send(body)
    fleet.handle_next()
    ((dead_body, failure),) = fleet.queue.dead
    assert (dead_body, failure.code) == (body, "MalformedRequest")
    assert says in failure.message
    assert fleet.ledger.records == {}
    assert fleet.queue.messages == []


@pytest.mark.parametrize(
    "reason",
    [
        UntrustedRequestError("alice"),
        ParticipantUnknownError("alice"),
        KeyNotFoundError("alice", "00" * 32, KeyPurpose.SIGNING),
        RegistryDamagedError("alice", "a key is missing"),
    ],
)
def test_not_its_senders(fleet: Fleet, reason: PqtransferError) -> None:
    """To the dead-letter queue with the reason; nobody's keys are touched, nor the ledger."""

    def refuse(_message: str) -> TransferRequest:
        raise reason

    message = fleet.receive()
    replace(fleet.worker(), read_request=refuse).handle(message)
    assert fleet.queue.dead == [(message.body, explain_failure(reason))]
    assert (fleet.ledger.records, fleet.pipeline.runs, fleet.queue.messages) == ({}, [], [])


def test_its_record_is_damaged(fleet: Fleet) -> None:
    """Whoever may submit can write rows: a bad one ends its message, and no worker."""

    def be_damaged(*_args: object, **_keywords: object) -> None:
        raise RecordDamagedError(TRANSFER_ID, "KeyError")

    fleet.ledger.claim = be_damaged  # type: ignore[method-assign, assignment]
    fleet.handle_next()
    assert [failure.code for _, failure in fleet.queue.dead] == ["RecordDamaged"]
    assert (fleet.pipeline.runs, fleet.queue.messages) == ([], [])


def test_who_sent_it_cannot_be_told(fleet: Fleet) -> None:
    """The registry does not answer: the message is neither run nor rejected, and comes again."""

    def be_unavailable(_message: str) -> TransferRequest:
        raise UNAVAILABLE

    message = fleet.receive()
    with pytest.raises(CloudUnavailableError):
        replace(fleet.worker(), read_request=be_unavailable).handle(message)
    assert (fleet.queue.dead, fleet.pipeline.runs, len(fleet.queue.messages)) == ([], [], 1)


def test_the_same_id_with_other_content(fleet: Fleet) -> None:
    """The first request stands; the second goes to the dead-letter queue."""
    fleet.handle_next()
    fleet.queue.send(make_request(recipients=("mallory",)).to_json())
    fleet.handle_next()
    assert fleet.record.request == make_request()
    assert fleet.queue.dead[0][1].code == "TransferConflict"
    assert fleet.pipeline.runs == [TRANSFER_ID]


def test_cancelled_while_it_runs(fleet: Fleet) -> None:
    """The job stops at the next beat; CANCELLED stays; message deleted; upload dropped."""

    def cancel_then_work(request: TransferRequest, context: JobContext) -> TransferResult:
        fleet.ledger.cancel(TRANSFER_ID, at=fleet.clock.now())
        return work_until_stopped(request, context)

    fleet.pipeline.attempts = [cancel_then_work]
    fleet.handle_next()
    assert fleet.record.state is TransferState.CANCELLED
    assert fleet.queue.messages == []
    assert fleet.pipeline.discarded == [TRANSFER_ID]


def test_cancelled_before_it_runs(fleet: Fleet) -> None:
    """It never runs; message deleted."""
    fleet.ledger.submit(make_request(), at=fleet.clock.now())
    fleet.ledger.cancel(TRANSFER_ID, at=fleet.clock.now())
    fleet.handle_next()
    assert (fleet.pipeline.runs, fleet.queue.messages) == ([], [])
    assert fleet.record.state is TransferState.CANCELLED


def test_taken_over(fleet: Fleet) -> None:
    """The old worker stops at the next beat and touches nothing: record, message and upload are the other's."""
    fleet.save_checkpoint()

    def freeze_then_work(request: TransferRequest, context: JobContext) -> TransferResult:
        fleet.clock.advance(LEASE_SECONDS + 1)
        fleet.ledger.records[TRANSFER_ID] = fleet.record.model_copy(update={"owner": "worker-2", "attempt": 2})
        return work_until_stopped(request, context)

    fleet.pipeline.attempts = [freeze_then_work]
    fleet.handle_next()
    assert (fleet.record.state, fleet.record.owner) == (TransferState.RUNNING, "worker-2")
    assert len(fleet.queue.messages) == 1
    assert fleet.pipeline.discarded == []
    assert fleet.checkpoints.load(TRANSFER_ID) is not None


OVERTAKEN_ENDS = {
    "completes": lambda _request, _context: RESULT,
    "fails": SourceChangedError("s3://site/model"),
    "finds a store unavailable": UNAVAILABLE,
}


@pytest.mark.parametrize("ending", list(OVERTAKEN_ENDS))
@pytest.mark.parametrize("becomes", [TransferState.RUNNING, TransferState.CANCELLED, TransferState.COMPLETED])
def test_an_overtaken_worker_records_nothing(fleet: Fleet, ending: str, becomes: TransferState) -> None:
    """However its job ends: no state is overwritten, and no upload of a successor is dropped."""
    end = OVERTAKEN_ENDS[ending]

    def be_overtaken(request: TransferRequest, context: JobContext) -> TransferResult:
        changed = fleet.record.model_copy(update={"owner": "worker-2", "attempt": 2, "state": becomes})
        fleet.ledger.records[TRANSFER_ID] = changed
        if isinstance(end, Exception):
            raise end
        return end(request, context)

    fleet.ledger.renew = lambda *_args, **_keywords: None  # type: ignore[method-assign]  # no beat notices it first
    fleet.pipeline.attempts = [be_overtaken]
    fleet.handle_next()
    assert (fleet.record.state, fleet.record.owner) == (becomes, "worker-2")
    assert (fleet.record.failure, fleet.record.last_error) == (None, None)
    assert fleet.pipeline.discarded == ([TRANSFER_ID] if becomes is TransferState.CANCELLED else [])
    assert len(fleet.queue.messages) == (0 if becomes is TransferState.CANCELLED else 1)


def test_the_worker_shuts_down(fleet: Fleet) -> None:
    """Given back, no error recorded; message visible at once; upload and checkpoint kept."""
    fleet.save_checkpoint()

    def be_stopped(request: TransferRequest, context: JobContext) -> TransferResult:
        fleet.shutdown.request()
        return work_until_stopped(request, context)

    fleet.pipeline.attempts = [be_stopped]
    fleet.handle_next()
    assert (fleet.record.state, fleet.record.last_error) == (TransferState.RUNNING, None)
    assert fleet.queue.seconds_until_visible == [0]
    assert fleet.pipeline.discarded == []
    assert fleet.checkpoints.load(TRANSFER_ID) is not None
    fleet.clock.advance(0.01)
    fleet.restart()
    fleet.handle_next("worker-2")
    assert (fleet.record.state, fleet.record.attempt) == (TransferState.COMPLETED, 2)


@pytest.mark.requirement("D6.5")
def test_a_worker_that_is_scaled_in_begins_nothing(fleet: Fleet) -> None:
    """It was chosen while it was idle, and a message came all the same: the transfer does not begin there."""
    fleet.shutdown.request()
    fleet.handle_next()
    assert fleet.protection.calls == ["hold", "drop"]
    assert fleet.queue.seconds_until_visible == [0]
    assert TRANSFER_ID not in fleet.ledger.records


def test_a_transfer_that_ends_in_time_is_finished_during_shutdown(fleet: Fleet) -> None:
    """Three seconds are left to do, sixty are allowed: it goes on."""

    def go_on(_request: TransferRequest, context: JobContext) -> TransferResult:
        meter = context.start_meter(bytes_total=400, parts_total=4)
        fleet.clock.advance(1)
        meter.add(100, parts=1, at=fleet.clock.monotonic())
        fleet.shutdown.request()
        assert not context.stop.wait(0.1)
        return RESULT

    fleet.pipeline.attempts = [go_on]
    fleet.handle_next()
    assert fleet.record.state is TransferState.COMPLETED


def test_a_duplicate_of_a_finished_transfer_is_deleted(fleet: Fleet) -> None:
    """SQS delivers at least once: the second delivery does nothing."""
    fleet.queue.send(make_request().to_json())
    fleet.handle_next()
    fleet.handle_next("worker-2")
    assert fleet.pipeline.runs == [TRANSFER_ID]
    assert (fleet.queue.messages, fleet.queue.dead) == ([], [])


def test_two_workers_never_run_one_transfer(fleet: Fleet) -> None:
    """The second one keeps its copy of the message away until the first lease could have expired."""
    fleet.queue.send(make_request().to_json())

    def meanwhile(_request: TransferRequest, _context: JobContext) -> TransferResult:
        fleet.handle_next("worker-2")
        assert fleet.queue.held[-1] == LEASE_SECONDS
        return RESULT

    fleet.pipeline.attempts = [meanwhile]
    fleet.handle_next()
    assert fleet.pipeline.runs == [TRANSFER_ID]
    assert (fleet.record.owner, fleet.record.attempt) == ("worker-1", 1)


def test_what_a_dead_worker_left_behind_is_dropped_with_the_duplicate(fleet: Fleet) -> None:
    """It died between recording FAILED and dropping the upload."""
    fleet.save_checkpoint()
    fleet.pipeline.attempts = [SourceChangedError("s3://site/model")]
    fleet.pipeline.discard_error = UNAVAILABLE
    with pytest.raises(CloudUnavailableError):
        fleet.handle_next()
    assert fleet.record.state is TransferState.FAILED
    fleet.pipeline.discard_error = None
    fleet.clock.advance(LEASE_SECONDS + 1)
    fleet.handle_next()
    assert fleet.checkpoints.load(TRANSFER_ID) is None
    assert fleet.queue.messages == []


def test_a_reason_is_recorded_even_if_nothing_may_be_dropped(fleet: Fleet) -> None:
    """Access that was withdrawn must not hide why the transfer failed, nor end the worker."""
    fleet.pipeline.attempts = [CloudAccessDeniedError("no access to s3://site", aws_code="AccessDenied")]
    fleet.pipeline.discard_error = CloudAccessDeniedError("no access to s3://models", aws_code="AccessDenied")
    fleet.handle_next()
    assert fleet.record.failure is not None
    assert "s3://site" in fleet.record.failure.message
    assert fleet.queue.messages == []


def test_a_completed_transfer_stays_completed_when_cleaning_up_fails(fleet: Fleet) -> None:
    """The next delivery cleans up."""
    fleet.save_checkpoint()
    clear = fleet.checkpoints.clear

    def be_unreachable(_transfer_id: str) -> None:
        fleet.checkpoints.clear = clear  # type: ignore[method-assign]
        raise UNAVAILABLE

    fleet.checkpoints.clear = be_unreachable  # type: ignore[method-assign]
    with pytest.raises(CloudUnavailableError):
        fleet.handle_next()
    assert (fleet.record.state, fleet.record.last_error) == (TransferState.COMPLETED, None)
    fleet.clock.advance(LEASE_SECONDS + 1)
    fleet.handle_next()
    assert fleet.queue.messages == []
    assert fleet.checkpoints.load(TRANSFER_ID) is None


def test_a_deadline_that_has_passed(fleet: Fleet) -> None:
    """FAILED without a run."""
    fleet.queue.messages.clear()
    late = make_request(transfer_id=OTHER_TRANSFER_ID, deadline=BEGINNING - timedelta(seconds=1))
    fleet.queue.send(late.to_json())
    fleet.handle_next()
    record = fleet.ledger.records[OTHER_TRANSFER_ID]
    assert record.failure is not None
    assert (record.state, record.failure.code) == (TransferState.FAILED, "DeadlinePassed")
    assert fleet.pipeline.runs == []


def test_a_deadline_ends_nothing_that_has_begun(fleet: Fleet) -> None:
    """It says by when to begin: an attempt that is interrupted is gone on with later."""
    fleet.queue.messages.clear()
    fleet.queue.send(make_request(deadline=BEGINNING + timedelta(seconds=1)).to_json())
    fleet.pipeline.attempts = [UNAVAILABLE]
    fleet.handle_next()
    fleet.clock.advance(600)
    fleet.handle_next()
    assert fleet.record.state is TransferState.COMPLETED


def test_a_deadline_that_has_not_passed(fleet: Fleet) -> None:
    """It runs."""
    fleet.queue.messages.clear()
    fleet.queue.send(make_request(deadline=BEGINNING).to_json())
    fleet.handle_next()
    assert fleet.record.state is TransferState.COMPLETED


def test_a_fault_of_the_program_ends_the_process(fleet: Fleet) -> None:
    """Nothing pretends to know what to do: lease and message run out, and another worker takes over."""
    fleet.pipeline.attempts = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        fleet.handle_next()
    assert fleet.record.state is TransferState.RUNNING
    assert fleet.protection.calls == ["hold", "drop"]
    fleet.clock.advance(LEASE_SECONDS + 1)
    fleet.handle_next("worker-2")
    assert fleet.record.state is TransferState.COMPLETED


@pytest.mark.parametrize("broken", [False, True])
def test_the_task_is_protected_while_it_works(fleet: Fleet, broken: bool) -> None:
    """Before the work and until its end; an agent that refuses stops no transfer."""
    fleet.protection.broken = broken

    def work(_request: TransferRequest, _context: JobContext) -> TransferResult:
        assert fleet.protection.calls == ["hold"]
        return RESULT

    fleet.pipeline.attempts = [work]
    fleet.handle_next()
    assert fleet.protection.calls == ["hold", "drop"]
    assert fleet.record.state is TransferState.COMPLETED


def test_a_lost_lease_is_named_in_the_error() -> None:
    """State and id, for the log."""
    assert "CANCELLED" in str(LeaseLostError(TRANSFER_ID, TransferState.CANCELLED))
