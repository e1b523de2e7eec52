"""A re-encrypted container is removed by a later run than the one that checked the new one, after another look."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from pqtransfer.aws.failures import CloudAccessDeniedError
from pqtransfer.protection.incidents import Task, TaskState
from pqtransfer.transfers.container import SupersededError
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME
from tests.fakes.folders import Crash, FaultPlan
from tests.unit.functions.respond_to_compromise.test_replacements import (
    EVERYTHING,
    change_payload,
    check_nothing_removed,
    cut_payload,
    forge_request,
    lock_out,
    lose_and_ask,
    put_other_container,
    remove,
)
from tests.unit.functions.respond_to_compromise.test_responding import kem_of, read_model, report
from tests.unit.functions.respond_to_compromise.world import INCIDENT_ID, NOW, World, model_of

pytestmark = pytest.mark.requirement("D4.4")

SECOND = timedelta(seconds=1)


def replace_one(wait: timedelta = timedelta(0)) -> tuple[World, Task]:
    """The new container was found whole, and the old one may be removed after `wait`."""
    world, task = lose_and_ask()
    world.removal_wait = wait
    world.run_workers()
    world.responder().work(INCIDENT_ID)
    return world, world.tasks()[task.transfer_id]


def require_removed(world: World, task: Task) -> None:
    """Gone for good, with its rows; who asks for it is told which one has the model now, and that one is whole."""
    assert world.tasks()[task.transfer_id].state is TaskState.DONE
    assert set(world.container(task.transfer_id).objects) == {MANIFEST_NAME}
    assert world.index.find_of(task.transfer_id) == []
    assert world.ledger.get(task.transfer_id).superseded_by == task.replacement_id
    assert read_model(world, task.replacement_id, world.identities["bob"].kem) == model_of(task.transfer_id)
    assert world.trail.actions["model.reencrypt"] >= 1


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(hours=1), timedelta(days=3)])
def test_no_run_removes_what_it_was_the_first_to_check(wait: timedelta) -> None:
    """Not even without a wait; until it is removed, the old container stands and opens."""
    world, task = replace_one(wait)
    assert (task.state, task.remove_at) == (TaskState.REPLACED, NOW + wait)
    if wait:
        for later in (NOW, NOW + wait - SECOND):
            world.now = later
            assert not world.responder().work(INCIDENT_ID).is_closed
            assert set(world.container(task.transfer_id).objects) >= EVERYTHING
            assert read_model(world, task.transfer_id, world.identities["bob"].kem) == model_of(task.transfer_id)
            assert "model.reencrypt" not in world.trail.actions
    world.now = NOW + wait
    assert world.responder().work(INCIDENT_ID).is_closed
    require_removed(world, task)
    with pytest.raises(SupersededError):
        read_model(world, task.transfer_id, world.identities["bob"].kem)


@pytest.mark.parametrize(
    "spoil",
    [
        forge_request,
        cut_payload,
        change_payload,
        *(remove(name) for name in sorted(EVERYTHING)),
        put_other_container,
        lock_out,
    ],
)
def test_what_was_whole_and_is_not_any_more_replaces_nothing(spoil: Callable[[World, Task], None]) -> None:
    """Cut, changed, swapped or for fewer readers since it was checked: the old container stays, and people are told."""
    world, task = replace_one()
    spoil(world, task)
    check_nothing_removed(world, task)


def test_after_such_a_failure_it_is_re_encrypted_again() -> None:
    """A retry asks for another one, under another id, and removes the old container once that one is whole."""
    world, task = replace_one()
    change_payload(world, task)
    check_nothing_removed(world, task)
    world.responder().retry(INCIDENT_ID)
    for _ in range(4):
        world.responder().work(INCIDENT_ID)
        world.run_workers()
    again = world.tasks()[task.transfer_id]
    assert again.replacement_id != task.replacement_id
    require_removed(world, again)


def count_calls() -> int:
    """How many calls the run makes that removes the container."""
    world, _ = replace_one()
    plan = FaultPlan()
    world.responder(plan).work(INCIDENT_ID)
    return len(plan.calls)


@pytest.mark.parametrize("after_effect", [False, True])
def test_killed_between_any_two_steps_of_the_removal(after_effect: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the run dies that removes it, the model stands whole in one of the two containers at least, and the next
    run ends what was begun."""
    monkeypatch.setattr("functions.respond_to_compromise.tasks.THREADS", 1)
    calls = count_calls()
    assert calls > 20
    for at in range(calls):
        world, task = replace_one()
        with pytest.raises(Crash):
            world.responder(FaultPlan(at=at, after_effect=after_effect)).work(INCIDENT_ID)
        assert read_model(world, task.replacement_id, world.identities["bob"].kem) == model_of(task.transfer_id)
        if world.ledger.get(task.transfer_id).superseded_by is None:
            assert set(world.container(task.transfer_id).objects) >= EVERYTHING
        world.responder().work(INCIDENT_ID)
        require_removed(world, task)


def fail_half_way(monkeypatch: pytest.MonkeyPatch, world: World, task: Task) -> None:
    """The envelope is removed, and the role lacks the permission for the rest: the task fails, and is listed anew."""

    def remove_part(transfer_id: str) -> int:
        del world.container(transfer_id).objects[ENVELOPE_NAME]
        raise CloudAccessDeniedError("may not delete", aws_code="AccessDenied")

    with monkeypatch.context() as patch:
        patch.setattr(world.buckets, "remove_model", remove_part)
        world.responder().work(INCIDENT_ID)
    assert world.tasks()[task.transfer_id].state is TaskState.FAILED
    assert world.index.find_of(task.transfer_id)
    world.responder().retry(INCIDENT_ID)


def test_a_removal_that_failed_half_way_is_ended_by_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No payload and no row is left behind because the envelope is gone already."""
    world, task = replace_one()
    fail_half_way(monkeypatch, world, task)
    world.responder().work(INCIDENT_ID)
    require_removed(world, task)


@pytest.mark.parametrize("before_retry", [False, True])
def test_what_is_left_of_a_container_stays_when_the_new_one_is_not_whole(
    monkeypatch: pytest.MonkeyPatch, before_retry: bool
) -> None:
    """The payload can still be of use to whoever restores a version of the envelope; people are told."""
    world, task = replace_one()
    fail_half_way(monkeypatch, world, task)
    change_payload(world, task)
    world.responder().work(INCIDENT_ID)
    if before_retry:
        world.responder().retry(INCIDENT_ID)
        world.responder().work(INCIDENT_ID)
    assert world.tasks()[task.transfer_id].state is TaskState.FAILED
    assert PAYLOAD_NAME in world.container(task.transfer_id).objects
    assert world.index.find_of(task.transfer_id)


def test_no_row_is_left_of_a_container_that_is_not_there() -> None:
    """Its transfer has ended, and nobody needs the key for it any more."""
    world = World()
    sent = world.send("bob", sender="dora")
    del world.container(sent).objects[ENVELOPE_NAME]
    world.answer(report(key_ids=kem_of(world, "bob")))
    assert world.tasks()[sent].state is TaskState.DONE
    assert world.index.find_of(sent) == []


def test_a_container_of_which_a_part_was_removed_is_removed_all_the_same() -> None:
    """The payload went and the run died: the envelope is no reason to keep anything, nor its absence to fail."""
    for name in sorted(EVERYTHING - {MANIFEST_NAME}):
        world, task = replace_one()
        world.ledger.supersede(task.transfer_id, by=task.replacement_id)
        world.container(task.transfer_id).objects.pop(name)
        world.responder().work(INCIDENT_ID)
        require_removed(world, task)
