"""What the system tries by itself about an alert, and when it stops trying: pure rules with a limit and a cool-down.

A recovery that was started is on record before anything is done, so that a crash in between cannot make it endless.
One that does not help is not repeated for ever: when its tries are used up, the alert is escalated, and people are told
what was tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class RecoveryKind(StrEnum):
    """What can be tried."""

    REPLACE_TASK = "replace-task"
    ROLL_BACK = "roll-back"
    REDRIVE = "redrive"
    RESTART_TRANSFER = "restart-transfer"


class RecoveryOutcome(StrEnum):
    """How a try ended. `STARTED` that stays so was interrupted: nobody knows how far it came."""

    STARTED = "started"
    DONE = "done"
    NOTHING_TO_DO = "nothing to do"
    FAILED = "failed"


@dataclass(frozen=True)
class RecoveryLimit:
    """How often one thing may be tried on one target, and how long it is left alone after each try."""

    tries: int
    within: timedelta
    cool_down: timedelta
    in_all: int
    """On all targets of one alert: a fleet is not replaced task by task because of one fault in all of them."""


RECOVERY_LIMITS: Mapping[RecoveryKind, RecoveryLimit] = MappingProxyType(
    {
        RecoveryKind.REPLACE_TASK: RecoveryLimit(1, timedelta(hours=1), timedelta(minutes=2), in_all=5),
        RecoveryKind.ROLL_BACK: RecoveryLimit(1, timedelta(hours=6), timedelta(hours=6), in_all=1),
        RecoveryKind.REDRIVE: RecoveryLimit(2, timedelta(hours=24), timedelta(minutes=15), in_all=2),
        RecoveryKind.RESTART_TRANSFER: RecoveryLimit(3, timedelta(hours=24), timedelta(minutes=10), in_all=20),
    }
)
LOOKS_AGAIN_AFTER = timedelta(minutes=2)
"""Whether a cause is gone."""
LONGEST_WINDOW = max(limit.within for limit in RECOVERY_LIMITS.values())

RECOVERIES: Mapping[str, tuple[RecoveryKind, str]] = MappingProxyType(
    {
        "task-unhealthy": (RecoveryKind.REPLACE_TASK, "task"),
        "worker-hung": (RecoveryKind.REPLACE_TASK, "worker"),
        "deployment-failed": (RecoveryKind.ROLL_BACK, "service"),
        "transfer-stalled": (RecoveryKind.RESTART_TRANSFER, "transfer_id"),
        "messages-given-up": (RecoveryKind.REDRIVE, "queue"),
    }
)
"""Alert code -> what is tried about it, and the detail that names its target."""


class Recovery(BaseModel):
    """One try."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: RecoveryKind
    target: str = Field(min_length=1, max_length=2048)
    started_at: AwareDatetime
    outcome: RecoveryOutcome = RecoveryOutcome.STARTED
    said: str = Field(default="", max_length=512)

    def end(self, outcome: RecoveryOutcome, said: str) -> "Recovery":
        """The same, ended."""
        return self.model_copy(update={"outcome": outcome, "said": said[:512]})


@dataclass(frozen=True)
class RecoveryPlan:
    """What to do now: start `start`; and whether something that is still so was tried as often as is allowed."""

    start: tuple[tuple[RecoveryKind, str], ...] = ()
    exhausted: bool = False
    next_at: datetime | None = None
    """When something that cools down may be tried again."""


def plan_recovery(
    wanted: Sequence[tuple[RecoveryKind, str]], history: Sequence[Recovery], *, at: datetime, cause_is_gone: bool
) -> RecoveryPlan:
    """What to try, of an alert that is still open.

    Args:
        wanted: what could be tried, and on what, about each thing that is still so.
        history: what was tried before.
        cause_is_gone: nothing else is wrong, so that messages that were given up may be tried again.
    """
    start: list[tuple[RecoveryKind, str]] = []
    exhausted, next_at = False, None
    for kind, target in wanted:
        limit = RECOVERY_LIMITS[kind]
        recent = [each for each in history if each.kind is kind and at - each.started_at < limit.within]
        here = [each for each in recent if each.target == target]
        ready_at = max((each.started_at + limit.cool_down for each in here), default=at)
        if (kind, target) in start:
            continue
        if kind is RecoveryKind.REDRIVE and not cause_is_gone:
            ready_at = max(ready_at, at + LOOKS_AGAIN_AFTER)
        if at < ready_at:
            next_at = ready_at if next_at is None else min(next_at, ready_at)
        elif len(here) >= limit.tries or len(recent) + len([each for each in start if each[0] is kind]) >= limit.in_all:
            exhausted = True
        else:
            start.append((kind, target))
    return RecoveryPlan(tuple(start), exhausted, next_at)


def prune_history(history: Sequence[Recovery], *, at: datetime) -> tuple[Recovery, ...]:
    """What still matters: everything that a limit can count."""
    return tuple(each for each in history if at - each.started_at < LONGEST_WINDOW)
