"""Offline commands put on record what they do where a spool is given, and do nothing of the kind where none is."""

import os
from pathlib import Path

import pytest

from pqtransfer.audit.events import AuditEvent, EventKind
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.aws.audit_offline import NoQueue, SpooledTrail
from pqtransfer.aws.audit_spool import SpoolFile, find_spools
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.errors import PqtransferError
from pqtransfer.sdk import decrypt_directory, encrypt_file, rewrap_directory, verify_directory
from pqtransfer.sdk.audit import name_local_user, record_new_keys
from pqtransfer.sdk.ranges import decrypt_range
from tests.fakes.trails import FailingAuditTrail, InMemoryAuditTrail
from tests.ocsf import require_all_ocsf
from tests.unit.cli.scripting import run_command

ENCRYPTED = ["data-key.create", "model.encrypt", "manifest.sign", "envelope.wrap"]


def actions(trail: InMemoryAuditTrail) -> list[str]:
    return [each.action for each in trail.facts]


@pytest.mark.requirement("D7.1")
def test_each_command_tells_what_it_did(tmp_path: Path, alice: PrivateIdentity, bob: PrivateIdentity) -> None:
    """With key and suite, by whose key was used, or by who runs the program."""
    trail, source, container = InMemoryAuditTrail(), tmp_path / "model", tmp_path / "container"
    source.write_bytes(b"a model")
    made = encrypt_file(source, sender=alice, recipients=[bob.to_public()], out=container, trail=trail)
    assert actions(trail) == ENCRYPTED
    decrypt_directory(container, key=bob, out=tmp_path / "copy", sender=alice.to_public(), trail=trail)
    decrypt_range(container, key=bob, start=0, end=3, out=tmp_path / "part", trail=trail)
    verify_directory(container, sender=alice.to_public(), trail=trail)
    rewrap_directory(container, key=alice, recipients=[bob.to_public()], to_self=False, trail=trail)
    record_new_keys(trail, bob.to_public())
    assert actions(trail)[4:] == [
        "manifest.verify", "envelope.open", "model.decrypt", "envelope.open", "manifest.verify", "payload.verify",
        "envelope.open", "envelope.rewrap", "key.create", "key.create",
    ]  # fmt: skip
    require_all_ocsf(trail.events)
    of_container = [each for each in trail.facts if each.kind is EventKind.CRYPTOGRAPHY]
    assert {each.correlation_id for each in of_container} == {made.manifest.body.transfer_id}
    assert {each.details["local_user"] for each in trail.facts} == {name_local_user()}
    by = {each.action: each.actor for each in trail.facts}
    assert (by["manifest.sign"], by["model.decrypt"], by["payload.verify"]) == ("alice", "bob", name_local_user())


def test_what_cannot_be_recorded_is_not_there(tmp_path: Path, alice: PrivateIdentity, bob: PrivateIdentity) -> None:
    """Neither the container nor the file."""
    source, container = tmp_path / "model", tmp_path / "container"
    source.write_bytes(b"a model")
    for refused in (1, 2, 3):
        with pytest.raises(AuditUnavailableError):
            encrypt_file(
                source, sender=alice, recipients=[bob.to_public()], out=container, trail=FailingAuditTrail(refused)
            )
        assert not container.exists()
    encrypt_file(source, sender=alice, recipients=[bob.to_public()], out=container)
    for refused in (1, 2):
        with pytest.raises(AuditUnavailableError):
            decrypt_directory(container, key=bob, out=tmp_path / "copy", trail=FailingAuditTrail(refused))
        assert not (tmp_path / "copy").exists()


def test_a_refusal_is_on_record(container: Path, eve: PrivateIdentity, tmp_path: Path) -> None:
    """Whoever tries a key that the container is not for."""
    trail = InMemoryAuditTrail()
    with pytest.raises(PqtransferError):
        decrypt_directory(container, key=eve, out=tmp_path / "copy", trail=trail)
    (refused,) = trail.facts
    assert (refused.action, refused.succeeded, refused.actor) == ("envelope.open", False, "eve")


def test_events_wait_in_the_spool(tmp_path: Path, alice: PrivateIdentity, bob: PrivateIdentity) -> None:
    """Durable, and readable by a process with a queue that takes the file over; without events there is no file."""
    spool, source = tmp_path / "spool", tmp_path / "model"
    source.write_bytes(b"a model")
    trail = SpooledTrail(spool)
    assert not spool.exists()
    encrypt_file(source, sender=alice, recipients=[bob.to_public()], out=tmp_path / "container", trail=trail)
    (path,) = find_spools(spool)
    assert path.stat().st_mode & 0o077 == 0
    assert trail._trail is not None
    trail._trail._spool.close()  # type: ignore[union-attr, attr-defined]  # as at the end of the process
    taken = SpoolFile.take_over(path)
    assert taken is not None
    entries = taken.read_pending(events_at_most=99).entries
    assert [AuditEvent.from_json(entry).action for entry in entries] == ENCRYPTED
    assert {AuditEvent.from_json(entry).producer.partition("/")[0] for entry in entries} == {"offline"}


def test_without_a_queue_a_spool_that_takes_nothing_is_an_outage(tmp_path: Path) -> None:
    """There is nowhere else."""
    with pytest.raises(AuditUnavailableError, match="no queue"):
        NoQueue().send([b"event"])


@pytest.mark.parametrize("configured", [True, False])
def test_the_command_line_takes_the_spool_from_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: bool
) -> None:
    """PQTRANSFER_AUDIT_SPOOL; without it nothing is written."""
    monkeypatch.chdir(tmp_path)
    spool = tmp_path / "spool"
    monkeypatch.delenv("PQTRANSFER_AUDIT_SPOOL", raising=False)
    if configured:
        monkeypatch.setenv("PQTRANSFER_AUDIT_SPOOL", str(spool))
    Path("model").write_bytes(b"a model")
    for command in (
        "pqtransfer keygen --out alice",
        "pqtransfer encrypt model --sender alice --to alice --out container",
        "pqtransfer verify container --sender alice",
        "pqtransfer rewrap container --key alice --to alice",
        "pqtransfer decrypt container --key alice --out copy",
        "pqtransfer decrypt container --key alice --range 0:1 --out part",
    ):
        exit_code, _, stderr = run_command(command)
        assert exit_code == 0, stderr
    assert len(find_spools(spool)) == (5 if configured else 0)  # that rewrap finds nothing to do
    assert ("spool" in os.listdir(tmp_path)) is configured  # noqa: PTH208
