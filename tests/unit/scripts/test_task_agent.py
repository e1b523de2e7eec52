"""The local ECS agent: the worker's own client talks to it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pqtransfer.aws.task_protection import PROTECTION_MINUTES, TaskProtection, TaskProtectionError
from scripts.embedded_cloud.task_agent import TaskAgent


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(clock: Clock) -> Iterator[TaskAgent]:
    started = TaskAgent(now=clock.now)
    yield started
    started.close()


def test_protection_is_of_one_task_until_it_is_dropped(agent: TaskAgent) -> None:
    """Each task has an address of its own."""
    protection = TaskProtection(agent.register("task-1"))
    TaskProtection(agent.register("task-2"))
    protection.hold()
    assert agent.is_protected("task-1")
    assert not agent.is_protected("task-2")
    protection.drop()
    assert not agent.is_protected("task-1")


def test_protection_expires(agent: TaskAgent, clock: Clock) -> None:
    """A task that forgets it does not run for ever."""
    TaskProtection(agent.register("task-1")).hold()
    clock.at += timedelta(minutes=PROTECTION_MINUTES)
    assert not agent.is_protected("task-1")


def test_a_task_that_has_stopped_gets_nothing(agent: TaskAgent) -> None:
    """Its address is no longer known."""
    protection = TaskProtection(agent.register("task-1"))
    protection.hold()
    agent.forget("task-1")
    assert not agent.is_protected("task-1")
    with pytest.raises(TaskProtectionError):
        protection.hold()


def test_an_address_that_nobody_was_given(agent: TaskAgent) -> None:
    """No task can speak for another by guessing its number."""
    address = agent.register("task-1").rpartition("/")[0]
    with pytest.raises(TaskProtectionError):
        TaskProtection(f"{address}/task-1").hold()
