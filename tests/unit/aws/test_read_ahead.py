"""Reading ahead gives the same bytes and the same errors, for whoever goes forwards, sooner."""

import threading
import time

import pytest

from pqtransfer.audit.checkpoints import open_checkpoint
from pqtransfer.audit.errors import TileMissingError
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import BUNDLES, Tile
from pqtransfer.audit.verifier import verify_log
from pqtransfer.aws.read_ahead import AHEAD, ReadAheadLogFiles
from tests.unit.audit.keys import POLICY
from tests.unit.audit.log_directories import make_events, sign
from tests.unit.audit.trees import hash_tree, make_log

ENTRIES = [event.to_json() for event in make_events(256 * 6 + 40)]
FILES = make_log(ENTRIES)
NOTE = sign(len(ENTRIES), hash_tree(ENTRIES))


class SlowLog:
    """Every read takes a while; counts how many were under way together, and what was read."""

    def __init__(self, files: dict[str, bytes], *, delay_seconds: float = 0.0) -> None:
        self.files, self.delay_seconds = files, delay_seconds
        self.reads = list[str]()
        self.together = self._now = 0
        self._lock = threading.Lock()

    def read_tile(self, path: str) -> bytes:
        with self._lock:
            self.reads.append(path)
            self._now += 1
            self.together = max(self.together, self._now)
        time.sleep(self.delay_seconds)
        with self._lock:
            self._now -= 1
        if path not in self.files:
            raise TileMissingError(path)
        return self.files[path]

    def find_checkpoint(self) -> PublishedCheckpoint:
        return PublishedCheckpoint(NOTE, "")

    def find_purged(self) -> bytes | None:
        return None


def test_a_verification_reads_ahead_and_finds_the_same() -> None:
    """Several files are on their way together, and no file of the log is read twice."""
    log = SlowLog(FILES, delay_seconds=0.02)
    report = verify_log(NOTE, POLICY, ReadAheadLogFiles(log).read_tile)
    assert (report.findings, report.entries_checked) == ([], len(ENTRIES))
    assert log.together >= 4
    asked = [path for path in log.reads if path in FILES]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("gone", ["tile/entries/002", "tile/entries/005", "tile/0/003"])
def test_what_is_missing_is_named_as_without(gone: str) -> None:
    files = {path: data for path, data in FILES.items() if path != gone}
    ahead = verify_log(NOTE, POLICY, ReadAheadLogFiles(SlowLog(files)).read_tile)
    plain = verify_log(NOTE, POLICY, SlowLog(files).read_tile)
    assert ahead.findings == plain.findings
    assert ahead.findings


def test_who_jumps_about_reads_what_it_asks_for() -> None:
    """A proof reads a path from a leaf to the root; nothing is fetched that nobody will ask for."""
    log = SlowLog(FILES)
    reader = ReadAheadLogFiles(log)
    tree = TiledTree(open_checkpoint(NOTE, POLICY).checkpoint, reader.read_tile)
    for index in (1000, 3, 700):
        tree.prove_inclusion(index)
    assert len(log.reads) <= 8


def test_what_waits_is_bounded() -> None:
    """Far from the end of a long log, no more than the promised number of files is there."""
    log = SlowLog({})
    reader = ReadAheadLogFiles(log)
    for index in range(100):
        with pytest.raises(TileMissingError):
            reader.read_tile(Tile(BUNDLES, index).path)
        assert len(reader._waiting) <= AHEAD
