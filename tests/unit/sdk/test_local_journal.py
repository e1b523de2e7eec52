"""The journal of a local file: what it records survives its process, what is torn does no harm."""

from dataclasses import replace
from pathlib import Path

import pytest

from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.sdk.in_memory import ForgottenKeyError, MemorySealer
from pqtransfer.sdk.local_journal import LocalCheckpointStore, name_journal
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.folder import (
    StoredPart,
)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


CHECKPOINT = Checkpoint("transfer", "upload", "etag", None, 10, 1 << 20, b"header", b"sealed")
PART = StoredPart(index=3, etag="part", size_bytes=10, sha256=bytes(32))


def test_a_journal_survives_its_process(tmp_path: Path) -> None:
    """Head and parts are read back; the file is its owner's alone."""
    path = name_journal(tmp_path / "model")
    LocalCheckpointStore(path).create(CHECKPOINT)
    LocalCheckpointStore(path).record_part("transfer", "upload", PART)
    LocalCheckpointStore(path).record_part("transfer", "an older upload", replace(PART, index=4))
    store = LocalCheckpointStore(path)
    assert store.load("transfer") == CHECKPOINT
    assert store.load_parts("transfer") == {3: PART}
    assert path.stat().st_mode & 0o777 == 0o600
    assert store.load("another") is None
    assert store.load_parts("another") == {}
    store.clear("another")
    store.clear("transfer")
    store.clear("transfer")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("tail", [b'{"upload_id":"upl', b"nonsense\n", b"\n", b"[]\n", b"\xff\xfe\n"])
def test_a_torn_journal_loses_only_the_torn_line(tmp_path: Path, tail: bytes) -> None:
    """The part of that line is done again; nothing fails."""
    path = tmp_path / "journal"
    store = LocalCheckpointStore(path)
    store.create(CHECKPOINT)
    store.record_part("transfer", "upload", PART)
    with path.open("ab") as file:
        file.write(tail)
    assert store.load_parts("transfer") == {3: PART}


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"{}\n", b'{"format":"pqtransfer-journal/2"}\n'])
def test_a_journal_that_is_not_understood_counts_as_none(tmp_path: Path, content: bytes) -> None:
    """The work starts again."""
    (tmp_path / "journal").write_bytes(content)
    store = LocalCheckpointStore(tmp_path / "journal")
    assert store.load("transfer") is None
    store.create(CHECKPOINT)
    assert store.load("transfer") == CHECKPOINT


def test_a_data_key_in_memory_ends_with_its_process(alice: PrivateIdentity) -> None:
    """What the sealer gives out is worth nothing to anybody else."""
    sealer = MemorySealer()
    sealed = sealer.seal(alice.to_json(), transfer_id="transfer")
    assert sealer.unseal(sealed, transfer_id="transfer") == alice.to_json()
    for other, transfer_id in [(MemorySealer(), "transfer"), (sealer, "another")]:
        with pytest.raises(ForgottenKeyError):
            other.unseal(sealed, transfer_id=transfer_id)
