"""Offline containers round-trip, and rewrap changes who can read them."""

import os
from pathlib import Path

import pytest

from pqtransfer.crypto.envelope import NotARecipientError
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.keypairs import InvalidKeyError
from pqtransfer.sdk import (
    decrypt_directory,
    encrypt_file,
    open_model,
    rewrap_directory,
    verify_directory,
)
from pqtransfer.transfers.progress import ProgressMeter
from tests.containers import make_identity

MEBIBYTE = 1 << 20


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.requirement("D7.2")
def test_a_container_round_trips(
    tmp_path: Path, container: Path, model: bytes, alice: PrivateIdentity, bob: PrivateIdentity
) -> None:
    """The recipient and the sender decrypt it; the directory holds three files, and nothing else is left anywhere."""
    assert names_in(container) == ["envelope.json", "manifest.json", "payload"]
    opened = decrypt_directory(container, key=bob, out=tmp_path / "bobs", sender=alice.to_public())
    assert opened.sender_verified
    assert not opened.rewrapped
    decrypt_directory(container, key=alice, out=tmp_path / "alices")
    assert (tmp_path / "bobs").read_bytes() == (tmp_path / "alices").read_bytes() == model
    assert names_in(tmp_path) == ["alices", "bobs", "container", "model.bin"]


@pytest.mark.parametrize("model", [b"", b"x"], ids=["empty", "1 byte"])
def test_the_smallest_files_round_trip(tmp_path: Path, container: Path, model: bytes, bob: PrivateIdentity) -> None:
    """An empty file and a 1-byte file are valid models."""
    decrypt_directory(container, key=bob, out=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == model


def test_a_model_of_several_parts_round_trips(tmp_path: Path, alice: PrivateIdentity, bob: PrivateIdentity) -> None:
    """With the format's own part size of 32 MiB: two parts, the whole hash, metadata, and a progress meter."""
    model = os.urandom(40 * MEBIBYTE)
    (tmp_path / "model").write_bytes(model)
    meters: list[ProgressMeter] = []
    made = encrypt_file(
        tmp_path / "model",
        sender=alice,
        recipients=[bob.to_public()],
        out=tmp_path / "container",
        metadata={"round": "7"},
        hash_plaintext=True,
        watch=meters.append,
    )
    assert len(made.manifest.body.part_sha256) == 2
    assert made.manifest.body.metadata == {"round": "7"}
    assert meters[0].read(at=1e12).bytes_done == len(model)
    decrypt_directory(tmp_path / "container", key=bob, out=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == model


def test_the_sender_may_leave_itself_out(tmp_path: Path, alice: PrivateIdentity, bob: PrivateIdentity) -> None:
    """Then it cannot decrypt what it sent."""
    (tmp_path / "model").write_bytes(b"model")
    encrypt_file(
        tmp_path / "model", sender=alice, recipients=[bob.to_public()], out=tmp_path / "container", to_self=False
    )
    with pytest.raises(NotARecipientError):
        decrypt_directory(tmp_path / "container", key=alice, out=tmp_path / "out")


def test_suites_do_not_mix(tmp_path: Path, alice: PrivateIdentity) -> None:
    """A recipient with keys of another suite is refused, with nothing left behind."""
    (tmp_path / "model").write_bytes(b"model")
    with pytest.raises(InvalidKeyError, match="PQT-2"):
        encrypt_file(
            tmp_path / "model",
            sender=alice,
            recipients=[make_identity("bob", "PQT-2").to_public()],
            out=tmp_path / "container",
        )
    assert names_in(tmp_path) == ["model"]


def test_the_suite_is_that_of_the_senders_keys(tmp_path: Path) -> None:
    """PQT-2 keys make PQT-2 containers without asking."""
    (tmp_path / "model").write_bytes(b"model")
    sender = make_identity("alice", "PQT-2")
    made = encrypt_file(tmp_path / "model", sender=sender, recipients=[], out=tmp_path / "container")
    assert made.manifest.body.suite == "PQT-2"


def test_rewrap_changes_who_can_decrypt(
    tmp_path: Path, container: Path, model: bytes, alice: PrivateIdentity, bob: PrivateIdentity, eve: PrivateIdentity
) -> None:
    """The payload and the manifest stay as they are; the new list replaces the old one."""
    before = {name: (container / name).stat().st_mtime_ns for name in ("payload", "manifest.json")}
    envelope = rewrap_directory(container, key=alice, recipients=[eve.to_public()], to_self=False)
    assert envelope.body.epoch == 2
    assert {name: (container / name).stat().st_mtime_ns for name in before} == before
    assert names_in(container) == ["envelope.json", "manifest.json", "payload"]
    decrypt_directory(container, key=eve, out=tmp_path / "out", sender=alice.to_public())
    assert (tmp_path / "out").read_bytes() == model
    for stranger in (alice, bob):
        with pytest.raises(NotARecipientError):
            decrypt_directory(container, key=stranger, out=tmp_path / "nothing")


def test_a_recipient_may_rewrap_and_is_seen(
    container: Path, alice: PrivateIdentity, bob: PrivateIdentity, eve: PrivateIdentity
) -> None:
    """The manifest stays the sender's, the envelope says that Bob wrapped."""
    rewrap_directory(container, key=bob, recipients=[eve.to_public()])
    opened = verify_directory(container, sender=alice.to_public())
    assert opened.rewrapped
    assert opened.envelope.body.signer == "bob"


def test_a_model_is_opened_for_reading(
    container: Path, model: bytes, alice: PrivateIdentity, bob: PrivateIdentity
) -> None:
    """A file object over the plaintext; nothing is written anywhere."""
    with open_model(container, key=bob, sender=alice.to_public()) as reader:
        assert reader.read() == model
