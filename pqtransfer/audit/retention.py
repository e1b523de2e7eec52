"""For how long entries of the audit log are kept: hot, then archived, then purged; by environment and class of event.

A bundle of 256 entries is one object, and mixes classes: it is archived, and purged, when each of its entries is due.
So an entry may be kept longer than its own class asks for, and never shorter. Bundles are purged from the beginning of
the log on: one that is held or not due keeps all that come after it. Age counts from when the bundle was completed, as
the store says: the clocks of producers decide nothing. Tiles of hashes stay, so that what remains can be proven.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from pqtransfer.audit.events import EventKind
from pqtransfer.errors import InputError

DAYS_AT_MOST = 36_500
DEFAULT = "default"
_RULE = re.compile(r"([a-z]+)=([0-9]{1,5}):([0-9]{1,5})", re.ASCII)
_KIND = re.compile(rb'"metadata":\{"correlation_uid":"[^"\\]*","event_code":"[^"\\]*","log_name":"([a-z]+)"')
"""As in `read_event_header`: the first metadata of an entry is its own."""


class InvalidRetentionError(InputError):
    """Retention rules cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"these are no retention rules: {reason}; write CLASS=HOT:KEEP in days, "
            f"for example default=90:2557,security=365:3653 (classes: {DEFAULT}, {', '.join(EventKind)})"
        )


@dataclass(frozen=True)
class RetentionRule:
    """Entries are archived after `hot_days`, and purged after `keep_days`."""

    hot_days: int
    keep_days: int


@dataclass(frozen=True)
class RetentionRules:
    """A rule for each class of events that has its own, and one for the others."""

    default: RetentionRule
    by_kind: Mapping[EventKind, RetentionRule]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read rules as an environment has them: `default=90:2557,security=365:3653`.

        Raises:
            InvalidRetentionError: they are none, name a class twice or one that there is not, or have no default.
        """
        rules = dict[str, RetentionRule]()
        for part in text.split(","):
            match = _RULE.fullmatch(part.strip())
            if match is None:
                raise InvalidRetentionError(f"{part[:60]!r} is not CLASS=HOT:KEEP")
            name, rule = match[1], RetentionRule(int(match[2]), int(match[3]))
            if name in rules or (name != DEFAULT and name not in set(EventKind)):
                raise InvalidRetentionError(f"{name[:40]!r} stands twice, or is no class of events")
            if not 0 < rule.hot_days <= rule.keep_days <= DAYS_AT_MOST:
                raise InvalidRetentionError(f"{name} is not kept for at least as long as it is hot, or is for too long")
            rules[name] = rule
        if DEFAULT not in rules:
            raise InvalidRetentionError("there is no rule for the others")
        default = rules.pop(DEFAULT)
        return cls(default, {EventKind(name): rule for name, rule in rules.items()})

    def find(self, kind: EventKind | None) -> RetentionRule:
        """The rule of a class. Of what is no event (None), the longest of all."""
        if kind is not None:
            return self.by_kind.get(kind, self.default)
        every = [self.default, *self.by_kind.values()]
        return RetentionRule(max(rule.hot_days for rule in every), max(rule.keep_days for rule in every))

    @property
    def shortest_keep_days(self) -> int:
        return min(rule.keep_days for rule in (self.default, *self.by_kind.values()))


@dataclass(frozen=True)
class BundleAge:
    """When a bundle is due to be archived and to be purged, and whether a legal hold keeps it."""

    number: int
    archive_at: datetime
    purge_at: datetime
    is_held: bool


def judge_bundle(
    number: int, entries: Iterable[bytes], rules: RetentionRules, *, completed_at: datetime, is_held: bool
) -> BundleAge:
    """When a bundle is due: when the last of its entries is."""
    found = {rules.find(_read_kind(entry)) for entry in entries}
    hot_days = max((rule.hot_days for rule in found), default=0)
    keep_days = max((rule.keep_days for rule in found), default=0)
    return BundleAge(number, completed_at + timedelta(days=hot_days), completed_at + timedelta(days=keep_days), is_held)


def plan_archive(ages: Iterable[BundleAge], *, now: datetime, at_most: int) -> list[int]:
    """The bundles to archive, from the first of `ages` on, until one is not due."""
    due = list[int]()
    for age in ages:
        if age.archive_at > now or len(due) >= at_most:
            break
        due.append(age.number)
    return due


def plan_purge(ages: Iterator[BundleAge], *, first: int, now: datetime, at_most: int) -> tuple[int, int | None]:
    """The first bundle that is kept, and the one whose legal hold decided it, if one did.

    Args:
        ages: of the bundles from `first` on.
        first: the first bundle that is there.
        at_most: how many may go at once.
    """
    kept = first
    for age in ages:
        if age.purge_at > now or kept - first >= at_most:
            return kept, None
        if age.is_held:
            return kept, age.number
        kept = age.number + 1
    return kept, None


def _read_kind(entry: bytes) -> EventKind | None:
    match = _KIND.search(entry)
    try:
        return None if match is None else EventKind(match[1].decode("ascii"))
    except ValueError:
        return None
