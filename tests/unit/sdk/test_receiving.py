"""Decrypting to a local file goes on where it was killed, as long as what was written can be trusted."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.payload import DamagedPartError
from pqtransfer.sdk import local_upload
from pqtransfer.sdk.in_memory import MemorySealer
from pqtransfer.sdk.local_folder import LocalFolder
from pqtransfer.sdk.local_journal import LocalCheckpointStore, name_journal
from pqtransfer.sdk.local_upload import PartialFile
from pqtransfer.transfers.container import open_data_key, read_envelope, read_manifest
from pqtransfer.transfers.decrypting import DecryptionOrder, decrypt_model
from pqtransfer.transfers.job import JobContext
from tests.containers import make_bytes, make_container
from tests.fakes.folders import Crash, FaultPlan, Faulty

MODEL = make_bytes("a model to receive", 3_000_000)
PART_COUNT = 3


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class Receiver:
    """Decrypts one container to one file, one "process" at a time, as `receive` does."""

    def __init__(self, directory: Path, bob: PrivateIdentity, *, part_size_bytes: int = SEGMENT_SIZE_BYTES) -> None:
        self.directory = directory
        self._bob = bob
        make_container(MODEL, recipients=("bob",), part_size_bytes=part_size_bytes).save(directory / "container")

    def run(self, plan: FaultPlan | None = None) -> list[str]:
        """One process; returns the calls that it made on the destination."""
        plan = plan or FaultPlan()
        journal = LocalCheckpointStore(name_journal(self.directory / "out"))
        container = LocalFolder(self.directory / "container")
        manifest = read_manifest(container).body
        order = DecryptionOrder(
            job_id="job",
            manifest=manifest,
            data_key=open_data_key(manifest, read_envelope(container).envelope, [self._bob.kem]),
            destination_name="out",
        )
        with LocalFolder(self.directory, journal=journal) as destination:
            decrypt_model(
                order,
                container=container,
                destination=Faulty(destination, plan),
                context=JobContext(
                    checkpoints=Faulty(journal, plan),
                    sealer=MemorySealer(),
                    monotonic=time.monotonic,
                    buffer_budget_bytes=2 << 20,
                ),
            )
        journal.clear("job")
        return plan.calls

    def require_received(self) -> None:
        assert (self.directory / "out").read_bytes() == MODEL
        assert names_in(self.directory) == ["container", "out"]


@pytest.fixture
def receiver(tmp_path: Path, bob: PrivateIdentity) -> Receiver:
    return Receiver(tmp_path, bob)


CALLS_OF_A_RUN = 11


def test_a_run_makes_that_many_calls(receiver: Receiver) -> None:
    """So that the next test crashes at each of them."""
    assert len(receiver.run()) == CALLS_OF_A_RUN
    receiver.require_received()


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("crash_at", range(CALLS_OF_A_RUN))
def test_receiving_may_die_at_any_call(receiver: Receiver, crash_at: int, after_effect: bool) -> None:
    """The next run finishes, and writes only what was not recorded."""
    with pytest.raises(Crash):
        receiver.run(FaultPlan(at=crash_at, after_effect=after_effect))
    recorded = len(LocalCheckpointStore(name_journal(receiver.directory / "out")).load_parts("job"))
    assert receiver.run().count("write_part") == PART_COUNT - recorded
    receiver.require_received()


def test_after_a_restart_of_the_machine_everything_is_written_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that were not synchronised may be lost, so the parts are not trusted."""
    with pytest.raises(Crash):
        receiver.run(FaultPlan(at=CALLS_OF_A_RUN - 1))
    monkeypatch.setattr(local_upload, "read_boot_id", lambda: "another-run")
    assert receiver.run().count("write_part") == PART_COUNT
    receiver.require_received()


def test_a_death_between_link_and_unlink_is_mended(receiver: Receiver) -> None:
    """Both names are there: the file is complete, the hidden name goes."""
    with pytest.raises(Crash):
        receiver.run(FaultPlan(at=CALLS_OF_A_RUN - 1))
    os.link(receiver.directory / ".out.pqtransfer-partial", receiver.directory / "out")
    assert receiver.run().count("write_part") == 0
    receiver.require_received()


def test_a_partial_file_that_was_cut_is_not_used(receiver: Receiver) -> None:
    """Another size than was reserved: start again."""
    with pytest.raises(Crash):
        receiver.run(FaultPlan(at=CALLS_OF_A_RUN - 1))
    os.truncate(receiver.directory / ".out.pqtransfer-partial", 1000)
    assert receiver.run().count("write_part") == PART_COUNT
    receiver.require_received()


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("crash_at", range(PART_COUNT))
def test_receiving_may_die_between_any_two_slices(
    tmp_path: Path, bob: PrivateIdentity, monkeypatch: pytest.MonkeyPatch, crash_at: int, after_effect: bool
) -> None:
    """Slices of a part that is not recorded count for nothing: the next run writes them all again."""
    receiver = Receiver(tmp_path, bob, part_size_bytes=2 * SEGMENT_SIZE_BYTES)
    plan = FaultPlan(at=crash_at, after_effect=after_effect)
    write = PartialFile.write

    def write_or_die(file: PartialFile, data: memoryview, *, offset: int) -> None:
        plan.run("write", lambda: write(file, data, offset=offset))

    with monkeypatch.context() as patch:
        patch.setattr(PartialFile, "write", write_or_die)
        with pytest.raises(Crash):
            receiver.run()
    recorded = LocalCheckpointStore(name_journal(tmp_path / "out")).load_parts("job")
    assert set(recorded) == ({0} if crash_at == 2 else set())
    with (tmp_path / ".out.pqtransfer-partial").open("r+b") as partial:
        kept_bytes = sum(part.size_bytes for part in recorded.values())
        partial.seek(kept_bytes)
        partial.write(bytes(len(MODEL) - kept_bytes))
    assert receiver.run().count("write_part") == 2 - len(recorded)
    receiver.require_received()


def test_a_part_whose_last_slice_is_bad_counts_for_nothing(tmp_path: Path, bob: PrivateIdentity) -> None:
    """Its first slices stand in the hidden file by then. Once it is mended, a run goes on with the parts before it."""
    receiver = Receiver(tmp_path, bob, part_size_bytes=2 * SEGMENT_SIZE_BYTES)
    payload = tmp_path / "container" / "payload"
    whole, status = payload.read_bytes(), payload.stat()
    for bad_part, at in enumerate((2 * SEGMENT_SIZE_BYTES - 1, len(whole) - 1)):
        payload.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        os.utime(payload, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(DamagedPartError, match=f"part {bad_part}"):
            receiver.run()
        assert set(LocalCheckpointStore(name_journal(tmp_path / "out")).load_parts("job")) == set(range(bad_part))
        assert names_in(tmp_path) == [".out.pqtransfer-journal", ".out.pqtransfer-partial", "container"]
    payload.write_bytes(whole)
    os.utime(payload, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert receiver.run().count("write_part") == 1
    receiver.require_received()


def test_a_killed_process_releases_the_file(tmp_path: Path, receiver: Receiver) -> None:
    """kill -9 in the middle of writing: the next process goes on at once."""
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from pqtransfer.sdk.local_journal import LocalCheckpointStore
        from tests.containers import make_identity
        from tests.unit.sdk.test_receiving import Receiver

        record = LocalCheckpointStore.record_part

        def record_and_die(self, transfer_id, upload_id, part):
            record(self, transfer_id, upload_id, part)
            if part.index == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        LocalCheckpointStore.record_part = record_and_die
        receiver = Receiver.__new__(Receiver)
        receiver.directory, receiver._bob = Path(sys.argv[1]), make_identity("bob")
        receiver.run()
        """
    )
    repository = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=repository,
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr.decode()
    assert not (tmp_path / "out").exists()
    assert receiver.run().count("write_part") == 1
    assert (tmp_path / "out").read_bytes() == MODEL
