"""What ECS does with the tasks of a service, as rules without processes: what to start, what to stop, when to go back.

Scale-in and deployments stop no protected task. A deployment starts new tasks first (at most `maximum_percent` of the
desired count together) and stops old ones while `minimum_percent` stay healthy. Tasks that stop before they were
healthy count against their deployment; too many of them trip the circuit breaker.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SCALE_IN = "Scaling activity initiated by deployment"
DEPLOYMENT = "Deployment replaced the task"
BREAKER_LEAST, BREAKER_MOST, BREAKER_SHARE = 3, 200, 0.5


class TaskState(StrEnum):
    """Of the states of ECS, those in which something is decided."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"


@dataclass(frozen=True)
class TaskView:
    """One task, as the scheduler sees it. `number` counts the tasks of the service: the newest has the largest."""

    number: int
    definition: str
    state: TaskState
    protected: bool = False


@dataclass(frozen=True)
class Wanted:
    """What the service says."""

    desired: int
    definition: str
    minimum_percent: int = 100
    maximum_percent: int = 200


@dataclass(frozen=True)
class Plan:
    """How many tasks of the wanted definition to start, and which tasks to stop, by number, with the reason."""

    start: int
    stop: tuple[tuple[int, str], ...] = ()


def plan_tasks(wanted: Wanted, tasks: Sequence[TaskView]) -> Plan:
    """The next step towards what is wanted."""
    living = [task for task in tasks if task.state in (TaskState.PENDING, TaskState.RUNNING)]
    current = [task for task in living if task.definition == wanted.definition]
    stale = [task for task in living if task.definition != wanted.definition]
    room = max(1, wanted.desired * wanted.maximum_percent // 100) - len(living)
    start = max(0, min(wanted.desired - len(current), room))
    excess = _in_order_of_stopping(current)[: max(0, len(current) - wanted.desired)]
    healthy_to_keep = math.ceil(wanted.desired * wanted.minimum_percent / 100)
    spare = sum(task.state is TaskState.RUNNING for task in living) - len(excess) - healthy_to_keep
    drained = [task for task in _in_order_of_stopping(stale) if task.state is TaskState.PENDING]
    drained += [task for task in _in_order_of_stopping(stale) if task.state is TaskState.RUNNING][: max(0, spare)]
    return Plan(
        start,
        tuple((task.number, SCALE_IN) for task in excess) + tuple((task.number, DEPLOYMENT) for task in drained),
    )


def is_complete(wanted: Wanted, tasks: Sequence[TaskView]) -> bool:
    """Whether the deployment is through: every task that is wanted runs, and none of another definition does."""
    living = [task for task in tasks if task.state in (TaskState.PENDING, TaskState.RUNNING)]
    current = [task for task in living if task.definition == wanted.definition and task.state is TaskState.RUNNING]
    return len(current) >= wanted.desired and all(task.definition == wanted.definition for task in living)


def breaker_threshold(desired: int) -> int:
    """How many tasks in a row may fail to start before a deployment is given up, as ECS counts by default."""
    return min(BREAKER_MOST, max(BREAKER_LEAST, math.ceil(desired * BREAKER_SHARE)))


def _in_order_of_stopping(tasks: Sequence[TaskView]) -> list[TaskView]:
    """Those that may be stopped: first what has not started, then the newest."""
    free = [task for task in tasks if not task.protected]
    return sorted(free, key=lambda task: (task.state is TaskState.RUNNING, -task.number))
