"""A log in memory that grows by what is recorded, with the objects that retention archives, holds and deletes."""

from datetime import UTC, datetime

from pqtransfer.audit.errors import BundleLockedError, TileMissingError
from pqtransfer.audit.events import AuditEvent, AuditFacts
from pqtransfer.audit.retention_store import StoredBundle
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.tiles import TILE_WIDTH
from tests.unit.audit.log_directories import sign
from tests.unit.audit.trees import hash_tree, make_log

COMPLETED_AT = datetime(2026, 3, 1, tzinfo=UTC)


class KeptLog:
    """`LogFiles`, `RetentionStore`, `HoldStore` and `AuditTrail` of one log; all bundles have one age."""

    def __init__(self, events: list[AuditEvent]) -> None:
        self.events = list(events)
        self.files = dict[str, bytes]()
        self.archived = list[str]()
        self.held = set[str]()
        self.locked = set[str]()
        self.gone = set[str]()
        self.documents = dict[str, bytes]()
        self.pending = list[AuditEvent]()
        self.publish()

    def publish(self) -> None:
        """What was recorded comes into the log, and a checkpoint is signed and witnessed."""
        self.events += self.pending
        self.pending = []
        entries = [event.to_json() for event in self.events]
        self.files = {path: data for path, data in make_log(entries).items() if path not in self.gone}
        self.checkpoint = sign(len(entries), hash_tree(entries))

    def record(self, *facts: AuditFacts) -> None:
        for each in facts:
            number = (
                len([event for event in [*self.events, *self.pending] if event.producer == "archive-audit-log/1"]) + 1
            )
            fields = each.model_dump() | {
                "producer": "archive-audit-log/1",
                "sequence": number,
                "event_id": f"0198c0de-0000-7000-9000-{number:012x}",
                "time_ms": 1_790_000_000_000,
            }
            self.pending.append(AuditEvent.model_validate(fields))

    def read_tile(self, path: str) -> bytes:
        if path not in self.files:
            raise TileMissingError(path)
        return self.files[path]

    def find_checkpoint(self) -> PublishedCheckpoint:
        return PublishedCheckpoint(self.checkpoint, "")

    def find_purged(self) -> bytes | None:
        return self.documents.get("purged")

    def describe_bundle(self, path: str) -> StoredBundle:
        if path not in self.files:
            raise TileMissingError(path)
        return StoredBundle(COMPLETED_AT, path in self.held)

    def archive_bundle(self, path: str) -> None:
        assert path in self.files
        if path not in self.archived:
            self.archived.append(path)

    def delete_bundle(self, path: str) -> None:
        if path in self.locked or path in self.held:
            raise BundleLockedError(path)
        assert "purged" in self.documents, "a deletion that nothing accounts for"
        self.gone.add(path)
        self.files.pop(path, None)

    def is_held(self, path: str) -> bool:
        if path not in self.files:
            raise TileMissingError(path)
        return path in self.held

    def hold(self, path: str) -> None:
        assert path in self.files
        self.held.add(path)

    def release(self, path: str) -> None:
        self.held.discard(path)

    def find_retention(self) -> bytes | None:
        return self.documents.get("retention")

    def write_retention(self, data: bytes) -> None:
        self.documents["retention"] = data

    def write_purged(self, data: bytes) -> None:
        self.documents["purged"] = data

    @property
    def bundles(self) -> list[int]:
        """The first entries of the bundles that are there."""
        whole = [path for path in self.files if path.startswith("tile/entries/") and ".p/" not in path]
        return sorted(int(path[-3:]) * TILE_WIDTH for path in whole)
