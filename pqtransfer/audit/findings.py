"""What a verifier reports: each thing that is wrong with a log, by its own name, and what was checked."""

from dataclasses import dataclass, field
from enum import StrEnum

from pqtransfer.audit.checkpoints import Checkpoint
from pqtransfer.audit.positions import Numbering

FINDINGS_AT_MOST = 1000
"""A log that was replaced has one finding for each entry: more than these are only counted."""


class FindingKind(StrEnum):
    """What is wrong."""

    CHECKPOINT_MISSING = "checkpoint-missing"
    CHECKPOINT_UNTRUSTED = "checkpoint-untrusted"
    KEY_REVOKED = "key-revoked"
    LOG_ROLLED_BACK = "log-rolled-back"
    SPLIT_VIEW = "split-view"
    TREE_REPLACED = "tree-replaced"
    LOG_TRUNCATED = "log-truncated"
    TILE_MISSING = "tile-missing"
    TILE_CHANGED = "tile-changed"
    ENTRIES_MISSING = "entries-missing"
    ENTRY_CHANGED = "entry-changed"
    ENTRY_DELETED = "entry-deleted"
    ENTRY_INSERTED = "entry-inserted"
    ENTRIES_REORDERED = "entries-reordered"
    BUNDLE_DAMAGED = "bundle-damaged"
    FILE_UNREADABLE = "file-unreadable"
    NOT_AN_EVENT = "not-an-event"
    STATE_CHANGED = "state-changed"
    CHECKPOINT_STALE = "checkpoint-stale"
    SEQUENCE_GAP = "sequence-gap"
    SEQUENCE_REPEATED = "sequence-repeated"
    EVENTS_WITHHELD = "events-withheld"

    @property
    def is_about_completeness(self) -> bool:
        """Something that should be there is not; the other kinds say that what is there is not true."""
        return self in {FindingKind.SEQUENCE_GAP, FindingKind.EVENTS_WITHHELD, FindingKind.CHECKPOINT_STALE}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with where it is: the path of a file, or the producer; and the first index or number."""

    kind: FindingKind
    place: str
    first: int | None = None
    last: int | None = None
    explanation: str = ""

    def is_same_as(self, other: "Finding") -> bool:
        """Of the same kind, in the same place: the words may differ."""
        return self.kind == other.kind and (self.place, self.first, self.last) == (other.place, other.first, other.last)

    def __str__(self) -> str:
        numbers = "" if self.first is None else f" {self.first}" if self.last is None else f" {self.first}-{self.last}"
        return f"{self.kind} {self.place}{numbers}" + (f": {self.explanation}" if self.explanation else "")


@dataclass
class Report:
    """The outcome of a verification. `numberings` are what the next incremental check goes on from.

    Entries below `next_index` have been read. One that is not finished says nothing yet of numbers that are missing.
    `is_continuation`: the checkpoint was proven to continue everything that was trusted before.
    """

    checkpoint: Checkpoint | None = None
    witness_times: dict[str, int] = field(default_factory=dict)
    first_index: int = 0
    entries_checked: int = 0
    findings: list[Finding] = field(default_factory=list)
    findings_left_out: int = 0
    numberings: dict[str, Numbering] = field(default_factory=dict)
    next_index: int = 0
    is_finished: bool = True
    is_continuation: bool = True

    @property
    def is_intact(self) -> bool:
        """What is there is what the log has signed."""
        return not self.findings_left_out and all(finding.kind.is_about_completeness for finding in self.findings)

    @property
    def is_complete(self) -> bool:
        """No producer's numbering has a hole."""
        return not self.findings_left_out and not any(finding.kind.is_about_completeness for finding in self.findings)

    def add(self, finding: Finding) -> None:
        if len(self.findings) < FINDINGS_AT_MOST:
            self.findings.append(finding)
        else:
            self.findings_left_out += 1

    def add_once(self, finding: Finding) -> None:
        """Add what every part of a check that is done in parts finds again."""
        if all(not finding.is_same_as(each) for each in self.findings):
            self.add(finding)
