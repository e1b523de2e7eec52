"""An audit log in a local directory: a copy to check offline. Its files have the names that the specification gives."""

from pathlib import Path

from pqtransfer.audit.checking import PURGED_PATH
from pqtransfer.audit.checkpoints import CHECKPOINT_PATH
from pqtransfer.audit.errors import DamagedTileError, TileMissingError
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.tiles import BUNDLE_LIMIT_BYTES, BUNDLES, TILE_LENGTH_BYTES, Tile
from pqtransfer.audit.trusted_log import TRUSTED_LIMIT_BYTES
from pqtransfer.errors import InputError
from pqtransfer.sdk.local_errors import explain_os_errors
from pqtransfer.sdk.small_files import OversizeFileError, read_small_file, replace_file
from pqtransfer.transfers.folder import ObjectMissingError


class LogDirectoryMissingError(InputError):
    """There is no directory where a copy of the log was looked for."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is not a directory; make a copy of the log with `pqtransfer audit fetch DIR`")


class DirectoryLog:
    """The files of a log in a directory: `LogFiles`, and what it takes to make such a copy."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def open(cls, directory: Path) -> "DirectoryLog":
        """
        Raises:
            LogDirectoryMissingError: it is not there.
        """
        if not directory.is_dir():
            raise LogDirectoryMissingError(directory)
        return cls(directory)

    def read_tile(self, path: str) -> bytes:
        """
        Raises:
            TileMissingError: there is no such file.
            DamagedTileError: it has more bytes than any tile.
            PathDeniedError, NotAFileError, DiskError: it cannot be read.
        """
        tile = Tile.from_path(path)
        limit = BUNDLE_LIMIT_BYTES if tile.level == BUNDLES else TILE_LENGTH_BYTES
        try:
            return read_small_file(self._directory / path, limit_bytes=limit)
        except ObjectMissingError:
            raise TileMissingError(path) from None
        except OversizeFileError:
            raise DamagedTileError(path, f"it has more than {limit} bytes") from None

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        data = self._find(CHECKPOINT_PATH, NOTE_LIMIT_BYTES)
        return None if data is None else PublishedCheckpoint(data, "")

    def find_purged(self) -> bytes | None:
        return self._find(PURGED_PATH, TRUSTED_LIMIT_BYTES)

    def has_tile(self, path: str) -> bool:
        return (self._directory / path).is_file()

    def write_tile(self, path: str, data: bytes) -> None:
        """Keep a tile; a reader never sees half of it."""
        self._write(Tile.from_path(path).path, data)

    def write_checkpoint(self, data: bytes) -> None:
        """Replace the checkpoint: after the tiles that it needs."""
        self._write(CHECKPOINT_PATH, data)

    def write_purged(self, data: bytes) -> None:
        self._write(PURGED_PATH, data)

    def _find(self, name: str, limit_bytes: int) -> bytes | None:
        try:
            return read_small_file(self._directory / name, limit_bytes=limit_bytes)
        except ObjectMissingError:
            return None

    def _write(self, name: str, data: bytes) -> None:
        path = self._directory / name
        with explain_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
