"""The decision: how many workers there should be, and why.

More is wanted at once, less only after less was needed for a while, never while something could not be learned, and
never less than has work in its hands. A count that somebody has set by hand is kept for a while, within the limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pqtransfer.scaling.needs import Need, list_needs
from pqtransfer.scaling.observing import Observation
from pqtransfer.scaling.policy import ScalingPolicy

CPU_REMEMBERED = timedelta(minutes=15)
"""For how long workers that were added for CPU stay, if the others would be over the threshold without them."""
EPSILON = 1e-9


@dataclass(frozen=True)
class Decision:
    """How many workers are wanted (`desired`), out of how many are needed, and the words for it.

    Attributes:
        found: what the service was asked for before.
        needed: what was needed, were there no limits.
        missing: what could not be learned.
        by_hand_until: until when a count that was set by hand is kept.
        applied: whether the service was told.
    """

    at: datetime
    found: int
    desired: int
    needed: int
    reason: str
    says: str
    missing: tuple[str, ...] = ()
    by_hand_until: datetime | None = None
    applied: bool = False

    @property
    def is_change(self) -> bool:
        """Whether the service has to be told something else than it was."""
        return self.desired != self.found

    @property
    def is_news(self) -> bool:
        """Whether somebody who looks back wants to know of it."""
        return self.is_change or self.reason == "set-by-hand"


def decide(seen: Observation, policy: ScalingPolicy, *, recent: Sequence[Decision] = ()) -> Decision:
    """The decision on what was seen. `recent`: earlier ones, newest first; those of the last quarter of an hour do."""
    strongest = max(list_needs(seen, policy), key=lambda need: need.workers)
    needed = max(strongest.workers, _keep_for_cpu(seen, policy, recent))
    by_hand_until, is_new = _find_hand(seen, policy, recent)
    if by_hand_until is not None:
        return _keep_hand(seen, policy, needed, by_hand_until, is_new=is_new)
    wanted = _within(needed, policy)
    if wanted >= seen.desired:
        limit = f"; {needed} are needed, and {policy.maximum} is the limit" if needed > policy.maximum else ""
        return _make(seen, wanted, needed, strongest, says=f"{strongest.says}{limit}")
    if seen.desired > policy.maximum:
        over = Need(policy.maximum, "limit", f"{seen.desired} workers are over the limit of {policy.maximum}")
        return _make(seen, policy.maximum, needed, over)
    if seen.missing:
        held = Need(seen.desired, "missing", f"not known: {', '.join(seen.missing)}; so no worker is let go")
        return _make(seen, seen.desired, needed, held)
    since = seen.at - timedelta(seconds=policy.settle_seconds)
    lately = max((_within(each.needed, policy) for each in recent if each.at > since), default=wanted)
    target = min(seen.desired, max(wanted, lately))
    if target == seen.desired:
        return _make(
            seen, target, needed, Need(target, "settling", f"{needed} are needed now, {target} were just before")
        )
    says = f"{target} were needed in the last {policy.settle_seconds:.0f} s; {strongest.says}"
    return _make(seen, target, needed, Need(target, "less", says))


def _find_hand(seen: Observation, policy: ScalingPolicy, recent: Sequence[Decision]) -> tuple[datetime | None, bool]:
    """Until when a count that was set by hand is kept, and whether it was set just now."""
    last = recent[0] if recent else None
    if last is None or not last.applied:
        return None, False
    if seen.desired != last.desired:
        return seen.at + timedelta(seconds=policy.hand_seconds), True
    if last.by_hand_until is not None and last.by_hand_until > seen.at:
        return last.by_hand_until, False
    return None, False


def _keep_hand(seen: Observation, policy: ScalingPolicy, needed: int, until: datetime, *, is_new: bool) -> Decision:
    kept = max(_within(seen.desired, policy), min(seen.busy, policy.maximum))
    says = f"{seen.desired} was set by hand; {kept} is kept until {until.isoformat(timespec='seconds')}"
    need = Need(kept, "set-by-hand" if is_new else "by-hand", f"{says}; {needed} are needed")
    return _make(seen, kept, needed, need, by_hand_until=until)


def _keep_for_cpu(seen: Observation, policy: ScalingPolicy, recent: Sequence[Decision]) -> int:
    """Letting workers go that were added for CPU would put the others over the threshold again: it would swing."""
    was_added = any(each.reason == "cpu" and seen.at - each.at < CPU_REMEMBERED for each in recent)
    if not was_added or not seen.cpu_percent:
        return 0
    return int(seen.cpu_percent[-1] * seen.running / policy.cpu_percent - EPSILON) + 1


def _within(workers: int, policy: ScalingPolicy) -> int:
    return min(policy.maximum, max(policy.minimum, workers))


def _make(
    seen: Observation,
    desired: int,
    needed: int,
    need: Need,
    *,
    says: str | None = None,
    by_hand_until: datetime | None = None,
) -> Decision:
    return Decision(
        at=seen.at,
        found=seen.desired,
        desired=desired,
        needed=needed,
        reason=need.reason,
        says=says or need.says,
        missing=seen.missing,
        by_hand_until=by_hand_until,
    )
