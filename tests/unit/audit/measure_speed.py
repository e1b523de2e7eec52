"""Measures the core of the audit log: `python -m tests.unit.audit.measure_speed [--entries N]`. Not a test.

Appending goes through the sequencer with every event read and every tile made; verification reads a log from a
directory. One process; times are CPU seconds; the memory is the peak of the whole process.
"""

import argparse
import hashlib
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pqtransfer.audit.checkpoints import cosign, open_checkpoint, sign_checkpoint
from pqtransfer.audit.errors import TileMissingError
from pqtransfer.audit.events import read_event_header
from pqtransfer.audit.positions import ProducerPosition
from pqtransfer.audit.sequencing import IncomingBatch, LogState, read_edge, sequence_batch
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tree import hash_leaf, verify_inclusion
from pqtransfer.audit.verifier import verify_log
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS
from tests.unit.audit.samples import make_event
from tests.unit.audit.stores import MemoryDeployment

APPENDED = 10_000
BATCH = 1_000
MADE_AT_ONCE = 25_600
HOUR = 20_000
PRODUCERS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the core of the audit log.")
    parser.add_argument("--entries", type=int, default=1_000_000)
    size = parser.parse_args().entries
    entries = list(make_entries(APPENDED))
    print(f"one entry of {len(entries[-1])} bytes: {10**6 / time_hashing(entries):.2f} us to hash as a leaf")
    print(f"append: {time_appending(entries):,.0f} events/s in batches of {BATCH}")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        state = make_log(size, directory)
        note = cosign(
            sign_checkpoint(state.checkpoint, LOG_SIGNERS, time_seconds=TIME_SECONDS),
            WITNESS_SIGNERS,
            time_seconds=TIME_SECONDS,
        ).to_bytes()
        measure_verification(note, directory, size)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def measure_verification(note: bytes, directory: Path, size: int) -> None:
    def read_tile(path: str) -> bytes:
        try:
            return (directory / path).read_bytes()
        except FileNotFoundError:
            raise TileMissingError(path) from None

    started = time.process_time()
    report = verify_log(note, POLICY, read_tile)
    seconds = time.process_time() - started
    assert report.findings == []
    assert report.entries_checked == size
    print(f"verify: {size / seconds:,.0f} entries/s, {size:,} entries in {seconds:.1f} s")
    started = time.process_time()
    verify_log(note, POLICY, read_tile, trusted=report.checkpoint, first_index=max(size - HOUR, 0))
    print(f"verify the last {HOUR:,} entries: {time.process_time() - started:.2f} s")
    started = time.process_time()
    tree = TiledTree(open_checkpoint(note, POLICY).checkpoint, read_tile)
    index = size // 3
    path = tree.prove_inclusion(index)
    entry = make_entry(index)
    verify_inclusion(hash_leaf(entry), index=index, size=size, path=path, root=tree.checkpoint.root)
    print(f"prove one entry: {(time.process_time() - started) * 1000:.1f} ms")


def time_hashing(entries: list[bytes]) -> float:
    started = time.process_time()
    for entry in entries:
        hash_leaf(entry)
    return len(entries) / (time.process_time() - started)


def time_appending(entries: list[bytes]) -> float:
    deployment = MemoryDeployment()
    started = time.process_time()
    for at in range(0, len(entries), BATCH):
        deployment.append(entries[at : at + BATCH])
    return len(entries) / (time.process_time() - started)


_TEMPLATE = make_event(sequence=9_999_999, producer="worker/zz", correlation_id="round-7").to_json()


def make_entry(index: int) -> bytes:
    """An event of one of the producers, by substitution: making a million by the model takes minutes."""
    sequence, producer = index // PRODUCERS + 1, index % PRODUCERS
    event_id = hashlib.sha256(index.to_bytes(8, "big")).hexdigest()
    event_id = "-".join((event_id[:8], event_id[8:12], "7" + event_id[13:16], "8" + event_id[17:20], event_id[20:32]))
    return (
        _TEMPLATE.replace(b'"sequence":9999999', b'"sequence":%d' % sequence)
        .replace(b"worker/zz", b"worker/%02d" % producer)
        .replace(b"0198c0de-0000-7000-8000-00000098967f", event_id.encode())
    )


def make_entries(count: int) -> Iterator[bytes]:
    return (make_entry(index) for index in range(count))


def make_log(size: int, directory: Path) -> LogState:
    """A log in a directory, in large steps; headers are read, events are not."""
    state, positions = LogState(origin=ORIGIN), dict[str, ProducerPosition]()
    for first in range(0, size, MADE_AT_ONCE):
        entries = [make_entry(index) for index in range(first, min(first + MADE_AT_ONCE, size))]
        headers = [(place, read_event_header(entry)) for place, entry in enumerate(entries)]
        edge = read_edge(state, lambda path: (directory / path).read_bytes())
        batch = sequence_batch(state, edge, IncomingBatch(entries, headers, ()), positions=positions)
        for path, data in batch.files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(data)
        state, positions = batch.state, positions | batch.positions
    return state


if __name__ == "__main__":
    main()
