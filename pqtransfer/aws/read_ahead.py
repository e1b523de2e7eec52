"""Reads a log's files from S3 ahead of whoever goes through them in order, so that nobody waits for each one.

When bundle or tile N is asked for, the next ones are fetched by a few threads. What was fetched ahead is nothing more
than what would have been read: it is checked as such, and what failed is read again when it is asked for.
Memory <= AHEAD files of each of the two levels: 2 * AHEAD * 16 MiB for bundles of the largest entries, 2 * AHEAD * 0.2
MiB for usual ones.
"""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from pqtransfer.audit.log_files import LogFiles
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.tiles import BUNDLES, Tile
from pqtransfer.errors import PqtransferError

AHEAD = 12
READ_AHEAD_LEVELS = (BUNDLES, 0)
"""The levels that are gone through in order; those above are few, and kept by whoever reads them."""


class ReadAheadLogFiles:
    """`LogFiles` over others, for one reader that goes forwards. Only full tiles and bundles are fetched ahead."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="read-ahead")
        self._waiting: OrderedDict[Tile, Future[bytes]] = OrderedDict()
        self._last = dict.fromkeys(READ_AHEAD_LEVELS, -2)

    def read_tile(self, path: str) -> bytes:
        """
        Raises:
            TileMissingError: nothing is there.
        """
        tile = Tile.from_path(path)
        if tile.level not in READ_AHEAD_LEVELS:
            return self._files.read_tile(path)
        is_next = tile.index == self._last[tile.level] + 1
        self._last[tile.level] = tile.index
        found = self._waiting.pop(tile, None)
        if is_next:
            self._fetch_ahead(tile)
        if found is not None:
            with suppress(PqtransferError):  # it is read again below, and what is wrong is said then
                return found.result()
        return self._files.read_tile(path)

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        return self._files.find_checkpoint()

    def find_purged(self) -> bytes | None:
        return self._files.find_purged()

    def _fetch_ahead(self, tile: Tile) -> None:
        """Fetch those behind it that are not on their way; forget those before it, which nobody comes back to."""
        for known in [each for each in self._waiting if each.level == tile.level and each.index < tile.index]:
            self._waiting.pop(known).cancel()
        if tile.is_partial:
            return
        for index in range(tile.index + 1, tile.index + 1 + AHEAD):
            following = Tile(tile.level, index)
            if following not in self._waiting:
                self._waiting[following] = self._threads.submit(self._files.read_tile, following.path)
