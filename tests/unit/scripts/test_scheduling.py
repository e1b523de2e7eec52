"""The local fleet schedules tasks as ECS does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.embedded_cloud.scheduling import (
    DEPLOYMENT,
    SCALE_IN,
    Plan,
    TaskState,
    TaskView,
    Wanted,
    breaker_threshold,
    is_complete,
    plan_tasks,
)

PENDING, RUNNING, STOPPING = TaskState.PENDING, TaskState.RUNNING, TaskState.STOPPING


def old(number: int, state: TaskState = RUNNING, *, protected: bool = False) -> TaskView:
    return TaskView(number, "worker:1", state, protected)


def new(number: int, state: TaskState = RUNNING, *, protected: bool = False) -> TaskView:
    return TaskView(number, "worker:2", state, protected)


@pytest.mark.parametrize(
    ("tasks", "desired", "plan"),
    [
        ([], 2, Plan(start=2)),
        ([new(1), new(2, PENDING)], 2, Plan(start=0)),
        ([new(1), new(2, STOPPING)], 2, Plan(start=1)),  # what stops is replaced at once
        ([new(1), new(2), new(3)], 1, Plan(0, ((3, SCALE_IN), (2, SCALE_IN)))),  # the newest first
        ([new(1), new(2, PENDING), new(3)], 2, Plan(0, ((2, SCALE_IN),))),  # before that, what has not started
        ([new(1), new(2, protected=True), new(3, protected=True)], 1, Plan(0, ((1, SCALE_IN),))),
        ([new(1, protected=True), new(2, protected=True)], 0, Plan(0)),  # work is never interrupted
        ([old(1), old(2)], 2, Plan(start=2)),  # a deployment: new tasks first
        ([old(1), old(2), new(3, PENDING), new(4, PENDING)], 2, Plan(0)),
        ([old(1), old(2), new(3), new(4, PENDING)], 2, Plan(0, ((2, DEPLOYMENT),))),  # then one old for each new
        ([old(1, protected=True), old(2), new(3), new(4)], 2, Plan(0, ((2, DEPLOYMENT),))),
        ([old(1, protected=True), new(3), new(4)], 2, Plan(0)),  # an old one that works ends its work
        ([old(1), old(2), old(3, PENDING)], 2, Plan(1, ((3, DEPLOYMENT),))),
        (
            [old(1), old(2), old(3), old(4), new(5), new(6)],
            3,
            Plan(0, ((4, DEPLOYMENT), (3, DEPLOYMENT), (2, DEPLOYMENT))),
        ),
    ],
)
def test_the_next_step(tasks: list[TaskView], desired: int, plan: Plan) -> None:
    """Scale out, scale in, and a rolling replacement at 100 % to 200 %."""
    assert plan_tasks(Wanted(desired, "worker:2"), tasks) == plan


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(list(TaskState)), st.booleans()), max_size=12),
    st.integers(0, 6),
)
def test_what_no_step_does(drawn: list[tuple[bool, TaskState, bool]], desired: int) -> None:
    """No protected task is stopped, never too few stay healthy, never more than 200 % are started."""
    tasks = [
        TaskView(number, "worker:2" if is_new else "worker:1", state, protected and state is RUNNING)
        for number, (is_new, state, protected) in enumerate(drawn)
    ]
    plan = plan_tasks(Wanted(desired, "worker:2"), tasks)
    stopped = {number for number, _ in plan.stop}
    assert not any(task.protected for task in tasks if task.number in stopped)
    running = [task for task in tasks if task.state is RUNNING]
    left = [task for task in running if task.number not in stopped]
    assert len(left) >= min(len(running), desired)
    living = [task for task in tasks if task.state in (PENDING, RUNNING)]
    assert plan.start == 0 or len(living) + plan.start <= max(1, 2 * desired)


def test_when_a_deployment_is_through() -> None:
    """Only when all of the new run, and none of the old."""
    wanted = Wanted(2, "worker:2")
    assert is_complete(wanted, [new(1), new(2), old(3, STOPPING)])
    assert not is_complete(wanted, [new(1), new(2, PENDING)])
    assert not is_complete(wanted, [new(1), new(2), old(3)])


@pytest.mark.parametrize(("desired", "failures"), [(1, 3), (6, 3), (7, 4), (500, 200)])
def test_the_circuit_breaker(desired: int, failures: int) -> None:
    """Half of the desired count, at least 3, at most 200."""
    assert breaker_threshold(desired) == failures
