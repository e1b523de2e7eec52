"""The rules of alerts: a pure state machine. Given an alert as it stands and what came in, the alert as it stands then.

    RESOLVED -> OPEN -> ACKNOWLEDGED -> RESOLVED
                  ^----------|   (worse, or acknowledged for too long)

One cause pages once: what comes again is counted, what comes beside it within a window is added. An alert that is open
always has a time at which it speaks again, so that nothing unresolved is silent for ever: it escalates until somebody
acknowledges, and an acknowledgement and a silence end.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pqtransfer.errors import InputError
from pqtransfer.operations.alert_policy import AlertPolicy
from pqtransfer.operations.alert_records import AlertRecord, AlertState
from pqtransfer.operations.deliveries import ChannelKind, Delivery, PageKind, Route
from pqtransfer.operations.members import clear_all, clear_quiet, merge_signal, next_quiet_at
from pqtransfer.operations.recovery import prune_history
from pqtransfer.operations.signals import Signal, rank
from pqtransfer.operations.silences import Silence, find_silence_end

NOTIFICATION_FAILED = "notification-failed"


class AlertEndedError(InputError):
    """There is nothing to acknowledge any more."""

    def __init__(self, alert_id: str) -> None:
        super().__init__(f"alert {alert_id} is resolved; `pqtransfer alerts list` shows those that are not")


@dataclass(frozen=True)
class Change:
    """An alert after a step, and what happened in it. `record` is the very same when nothing did."""

    record: AlertRecord
    happened: tuple[PageKind, ...] = ()

    def then(self, record: AlertRecord, *happened: PageKind) -> "Change":
        """This, and then that."""
        return Change(record, (*self.happened, *happened))


@dataclass(frozen=True)
class AlertRules:
    """The rules at one moment: `now`, where pages go, and what is silenced."""

    now: datetime
    routes: Sequence[Route]
    silences: Sequence[Silence] = ()
    policy: AlertPolicy = field(default_factory=AlertPolicy)

    # --- what comes in

    def take(self, record: AlertRecord | None, signal: Signal) -> Change:
        """A signal of this alert's cause came in, for the first time or again, in any order."""
        at = min(signal.at, self.now)
        before = record or AlertRecord(
            alert_id=signal.alert_id, cause=signal.cause, opened_at=self.now, changed_at=self.now
        )
        event = hashlib.sha256(f"{signal.event_id}/{signal.key}/{signal.phase}".encode()).hexdigest()[:16]
        if event in before.seen_events:
            return Change(before)
        members, left_out = merge_signal(before.members, signal, at=at, at_most=self.policy.members_at_most)
        after = before.change(
            members=members,
            members_left_out=before.members_left_out + left_out,
            seen_events=(*before.seen_events, event)[-self.policy.events_remembered :],
            changed_at=self.now,
        )
        is_new = before.find_member(signal.key) is None and after.find_member(signal.key) is not None
        return self._settle(after, is_new=is_new)

    def advance(self, record: AlertRecord) -> Change:
        """The clock: what is over, what has to be said again, and who has not acknowledged."""
        if not record.is_open:
            return Change(record)
        acknowledged = record.state is AlertState.ACKNOWLEDGED
        members = clear_quiet(record.members, at=self.now, policy=self.policy, acknowledged=acknowledged)
        is_calm = record.is_flapping and self.now - record.last_seen_at >= self.policy.calm_after
        change = Change(record)
        if members != record.members or is_calm:
            changed = record.change(
                members=members, is_flapping=record.is_flapping and not is_calm, changed_at=self.now
            )
            change = self._settle(changed, is_new=False)
        if not change.record.is_open:
            return change
        return self._speak_again(change)

    def acknowledge(self, record: AlertRecord, *, by: str) -> Change:
        """Somebody takes care of it.

        Raises:
            AlertEndedError: it is resolved.
        """
        if not record.is_open:
            raise AlertEndedError(record.alert_id)
        acknowledged = record.change(
            state=AlertState.ACKNOWLEDGED,
            acknowledged_by=by[:256],
            acknowledged_until=self.now + self.policy.acknowledged_for[record.severity],
            escalates_at=None,
            changed_at=self.now,
        )
        return Change(self._page(acknowledged, PageKind.ACKNOWLEDGED), (PageKind.ACKNOWLEDGED,))

    def resolve(self, record: AlertRecord, *, by: str) -> Change:
        """Somebody says that it is over. What is seen of it from now on opens it anew, and does not count as flapping.

        Raises:
            AlertEndedError: it is resolved.
        """
        if not record.is_open:
            raise AlertEndedError(record.alert_id)
        ended = record.change(
            members=clear_all(record.members, at=self.now),
            is_flapping=False,
            acknowledged_by=by[:256],
            changed_at=self.now,
        )
        change = self._settle(ended, is_new=False)
        return Change(change.record.change(openings=()), change.happened)

    def escalate(self, record: AlertRecord) -> Change:
        """What was tried did not help: more people are told, at once and whether or not it is acknowledged."""
        level = record.level + 1
        raised = record.change(
            state=AlertState.OPEN,
            level=level,
            acknowledged_until=None,
            escalates_at=self.now + self.policy.escalation_delay(record.severity, level),
            changed_at=self.now,
        )
        return Change(self._page(raised, PageKind.ESCALATED), (PageKind.ESCALATED,))

    # --- when it has to be looked at again

    def find_due(self, record: AlertRecord) -> datetime | None:
        """When the clock has something to do with it; never None while it is open."""
        times = [each.due_at for each in record.deliveries]
        if record.is_open:
            acknowledged = record.state is AlertState.ACKNOWLEDGED
            quiet_at = next_quiet_at(record.members, policy=self.policy, acknowledged=acknowledged)
            calm_at = record.last_seen_at + self.policy.calm_after if record.is_flapping else None
            waits = (
                record.escalates_at,
                record.acknowledged_until,
                record.silenced_until,
                record.recovers_at,
                quiet_at,
                calm_at,
            )
            times += [each for each in waits if each is not None]
            times = times or [self.now]
        return min(times, default=None)

    def find_expiry(self, record: AlertRecord) -> datetime | None:
        """When it may be forgotten; None while it is open, or somebody is still to be told of it."""
        if record.is_open or record.deliveries:
            return None
        return record.changed_at + self.policy.kept_for

    # --- the steps

    def _settle(self, record: AlertRecord, *, is_new: bool) -> Change:
        """The state that follows from what is still so."""
        if not record.is_open:
            return self._open(record) if record.open_members else Change(record)
        if not record.open_members and not record.is_flapping:
            return self._end(record)
        worst = max((each.severity for each in record.open_members), key=rank, default=record.severity)
        if rank(worst) > rank(record.severity):
            worse = record.change(
                severity=worst,
                state=AlertState.OPEN,
                acknowledged_until=None,
                escalates_at=self.now + self.policy.escalation_delay(worst, record.level),
            )
            return Change(self._page(worse, PageKind.WORSE), (PageKind.WORSE,))
        paged_at = record.paged_at
        if is_new and not record.is_flapping and paged_at and self.now - paged_at >= self.policy.correlates_within:
            return Change(self._page(record, PageKind.MORE), (PageKind.MORE,))
        return Change(record)

    def _open(self, record: AlertRecord) -> Change:
        since = self.now - self.policy.flaps_within
        openings = (*(each for each in record.openings if each > since), self.now)
        is_flapping = len(openings) >= self.policy.flaps_at
        severity = max((each.severity for each in record.open_members), key=rank)
        opened = record.change(
            state=AlertState.OPEN,
            severity=severity,
            opened_at=self.now,
            openings=openings[-self.policy.flaps_at :],
            is_flapping=is_flapping,
            paged_at=None,
            paged_severity=None,
            level=0,
            escalates_at=self.now + self.policy.escalation_delay(severity, 0),
            acknowledged_by=None,
            acknowledged_until=None,
            silenced_until=None,
            recoveries=prune_history(record.recoveries, at=self.now),
            recovers_at=None,
            recovery_failed=False,
            deliveries=tuple(each for each in record.deliveries if each.outlives_occurrence),
        )
        kind = PageKind.FLAPPING if is_flapping else PageKind.RAISED
        return Change(self._page(opened, kind), (kind,))

    def _end(self, record: AlertRecord) -> Change:
        ended = record.change(
            state=AlertState.RESOLVED,
            escalates_at=None,
            acknowledged_until=None,
            silenced_until=None,
            recovers_at=None,
            deliveries=tuple(each for each in record.deliveries if each.outlives_occurrence),
        )
        if record.paged_at is not None:
            ended = self._page(ended, PageKind.RESOLVED)
        return Change(ended, (PageKind.RESOLVED,))

    def _speak_again(self, change: Change) -> Change:
        record = change.record
        if record.silenced_until is not None and self.now >= record.silenced_until:
            kind = PageKind.RAISED if record.paged_at is None else PageKind.REMINDER
            record = self._page(record.change(silenced_until=None), kind)
            if record.silenced_until is None:
                change = change.then(record, kind)
        if record.acknowledged_until is not None and self.now >= record.acknowledged_until:
            record = record.change(
                state=AlertState.OPEN,
                acknowledged_until=None,
                escalates_at=self.now + self.policy.escalation_delay(record.severity, record.level),
                changed_at=self.now,
            )
            return change.then(self._page(record, PageKind.REMINDER), PageKind.REMINDER)
        if record.escalates_at is not None and self.now >= record.escalates_at:
            escalated = self.escalate(record)
            return change.then(escalated.record, *escalated.happened)
        return replace(change, record=record)

    def _page(self, record: AlertRecord, kind: PageKind) -> AlertRecord:
        """Tell people, over every channel that is for them; nobody when it is silenced, which ends."""
        codes = [each.code for each in record.open_members]
        until = find_silence_end(self.silences, alert_id=record.alert_id, codes=codes, at=self.now)
        if until is not None and record.is_open:
            return record.change(silenced_until=until)
        number = record.pages + 1
        deliveries = tuple(
            Delivery(
                number=number,
                kind=kind,
                channel=route.channel,
                occurrence=record.occurrence,
                decided_at=self.now,
                due_at=self.now,
            )
            for route in self._choose_routes(record, kind)
        )
        paged = record.severity if record.is_open else record.paged_severity
        return record.change(
            pages=number, paged_at=self.now, paged_severity=paged, deliveries=(*record.deliveries, *deliveries)
        )

    def _choose_routes(self, record: AlertRecord, kind: PageKind) -> list[Route]:
        broken = {each.details.get("channel") for each in record.open_members if each.code == NOTIFICATION_FAILED}
        usable = [each for each in self.routes if each.channel not in broken]
        if kind is PageKind.ACKNOWLEDGED:
            usable = [each for each in usable if each.kind is not ChannelKind.EMAIL]
            return [each for each in usable if each.takes(record.severity, level=record.level)]
        taken = [each for each in usable if each.takes(record.severity, level=record.level)]
        return taken or usable or list(self.routes)
