"""What a recipient does with a container that somebody changed in the bucket: exit code 3, and no file."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pqtransfer.errors import IntegrityError
from pqtransfer.sdk import encrypt_file, load_private_identity, load_public_identity
from pqtransfer.transfers.container import NotAContainerError
from scripts.worker_process import WorkerProcess
from tests.disks import mount_small_disk
from tests.e2e.transfers.stage import EXTERNAL, MANAGED, SENDER, STRANGER, Model, Stage

pytestmark = pytest.mark.e2e

Objects = dict[str, bytes]
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Sent:
    """Two transfers of one model in a bucket that keeps no versions: what is overwritten there is gone."""

    model: Model
    transfer_id: str
    objects: Objects
    other_objects: Objects


@pytest.fixture(scope="module")
def sent(full_stage: Stage, worker: WorkerProcess, model_bytes: bytes) -> Iterator[Sent]:
    """A model of three segments and a little, sent twice to MANAGED and EXTERNAL."""
    full_stage.clear()
    model = full_stage.put_model("models/tampered", model_bytes[: 3 * MEBIBYTE])
    _keep_versions(full_stage, "Suspended")
    ids = [full_stage.submit(model) for _ in range(2)]
    for transfer_id in ids:
        full_stage.wait_for_completion(transfer_id)
    yield Sent(model, ids[0], full_stage.objects(ids[0]), full_stage.objects(ids[1]))
    _keep_versions(full_stage, "Enabled")
    full_stage.clear()


@pytest.fixture
def whole(full_stage: Stage, sent: Sent) -> Iterator[Stage]:
    """The stage with the first transfer as it was made, before and after."""
    yield full_stage
    for name, data in sent.objects.items():
        _overwrite(full_stage, sent.transfer_id, name, data)


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _edit(data: bytes, **body: object) -> bytes:
    document = json.loads(data)
    document["body"].update(body)
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("payload", lambda data, _other: _flip(data, len(data) // 2)),
        ("payload", lambda data, _other: data[:-1]),
        ("payload", lambda data, _other: data[:MEBIBYTE]),
        ("payload", lambda data, _other: data + b"\0"),
        ("payload", lambda data, _other: data[MEBIBYTE : 2 * MEBIBYTE] + data[:MEBIBYTE] + data[2 * MEBIBYTE :]),
        ("payload", lambda data, other: data[:MEBIBYTE] + other[MEBIBYTE : 2 * MEBIBYTE] + data[2 * MEBIBYTE :]),
        ("manifest.json", lambda data, _other: _edit(data, sender=MANAGED)),
        ("manifest.json", lambda data, _other: _edit(data, object_version_id=None)),
        ("manifest.json", lambda _data, other: other),
        ("manifest.json", lambda data, _other: data[:-2]),
        ("envelope.json", lambda data, _other: _edit(data, stanzas=json.loads(data)["body"]["stanzas"][1:])),
        ("envelope.json", lambda data, _other: _edit(data, epoch=7)),
        ("envelope.json", lambda _data, other: other),
        ("envelope.json", lambda _data, _other: b"\xff\xfe not JSON"),
    ],
    ids=[
        "flipped bit", "last byte cut", "segments cut", "byte added", "segments swapped", "segment spliced",
        "another sender", "any version", "manifest of another transfer", "manifest cut",
        "stanza stripped", "epoch changed", "envelope of another transfer", "envelope overwritten",
    ],
)  # fmt: skip
def test_a_changed_container_is_never_received(
    whole: Stage, sent: Sent, tmp_path: Path, name: str, change: Callable[[bytes, bytes], bytes]
) -> None:
    """Whoever owns the bucket can overwrite objects: every reader finds it, and no file appears."""
    _overwrite(whole, sent.transfer_id, name, change(sent.objects[name], sent.other_objects[name]))
    client = whole.client("recipient")
    for holder in (
        client.managed_holder(MANAGED),
        client.local_holder(load_private_identity(whole.key_folder(EXTERNAL))),
    ):
        with pytest.raises(IntegrityError):
            client.receive(sent.transfer_id, reader=holder, out=tmp_path / "model")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["payload", "manifest.json", "envelope.json"])
def test_the_command_says_what_is_wrong(whole: Stage, sent: Sent, tmp_path: Path, name: str) -> None:
    """Exit code 3, a named error, and nothing under the final name or beside it."""
    _overwrite(whole, sent.transfer_id, name, _flip(sent.objects[name], len(sent.objects[name]) // 2))
    command = ("receive", sent.transfer_id, "--key", whole.key_folder(EXTERNAL), "--out", tmp_path / "model", "--json")
    refused = whole.pqtransfer(*command, role="recipient")
    assert refused.exit_code == 3, refused.stderr
    assert refused.error["code"]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_document_is_no_container(whole: Stage, sent: Sent, tmp_path: Path) -> None:
    """A completed transfer whose manifest is gone: exit code 2, which says that it is missing."""
    key = f"transfers/{sent.transfer_id}/manifest.json"
    whole.owner_s3.delete_object(Bucket=whole.deployment.data_bucket, Key=key)
    client = whole.client("recipient")
    with pytest.raises(NotAContainerError, match=r"manifest\.json is missing"):
        client.receive(sent.transfer_id, reader=client.managed_holder(MANAGED), out=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_container_of_another_sender_is_not_received(
    whole: Stage, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STRANGER is registered, signs validly, and wraps to the recipient: the record names somebody else.

    Who can write to the ledger as well is found by a reader that says whom it expects.
    """
    (tmp_path / "poisoned").write_bytes(b"a poisoned model")
    keys = whole.key_folder(EXTERNAL)
    monkeypatch.setattr("pqtransfer.sdk.offline.uuid7", lambda: sent.transfer_id)
    encrypt_file(
        tmp_path / "poisoned",
        sender=load_private_identity(whole.key_folder(STRANGER)),
        recipients=[load_public_identity(keys)],
        out=tmp_path / "container",
    )
    for name in sent.objects:
        _overwrite(whole, sent.transfer_id, name, (tmp_path / "container" / name).read_bytes())
    command = ("receive", sent.transfer_id, "--key", keys, "--out", tmp_path / "model", "--json")
    refused = whole.pqtransfer(*command, role="recipient")
    assert (refused.exit_code, refused.error["code"]) == (3, "WrongSender")
    with whole.record_replaced(sent.transfer_id, sender=STRANGER):
        refused = whole.pqtransfer(*command, "--from", SENDER, role="recipient")
        assert (refused.exit_code, refused.error["code"]) == (3, "WrongSender")
        assert not (tmp_path / "model").exists()
        received = whole.pqtransfer(*command, "--from", STRANGER, role="recipient")
        assert (received.exit_code, received.answer["sender"]) == (0, STRANGER)


def test_with_versions_an_overwritten_payload_does_no_harm(full_stage: Stage, sent: Sent, model_bytes: bytes) -> None:
    """The manifest names the version that was signed, and readers read that one."""
    stage = full_stage
    _keep_versions(stage, "Enabled")
    model = stage.put_model("models/tampered", model_bytes[:MEBIBYTE])
    transfer_id = stage.submit(model)
    stage.wait_for_completion(transfer_id)
    _overwrite(stage, transfer_id, "payload", b"something else")
    assert stage.receive_sha256(transfer_id) == model.sha256
    _keep_versions(stage, "Suspended")


def test_a_full_disk_leaves_nothing_behind(whole: Stage, sent: Sent, tmp_path: Path) -> None:
    """The disk is smaller than the model: exit code 5 with the bytes that are needed, and no file."""
    with mount_small_disk(tmp_path / "disk", size_mib=2) as disk:
        command = ("receive", sent.transfer_id, "--key", whole.key_folder(EXTERNAL), "--out", disk / "model", "--json")
        refused = whole.pqtransfer(*command, role="recipient")
        assert refused.exit_code == 5, refused.stderr
        assert refused.error["code"] == "DiskFull"
        assert str(sent.model.size_bytes) in refused.error["message"]
        assert list(disk.iterdir()) == []


def _overwrite(stage: Stage, transfer_id: str, name: str, data: bytes) -> None:
    """As the owner of the account, who may write everywhere. The version without a name is replaced."""
    key = f"transfers/{transfer_id}/{name}"
    stage.owner_s3.put_object(Bucket=stage.deployment.data_bucket, Key=key, Body=data)


def _keep_versions(stage: Stage, status: str) -> None:
    stage.owner_s3.put_bucket_versioning(
        Bucket=stage.deployment.data_bucket, VersioningConfiguration={"Status": status}
    )
