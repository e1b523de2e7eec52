"""The index of which containers need which keys, in memory. An integration test holds it and the real one together."""

from collections.abc import Iterable
from datetime import datetime

from pqtransfer.keys.dependents import DependentsUnknownError
from pqtransfer.transfers.dependencies import Dependency, DependencyPage, KeyRole, RereadingPass


class InMemoryDependencyIndex:
    """`DependencyIndex` and `KeyDependents` in a set. `find_of` can lag: it does not see the rows in `unseen`."""

    def __init__(self, *, complete: bool = True) -> None:
        self.rows: set[Dependency] = set()
        self.unseen: set[Dependency] = set()
        self.complete = complete
        self.position: str | None = None
        self.reread: datetime | None = None
        self.rereading: RereadingPass | None = None

    def note(self, dependencies: Iterable[Dependency]) -> None:
        self.rows.update(dependencies)

    def has_any(self, key_id: str, role: KeyRole) -> bool:
        return any((row.key_id, row.role) == (key_id, role) for row in self.rows)

    def has_dependents(self, key_id: str, *, since: datetime | None = None) -> bool:
        complete, reread = self.is_complete(), self.read_reread()
        if self.has_any(key_id, KeyRole.RECIPIENT):
            return True
        if not complete:
            raise DependentsUnknownError(key_id, "older containers have not all been read yet")
        if since is not None and (reread is None or reread <= since):
            raise DependentsUnknownError(key_id, "the containers have not all been read again since it is out of use")
        return False

    def list_page(self, key_id: str, role: KeyRole, *, cursor: str | None, limit: int) -> DependencyPage:
        found = sorted({row.transfer_id for row in self.rows if (row.key_id, row.role) == (key_id, role)})
        rest = [each for each in found if cursor is None or each > cursor]
        page = tuple(rest[:limit])
        return DependencyPage(transfer_ids=page, cursor=page[-1] if len(rest) > limit else None)

    def find_of(self, transfer_id: str) -> list[Dependency]:
        return [row for row in self.rows - self.unseen if row.transfer_id == transfer_id]

    def forget(self, dependencies: Iterable[Dependency]) -> None:
        self.rows.difference_update(dependencies)

    def is_complete(self) -> bool:
        return self.complete

    def read_backfill(self) -> str | None:
        return self.position

    def advance_backfill(self, transfer_id: str) -> None:
        self.position = transfer_id

    def mark_complete(self, *, at: datetime) -> None:  # noqa: ARG002 - the port's
        self.complete = True

    def read_reread(self) -> datetime | None:
        return self.reread

    def read_pass(self) -> RereadingPass | None:
        return self.rereading

    def write_pass(self, done: RereadingPass) -> None:
        self.rereading = done

    def end_pass(self, done: RereadingPass) -> None:
        self.reread = done.began_at if self.reread is None else max(self.reread, done.began_at)
        self.rereading = None
