"""Sources and destinations that cannot be used: clear errors, nothing overwritten, nothing left behind."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.errors import PqtransferError
from pqtransfer.sdk import (
    decrypt_directory,
    encrypt_file,
)
from pqtransfer.sdk.local_errors import DirectoryMissingError, DiskFullError, NotAFileError, PathDeniedError
from pqtransfer.transfers.folder import ObjectExistsError, ObjectMissingError, SourceChangedError
from tests.disks import mount_small_disk

MEBIBYTE = 1 << 20


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (lambda _path: None, ObjectMissingError),
        (Path.mkdir, NotAFileError),
        (make_pipe, NotAFileError),
        (lambda path: path.symlink_to(path), NotAFileError),
        (lambda path: path.symlink_to(path.with_name("nowhere")), ObjectMissingError),
    ],
    ids=["missing", "directory", "pipe", "circular link", "dangling link"],
)
def test_what_is_no_file_is_not_encrypted(
    tmp_path: Path, alice: PrivateIdentity, prepare: Callable[[Path], None], error: type[PqtransferError]
) -> None:
    """A clear error, and no container."""
    prepare(tmp_path / "model")
    with pytest.raises(error, match="model"):
        encrypt_file(tmp_path / "model", sender=alice, recipients=[], out=tmp_path / "container")
    assert not (tmp_path / "container").exists()


def test_a_link_to_a_file_is_followed(tmp_path: Path, alice: PrivateIdentity) -> None:
    """Model caches are full of them."""
    (tmp_path / "blob").write_bytes(b"model")
    (tmp_path / "model").symlink_to("blob")
    made = encrypt_file(tmp_path / "model", sender=alice, recipients=[], out=tmp_path / "container")
    assert made.manifest.body.plaintext_length == 5


@pytest.mark.parametrize("kind", ["file", "directory with a file", "link"])
def test_a_taken_place_is_not_overwritten(tmp_path: Path, alice: PrivateIdentity, kind: str) -> None:
    """What stands there stays as it is."""
    (tmp_path / "model").write_bytes(b"model")
    out = tmp_path / "out"
    if kind == "file":
        out.write_bytes(b"precious")
    elif kind == "link":
        out.symlink_to(tmp_path)
    else:
        out.mkdir()
        (out / "precious").touch()
    before = names_in(tmp_path)
    with pytest.raises(ObjectExistsError, match="not overwritten"):
        encrypt_file(tmp_path / "model", sender=alice, recipients=[], out=out)
    assert names_in(tmp_path) == before


def test_an_empty_directory_may_become_the_container(tmp_path: Path, alice: PrivateIdentity) -> None:
    """Its mode is kept."""
    (tmp_path / "model").write_bytes(b"model")
    (tmp_path / "out").mkdir(mode=0o700)
    encrypt_file(tmp_path / "model", sender=alice, recipients=[], out=tmp_path / "out")
    assert names_in(tmp_path / "out") == ["envelope.json", "manifest.json", "payload"]
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_a_missing_parent_is_named(
    tmp_path: Path, container: Path, alice: PrivateIdentity, bob: PrivateIdentity
) -> None:
    """For encrypting and for decrypting."""
    nowhere = tmp_path / "nowhere"
    with pytest.raises(DirectoryMissingError, match="nowhere"):
        encrypt_file(tmp_path / "model.bin", sender=alice, recipients=[], out=nowhere / "out")
    with pytest.raises(DirectoryMissingError, match="nowhere"):
        decrypt_directory(container, key=bob, out=nowhere / "out")


def test_a_taken_name_is_not_decrypted_over(tmp_path: Path, container: Path, bob: PrivateIdentity) -> None:
    """A file, or a link that leads nowhere: it stays."""
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(ObjectExistsError):
            decrypt_directory(container, key=bob, out=tmp_path / name)
    assert (tmp_path / "file").read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self/status").exists(), reason="root may do anything")
def test_denied_access_is_named(tmp_path: Path, container: Path) -> None:
    """Run as an ordinary user: the error names the path and what to look at."""
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from pqtransfer.sdk import inspect_directory
        from pqtransfer.sdk.local_errors import PathDeniedError
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            inspect_directory(Path(sys.argv[1]))
        except PathDeniedError as error:
            print(error)
        """
    )
    container.chmod(0o000)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(container)], capture_output=True, text=True, check=False
        )
    finally:
        container.chmod(0o755)
    assert "is denied" in done.stdout, done.stderr
    assert issubclass(PathDeniedError, PqtransferError)


@pytest.mark.parametrize("size_mib", [2, 1])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, container: Path, bob: PrivateIdentity, size_mib: int
) -> None:
    """On a real small file system: the error says how much is needed and how much is free, before anything is read."""
    with mount_small_disk(tmp_path / "disk", size_mib=size_mib) as disk:
        with pytest.raises(DiskFullError, match="3000000 bytes") as caught:
            decrypt_directory(container, key=bob, out=disk / "out")
        assert caught.value.needed_bytes == 3_000_000
        assert 0 < caught.value.free_bytes <= size_mib * MEBIBYTE
        assert names_in(disk) == []


def test_a_full_disk_leaves_no_container_behind(tmp_path: Path, container: Path, alice: PrivateIdentity) -> None:
    """Encrypting too: not even the hidden directory."""
    with mount_small_disk(tmp_path / "disk", size_mib=2) as disk:
        with pytest.raises(DiskFullError):
            encrypt_file(tmp_path / "model.bin", sender=alice, recipients=[], out=disk / "out")
        assert names_in(disk) == []


def test_a_model_that_changes_while_it_is_read_is_not_encrypted(tmp_path: Path, alice: PrivateIdentity) -> None:
    """No container is made of two states."""
    source = tmp_path / "model"
    source.write_bytes(bytes(2 * MEBIBYTE))

    def grow(_meter: object) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    with pytest.raises(SourceChangedError):
        encrypt_file(source, sender=alice, recipients=[], out=tmp_path / "container", watch=grow)
    assert names_in(tmp_path) == ["model"]


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_can_be_repeated(
    tmp_path: Path, alice: PrivateIdentity, bob: PrivateIdentity, signal_number: signal.Signals
) -> None:
    """Killed in the middle, the same call makes the container; interrupted, nothing is left even before that."""
    source = tmp_path / "model"
    with source.open("wb") as file:
        file.truncate(40 * MEBIBYTE)
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from pqtransfer.sdk import encrypt_file
        from tests.containers import make_identity

        def wait(meter):
            print("working", flush=True)
            time.sleep(30)

        encrypt_file(
            Path(sys.argv[1]), sender=make_identity("alice"), recipients=[], out=Path(sys.argv[2]), watch=wait
        )
        """
    )
    repository = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(source), str(tmp_path / "container")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=repository,
        env=os.environ | {"PYTHONPATH": str(repository)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's parent ignores it
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        process.send_signal(signal_number)
    assert not (tmp_path / "container").exists()
    if signal_number == signal.SIGINT:
        assert names_in(tmp_path) == ["model"]
    encrypt_file(source, sender=alice, recipients=[bob.to_public()], out=tmp_path / "container")
    decrypt_directory(tmp_path / "container", key=bob, out=tmp_path / "out")
    assert (tmp_path / "out").stat().st_size == 40 * MEBIBYTE
    assert names_in(tmp_path) == ["container", "model", "out"]
