"""Legal holds: entries that must not be purged, whatever the rules of retention say, until somebody lifts the hold.

A hold is on whole bundles, and is the store's own: no role that archives or purges can lift it. Purging goes from the
beginning of the log on, so a hold keeps everything behind it, too.

A hold is recorded when it is there, and before it is acknowledged; lifting one is recorded before it is done. Either
can be repeated: what a crash has left half-done is then finished, and recorded again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pqtransfer.audit.checking import read_purged
from pqtransfer.audit.checkpoints import CHECKPOINT_PATH, TrustPolicy, open_checkpoint
from pqtransfer.audit.errors import TileMissingError
from pqtransfer.audit.events import AuditFacts, EventKind, Target
from pqtransfer.audit.log_files import LogFiles, read_log
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import BUNDLES, TILE_WIDTH, Tile
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.errors import InputError

HOLD_ACTION = "audit.hold"
RELEASE_ACTION = "audit.release"


class EntriesNotHeldError(InputError):
    """These entries cannot be held, or released."""

    def __init__(self, first: int, last: int, reason: str) -> None:
        super().__init__(f"entries {first} to {last} cannot be held: {reason}")


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

    def release(self, first: int, last: int, *, reason: str, correlation_id: str) -> Held:
        """Lift the holds of entries; what was not held stays as it is.

        Raises:
            EntriesNotHeldError: the log has not all of them in whole bundles.
            AuditUnavailableError: it could not be recorded; nothing was lifted.
        """
        _, bundles = self._find(first, last)
        released = self._record(RELEASE_ACTION, bundles, reason, correlation_id)
        for number in bundles:
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

    def _record(self, action: str, bundles: range, reason: str, correlation_id: str) -> Held:
        held = Held(bundles.start * TILE_WIDTH, bundles.stop * TILE_WIDTH - 1)
        self.trail.record(
            AuditFacts(
                kind=EventKind.ADMINISTRATION,
                action=action,
                actor=self.actor,
                target=Target(type="audit-log", id=self.policy.origin),
                succeeded=True,
                correlation_id=correlation_id,
                reason=reason,
                details={"first": str(held.first), "last": str(held.last), **self.through},
            )
        )
        return held
