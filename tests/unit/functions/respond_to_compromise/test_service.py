"""Incidents are gone on with by messages: one at a time, never more, whatever comes twice or gets lost."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from functions.respond_to_compromise.responding import Responder
from functions.respond_to_compromise.service import IncidentService
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.protection.incidents import IncidentNotFoundError, IncidentStep, TaskState
from pqtransfer.transfers.container import SupersededError
from pqtransfer.transfers.ledger import Failure, TransferState
from tests.unit.functions.respond_to_compromise.test_responding import kem_of, read_model, report
from tests.unit.functions.respond_to_compromise.world import INCIDENT_ID, NOW, World, model_of

pytestmark = pytest.mark.requirement("D4.4")


class Office:
    """A world, a clock, and the queue of messages between."""

    def __init__(self) -> None:
        self.world, self.now = World(), NOW
        self.queue: list[tuple[str, int]] = []
        responder = Responder(
            self.world.around(), now=self._read_clock, has_time=lambda: True, removal_wait=timedelta(0)
        )
        self.service = IncidentService(responder, lambda body, delay: self.queue.append((body, delay)), 10)

    def _read_clock(self) -> datetime:
        return self.now

    def deliver(self, *, times: int = 1) -> None:
        """Work off what is on the queue now, each message so many times."""
        messages, self.queue[:] = list(self.queue), []
        for body, _ in messages * times:
            message = json.loads(body)
            self.service.work(message["incident_id"], run=message["run"])

    def run_to_end(self, *, step: timedelta = timedelta(seconds=10), most: int = 200) -> None:
        for _ in range(most):
            self.world.run_key_service()
            self.world.run_workers()
            self.deliver()
            self.now += step
            if self.world.incidents.get(INCIDENT_ID).is_closed:
                return


def test_messages_that_come_twice_do_not_multiply() -> None:
    """Every message comes three times, and a schedule runs in between: one message follows."""
    office = Office()
    office.world.send("bob")
    office.service.take(report())
    office.service.take(report())
    for _ in range(5):  # nobody makes the keys that it waits for
        office.deliver(times=3)
        office.service.resume()
        office.now += timedelta(minutes=15)
        assert len(office.queue) == 1
    office.run_to_end()
    assert office.world.incidents.get(INCIDENT_ID).is_closed
    assert office.queue == []


def test_what_nobody_goes_on_with_is_resumed_once() -> None:
    """After half an hour without a run, and not before; a lost message that turns up again does nothing."""
    office = Office()
    office.service.take(report())
    lost, office.queue[:] = list(office.queue), []
    assert office.service.resume() == 0
    office.now += timedelta(minutes=31)
    assert office.service.resume() == 1
    assert office.service.resume() == 0
    assert len(office.queue) == 1
    office.queue += lost
    office.deliver()
    assert len(office.queue) == 1
    office.run_to_end()
    office.now += timedelta(days=1)
    assert office.service.resume() == 0


def test_a_run_that_fails_comes_again_as_the_same_one() -> None:
    """The queue delivers it again; the number has not changed meanwhile."""
    office = Office()
    office.service.take(report())
    office.world.trail.failure = UnavailableError("down")
    with pytest.raises(UnavailableError):
        office.service.work(INCIDENT_ID, run=0)
    office.world.trail.failure = None
    office.deliver()
    assert [json.loads(body)["run"] for body, _ in office.queue] == [1]


def test_an_outage_of_hours_fails_nothing() -> None:
    """What cannot be had is asked for ever less often, and done when it can be had again."""
    office = Office()
    sent = office.world.send("bob")
    office.service.take(report(key_ids=kem_of(office.world, "bob")))
    office.deliver()
    office.world.run_key_service()
    office.world.ledger.outage = UnavailableError("down")
    before = office.now
    while office.now - before < timedelta(hours=6):
        office.deliver()
        office.now += timedelta(minutes=1)
    task = office.world.tasks()[sent]
    assert task.state in (TaskState.LISTED, TaskState.RENEWED)
    assert 10 < task.tries < 30
    office.world.ledger.outage = None
    office.run_to_end(step=timedelta(minutes=1))
    after = office.world.tasks()[sent]
    assert (after.state, after.tries) == (TaskState.DONE, 0)


def test_what_failed_can_be_tried_again() -> None:
    """The worker could not re-encrypt it, and the incident is closed: a retry opens it, under another id."""
    office = Office()
    world = office.world
    sent = world.send("bob")
    office.service.take(report(key_ids=kem_of(world, "bob")))
    for _ in range(3):
        office.deliver()
        world.run_key_service()
    first = world.tasks()[sent]
    lease = world.ledger.claim(
        first.replacement_id, owner="w", at=office.now, lease_expires_at=office.now + timedelta(minutes=1)
    )
    world.ledger.fail(lease, at=office.now, failure=Failure(code="disk-full", message="no room"))
    world.requests.clear()
    office.run_to_end()
    assert world.tasks()[sent].state is TaskState.FAILED
    assert office.service.retry(INCIDENT_ID).step is IncidentStep.LISTED
    assert world.trail.actions["incident.retry"] == 1
    office.run_to_end()
    again = world.tasks()[sent]
    assert again.state is TaskState.DONE
    assert again.replacement_id != first.replacement_id
    assert read_model(world, again.replacement_id, world.identities["bob"].kem) == model_of(sent)
    with pytest.raises(SupersededError):
        read_model(world, sent, world.identities["bob"].kem)


def test_a_forged_row_is_got_around_by_a_retry() -> None:
    """The forged re-encryption is left alone, and the model is re-encrypted under an id that the row does not have."""
    office = Office()
    world = office.world
    sent = world.send("bob")
    office.service.take(report(key_ids=kem_of(world, "bob")))
    for _ in range(3):
        office.deliver()
        world.run_key_service()
    forged = world.tasks()[sent].replacement_id
    record = world.ledger.records[forged]
    world.ledger.records[forged] = record.model_copy(update={"state": TransferState.COMPLETED})
    office.run_to_end()
    assert world.tasks()[sent].state is TaskState.FAILED
    office.service.retry(INCIDENT_ID)
    office.run_to_end()
    task = world.tasks()[sent]
    assert (task.state, task.replacement_id == forged) == (TaskState.DONE, False)


def test_a_retry_where_nothing_failed_opens_nothing() -> None:
    """A closed incident stays closed; one that there is not is refused."""
    office = Office()
    office.service.take(report())
    office.run_to_end()
    assert office.service.retry(INCIDENT_ID).is_closed
    assert office.queue == []
    with pytest.raises(IncidentNotFoundError):
        office.service.retry("none")
    assert issubclass(IncidentNotFoundError, PqtransferError)


def test_a_wait_for_a_removal_is_slept_through() -> None:
    """Nothing is due for three hours: it is looked at every quarter of an hour, the most that the queue holds back."""
    office = Office()
    office.world.send("bob")
    office.service = replace(
        office.service, responder=replace(office.service.responder, removal_wait=timedelta(hours=3))
    )
    office.service.take(report())
    delays = []
    while not office.world.incidents.get(INCIDENT_ID).is_closed:
        office.world.run_key_service()
        office.world.run_workers()
        office.deliver()
        office.now += timedelta(seconds=office.queue[0][1] if office.queue else 0)
        delays += [delay for _, delay in office.queue]
        assert len(delays) < 30
    assert delays.count(900) == 12
    assert set(delays) == {10, 900}
