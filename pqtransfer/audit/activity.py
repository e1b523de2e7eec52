"""Adds up the events of a period, one after the other, for a report of it.

What is listed is bounded, and what was left out is counted: memory <= 5 KiB for each of at most KEYS_AT_MOST keys and
ACTORS_AT_MOST actors (and 40 bytes for each of their days), + the events that are listed, some 1 KiB each.
"""

import re
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from pqtransfer.audit.events import AuditEvent, EventKind, Severity

KEYS_AT_MOST = 5000
ACTORS_AT_MOST = 5000
ADDRESSES_AT_MOST = 50
ACTIONS_AT_MOST = 2000
LISTED_AT_MOST = 2000
MILLISECONDS_PER_DAY = 86_400_000

USE = "use"
"""A step that a key's private half was used in, and not one of its life."""
ON_THE_WAY = frozenset({"claim", "release", "lose", "update"})
"""What happens to a transfer before it ends: counted, and not listed."""

_KEY_ID = re.compile(r"[0-9a-f]{64}")
Item = TypeVar("Item")


@dataclass
class Listed(Generic[Item]):
    """The first so many of something, and how many came after."""

    at_most: int = LISTED_AT_MOST
    items: list[Item] = field(default_factory=list)
    left_out: int = 0

    def add(self, item: Item) -> None:
        if len(self.items) < self.at_most:
            self.items.append(item)
        else:
            self.left_out += 1


@dataclass
class Tally:
    """How often, and how often without success."""

    events: int = 0
    failed: int = 0

    def add(self, event: AuditEvent) -> None:
        self.events += 1
        self.failed += not event.succeeded


@dataclass
class KeyUse:
    """One key in the period: what it was used for, and what became of it."""

    suite: str | None = None
    uses: int = 0
    actors: Counter[str] = field(default_factory=Counter)
    first_ms: int | None = None
    last_ms: int | None = None
    steps: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The last time of each step of its life that succeeded, and by whom."""
    backups: int = 0


@dataclass
class ActorUse:
    """One actor in the period."""

    tally: Tally = field(default_factory=Tally)
    denied: int = 0
    operations: int = 0
    days: Counter[int] = field(default_factory=Counter)
    addresses: set[str] = field(default_factory=set)
    more_addresses: bool = False


@dataclass(frozen=True)
class Moment:
    """An event that is listed, with its number in the log."""

    index: int
    event: AuditEvent


class Activity:
    """Everything that a report says about the events of one period."""

    def __init__(self, *, since: datetime, until: datetime) -> None:
        self.since_ms, self.until_ms = int(since.timestamp() * 1000), int(until.timestamp() * 1000)
        self.days = -(-(self.until_ms - self.since_ms) // MILLISECONDS_PER_DAY)
        self.total = Tally()
        self.kinds = dict[EventKind, Tally]()
        self.by_day: Counter[int] = Counter()
        self.operations: OrderedDict[tuple[str, str], Tally] = OrderedDict()
        self.suites = dict[str, Tally]()
        self.keys = dict[str, KeyUse]()
        self.keys_left_out = 0
        self.actors = dict[str, ActorUse]()
        self.actors_left_out = 0
        self.transfers = Listed[Moment]()
        self.security = Listed[Moment]()
        self.denied = Listed[Moment]()
        self.changes = Listed[Moment]()

    def add(self, index: int, event: AuditEvent) -> None:
        """Count an event; one outside the period is passed over."""
        if not self.since_ms <= event.time_ms < self.until_ms:
            return
        day = (event.time_ms - self.since_ms) // MILLISECONDS_PER_DAY
        self.total.add(event)
        self.kinds.setdefault(event.kind, Tally()).add(event)
        self.by_day[day] += 1
        self._add_operation(event)
        self._add_key(event)
        self._add_actor(event, day)
        self._list(Moment(index, event))

    def _add_operation(self, event: AuditEvent) -> None:
        if event.kind not in (EventKind.CRYPTOGRAPHY, EventKind.KEY):
            return
        place = (event.action, event.suite or "")
        if place not in self.operations and len(self.operations) >= ACTIONS_AT_MOST:
            place = ("(others)", "")
        self.operations.setdefault(place, Tally()).add(event)
        suite = event.suite or "(none)"
        self.suites.setdefault(suite if suite in self.suites or len(self.suites) < 50 else "(others)", Tally()).add(
            event
        )

    def _add_key(self, event: AuditEvent) -> None:
        key_id = event.key_id
        if key_id is None and event.kind is EventKind.KEY and _KEY_ID.fullmatch(event.target.id):
            key_id = event.target.id
        if key_id is None:
            return
        use = self.keys.get(key_id)
        if use is None:
            if len(self.keys) >= KEYS_AT_MOST:
                self.keys_left_out += 1
                return
            use = self.keys[key_id] = KeyUse()
        use.suite = event.suite or use.suite
        use.first_ms = event.time_ms if use.first_ms is None else min(use.first_ms, event.time_ms)
        use.last_ms = event.time_ms if use.last_ms is None else max(use.last_ms, event.time_ms)
        verb = event.action.rpartition(".")[2]
        if event.kind is not EventKind.KEY or verb == USE:
            use.uses += 1
            if event.actor in use.actors or len(use.actors) < ADDRESSES_AT_MOST:
                use.actors[event.actor] += 1
        elif event.succeeded:
            use.backups += verb in ("backup", "back-up")
            if len(use.steps) < ADDRESSES_AT_MOST or verb in use.steps:
                use.steps[verb] = (event.time_ms, event.actor)

    def _add_actor(self, event: AuditEvent, day: int) -> None:
        use = self.actors.get(event.actor)
        if use is None:
            if len(self.actors) >= ACTORS_AT_MOST:
                self.actors_left_out += 1
                return
            use = self.actors[event.actor] = ActorUse()
        use.tally.add(event)
        use.days[day] += 1
        use.denied += event.kind is EventKind.ACCESS and not event.succeeded
        use.operations += event.kind is EventKind.CRYPTOGRAPHY
        address = event.source_address
        if address is not None and address not in use.addresses:
            if len(use.addresses) < ADDRESSES_AT_MOST:
                use.addresses.add(address)
            else:
                use.more_addresses = True

    def _list(self, moment: Moment) -> None:
        event = moment.event
        if event.kind is EventKind.TRANSFER and event.action.rpartition(".")[2] not in ON_THE_WAY:
            self.transfers.add(moment)
        if event.kind is EventKind.SECURITY or event.severity >= Severity.HIGH:
            self.security.add(moment)
        if event.kind is EventKind.ACCESS and not event.succeeded:
            self.denied.add(moment)
        if event.kind in (EventKind.CONFIGURATION, EventKind.ADMINISTRATION):
            self.changes.add(moment)
