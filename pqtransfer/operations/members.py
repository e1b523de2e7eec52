"""What an alert consists of: each thing that was seen of its cause, merged so that order and repetition do not matter.

Of each key only the latest times count: seen last, and cleared last. So any order of the same signals ends the same.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pqtransfer.operations.alert_policy import AlertPolicy
from pqtransfer.operations.alert_records import Member
from pqtransfer.operations.signals import Phase, Signal, rank

INSTANT = timedelta(microseconds=1)


def merge_signal(
    members: Sequence[Member], signal: Signal, *, at: datetime, at_most: int
) -> tuple[tuple[Member, ...], int]:
    """The members after a signal; and 1 when it was one too many to be listed, else 0.

    One that is over makes room for a new one. What is worse than the mildest of a full list takes its place.
    """
    known = next((each for each in members if each.key == signal.key), None)
    if known is not None:
        return tuple(_merge(each, signal, at) if each is known else each for each in members), 0
    added = _begin(signal, at)
    if len(members) < at_most:
        return (*members, added), 0
    gives_way = min(members, key=lambda each: (each.is_open, rank(each.severity), each.last_at))
    if gives_way.is_open and (not added.is_open or rank(gives_way.severity) >= rank(added.severity)):
        return tuple(members), 1
    return (*(each for each in members if each is not gives_way), added), int(gives_way.is_open)


def clear_all(members: Sequence[Member], *, at: datetime) -> tuple[Member, ...]:
    """The members when somebody says that all of it is over. What was seen at this very moment is, too."""
    return tuple(
        each.model_copy(update={"cleared_at": max(at, each.last_at + INSTANT)}) if each.is_open else each
        for each in members
    )


def clear_quiet(
    members: Sequence[Member], *, at: datetime, policy: AlertPolicy, acknowledged: bool
) -> tuple[Member, ...]:
    """The members when those are over that were not seen for long enough."""
    return tuple(
        each.model_copy(update={"cleared_at": at})
        if (over_at := _quiet_at(each, policy, acknowledged)) is not None and at >= over_at
        else each
        for each in members
    )


def next_quiet_at(members: Sequence[Member], *, policy: AlertPolicy, acknowledged: bool) -> datetime | None:
    """When the first of them is over if it is not seen until then."""
    times = [_quiet_at(each, policy, acknowledged) for each in members]
    return min((each for each in times if each is not None), default=None)


def _quiet_at(member: Member, policy: AlertPolicy, acknowledged: bool) -> datetime | None:
    if not member.is_open or member.ends_by_event:
        return None
    quiet = policy.quiet_time(member.severity, acknowledged=acknowledged)
    return None if quiet is None else member.last_at + quiet


def _begin(signal: Signal, at: datetime) -> Member:
    is_raised = signal.phase is Phase.RAISED
    return Member(
        key=signal.key,
        code=signal.code,
        severity=signal.severity,
        summary=signal.summary,
        remedy=signal.remedy,
        details=signal.details,
        correlation_id=signal.correlation_id,
        first_at=at,
        last_at=at,
        count=1 if is_raised else 0,
        cleared_at=None if is_raised else at,
        ends_by_event=signal.ends_by_event,
    )


def _merge(member: Member, signal: Signal, at: datetime) -> Member:
    if signal.phase is Phase.CLEARED:
        return member.model_copy(update={"cleared_at": max(at, member.cleared_at or at)})
    is_first = member.count == 0
    begins_anew = is_first or not member.is_open
    changes: dict[str, object] = {
        "count": member.count + 1,
        "last_at": at if is_first else max(at, member.last_at),
        "first_at": at if begins_anew else min(at, member.first_at),
    }
    if is_first or at >= member.last_at:
        changes |= {
            "code": signal.code,
            "severity": signal.severity,
            "summary": signal.summary,
            "remedy": signal.remedy,
            "details": signal.details,
            "correlation_id": signal.correlation_id,
            "ends_by_event": signal.ends_by_event,
        }
    return member.model_copy(update=changes)
