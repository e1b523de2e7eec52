"""Legal holds: entries that must not be purged, whatever the rules of retention say, until somebody lifts the hold.

A hold is on whole bundles, and is the store's own: no role that archives or purges can lift it. Purging goes from the
beginning of the log on, so a hold keeps everything behind it, too.

A hold is recorded when it is there, and before it is acknowledged; lifting one is recorded before it is done. Either
can be repeated: what a crash has left half-done is then finished, and recorded again.

Several holds may be on one bundle, and the store knows only that there is one. So whoever lifts a hold reads from the
log which others stand, and leaves their bundles held. The log is not purged behind a hold: its record stays as long.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pqtransfer.audit.checking import read_purged
from pqtransfer.audit.checkpoints import CHECKPOINT_PATH, TrustPolicy, open_checkpoint
from pqtransfer.audit.errors import TileMissingError
from pqtransfer.audit.events import AuditEvent, AuditFacts, EventKind, Target
from pqtransfer.audit.log_files import LogFiles, read_log
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import BUNDLES, TILE_WIDTH, Tile
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.errors import InputError

HOLD_ACTION = "audit.hold"
RELEASE_ACTION = "audit.release"
_ACTIONS = (HOLD_ACTION.encode(), RELEASE_ACTION.encode())


class EntriesNotHeldError(InputError):
    """These entries cannot be held, or released."""

    def __init__(self, first: int, last: int, reason: str) -> None:
        super().__init__(f"entries {first} to {last} cannot be held, or lifted: {reason}")


class HoldStore(Protocol):
    """The holds of the log's objects."""

    def is_held(self, path: str) -> bool:
        """
        Raises:
            TileMissingError: it is not there.
        """

    def hold(self, path: str) -> None:
        """Put the object under hold. The same again is no error."""

    def release(self, path: str) -> None:
        """Lift its hold. The same again is no error."""


@dataclass(frozen=True)
class Held:
    """Entries from `first` to `last`, both of them: those asked for, with the others of their bundles."""

    first: int
    last: int


@dataclass(frozen=True)
class StandingHold:
    """A hold as the log tells of it: on whole bundles, and why. The same again is one hold."""

    bundles: range
    reason: str

    def describe(self) -> str:
        """For whoever has to name it."""
        held = _to_entries(self.bundles)
        return f"{held.first} to {held.last} for {self.reason[:100]!r}"


@dataclass(frozen=True)
class Holds:
    """The holds of one log.

    `through` says who asks, for the record: `actor`, and what stands among the details.

    Raises (everything here):
        UntrustedCheckpointError, DamagedTileError: the log is not what its keys have signed.
        TileMissingError: there is no log, or a file of it is gone.
    """

    files: LogFiles
    policy: TrustPolicy
    store: HoldStore
    trail: AuditTrail
    actor: str
    through: Mapping[str, str]

    def hold(self, first: int, last: int, *, reason: str, correlation_id: str) -> Held:
        """Hold entries; each bundle is read and checked before.

        Raises:
            EntriesNotHeldError: the log has not all of them in whole bundles.
            AuditUnavailableError: the hold is there, and could not be recorded: hold again.
        """
        tree, bundles = self._find(first, last)
        for number in bundles:
            for _ in read_log(tree, self.files.read_tile, first=number * TILE_WIDTH, last=(number + 1) * TILE_WIDTH):
                pass
            self.store.hold(Tile(BUNDLES, number).path)
        return self._record(HOLD_ACTION, bundles, reason, correlation_id)

    def release(self, first: int, last: int, *, reason: str, correlation_id: str, held_for: str | None = None) -> Held:
        """Lift one hold, from the bundles that no other is on; what was not held stays as it is.

        A hold that the log does not tell of (it could not be recorded, or was just set) counts as none.

        Args:
            held_for: the reason of the hold, where the same entries are held for several.

        Raises:
            EntriesNotHeldError: the log has not all of them in whole bundles, they are a part of what a hold is on,
                or it cannot be told which hold is meant.
            AuditUnavailableError: it could not be recorded; nothing was lifted.
        """
        tree, bundles = self._find(first, last)
        standing = self._find_standing(tree, bundles)
        lifted = _choose(standing, bundles, held_for)
        others = standing - {lifted}
        named = {} if lifted is None else {"held_for": lifted.reason}
        released = self._record(RELEASE_ACTION, bundles, reason, correlation_id, **named)
        for number in bundles:
            if not any(number in other.bundles for other in others):
                self.store.release(Tile(BUNDLES, number).path)
        return released

    def list_held(self) -> Iterator[Held]:
        """What is held now, as the store says; neighbours are told as one."""
        tree, kept = self._open()
        begin: int | None = None
        whole = tree.checkpoint.size // TILE_WIDTH
        for number in range(kept // TILE_WIDTH, whole + 1):
            is_held = number < whole and self.store.is_held(Tile(BUNDLES, number).path)
            if is_held and begin is None:
                begin = number
            elif not is_held and begin is not None:
                yield Held(begin * TILE_WIDTH, number * TILE_WIDTH - 1)
                begin = None

    def _open(self) -> tuple[TiledTree, int]:
        published = self.files.find_checkpoint()
        if published is None:
            raise TileMissingError(CHECKPOINT_PATH)
        purged = read_purged(self.files)
        tree = TiledTree(open_checkpoint(published.data, self.policy).checkpoint, self.files.read_tile)
        return tree, purged.next_index if purged else 0

    def _find(self, first: int, last: int) -> tuple[TiledTree, range]:
        tree, kept = self._open()
        size = tree.checkpoint.size
        whole = size // TILE_WIDTH * TILE_WIDTH
        if first > last:
            raise EntriesNotHeldError(first, last, "the last one comes before the first")
        if first < kept:
            raise EntriesNotHeldError(first, last, f"those before {kept} were purged")
        if last >= size:
            raise EntriesNotHeldError(first, last, f"the log has {size}, numbered from 0")
        if last >= whole:
            reason = (
                f"those from {whole} on are in a bundle that is not full, and not purged before it is: hold "
                f"the others up to {whole - 1}, and these when the log has {whole + TILE_WIDTH} entries"
            )
            raise EntriesNotHeldError(first, last, reason)
        return tree, range(first // TILE_WIDTH, last // TILE_WIDTH + 1)

    def _find_standing(self, tree: TiledTree, bundles: range) -> set[StandingHold]:
        """The holds on any of these bundles; all of them were recorded behind what they are on."""
        standing = set[StandingHold]()
        begin, end = bundles.start * TILE_WIDTH, tree.checkpoint.size
        for _, entry in read_log(tree, self.files.read_tile, first=begin, last=end):
            if not any(action in entry for action in _ACTIONS):
                continue
            event = AuditEvent.from_json(entry)
            if event.action == HOLD_ACTION:
                standing.add(_read_hold(event, event.reason))
            elif event.action == RELEASE_ACTION:
                standing.discard(_read_hold(event, event.details.get("held_for")))
        return {each for each in standing if set(each.bundles) & set(bundles)}

    def _record(self, action: str, bundles: range, reason: str, correlation_id: str, **details: str) -> Held:
        held = _to_entries(bundles)
        self.trail.record(
            AuditFacts(
                kind=EventKind.ADMINISTRATION,
                action=action,
                actor=self.actor,
                target=Target(type="audit-log", id=self.policy.origin),
                succeeded=True,
                correlation_id=correlation_id,
                reason=reason,
                details={"first": str(held.first), "last": str(held.last), **details, **self.through},
            )
        )
        return held


def _choose(standing: Collection[StandingHold], bundles: range, held_for: str | None) -> StandingHold | None:
    """The hold that is on exactly these bundles; None when none is on any of them, as far as the log tells.

    Raises:
        EntriesNotHeldError: it cannot be told which one is meant.
    """
    meant = [each for each in standing if each.bundles == bundles and held_for in (None, each.reason)]
    if len(meant) == 1:
        return meant[0]
    if not standing and held_for is None:
        return None
    held = _to_entries(bundles)
    known = "; ".join(sorted(each.describe() for each in meant or standing)) or "none"
    raise EntriesNotHeldError(
        held.first, held.last, f"name one hold, with all of its entries and what it is for. Those that stand: {known}"
    )


def _to_entries(bundles: range) -> Held:
    return Held(bundles.start * TILE_WIDTH, bundles.stop * TILE_WIDTH - 1)


def _read_hold(event: AuditEvent, reason: str | None) -> StandingHold:
    first, last = int(event.details["first"]), int(event.details["last"])
    return StandingHold(range(first // TILE_WIDTH, last // TILE_WIDTH + 1), reason or "")
