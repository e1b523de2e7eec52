"""A sender that keeps its keys: the file is encrypted where it is, and a killed upload goes on where it was."""

import json
from pathlib import Path

import pytest

from pqtransfer.crypto.canonical_json import encode_base64
from pqtransfer.transfers.ledger import TransferKind, TransferState
from tests.e2e.transfers.conftest import MakeLink
from tests.e2e.transfers.stage import EXTERNAL, MANAGED, PART_BYTES, STRANGER, Stage, describe_model, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture
def file(tmp_path: Path, model_bytes: bytes) -> Path:
    """A model of six parts on the sender's disk: more than are in flight at a time."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes + model_bytes[:PART_BYTES])
    return path


@pytest.mark.requirement("D7.2")
def test_a_killed_upload_goes_on(stage: Stage, file: Path, make_link: MakeLink, tmp_path: Path) -> None:
    """The same command again goes on with the same transfer: parts that were acknowledged are not sent again."""
    plaintext = file.read_bytes()
    model = describe_model(str(file), plaintext)
    link = make_link()
    deployment = tmp_path / "deployment.json"
    stage.deployment.model_copy(update={"data_endpoint_url": link.url}).write(deployment)
    command = ("send", file, "--key", stage.key_folder(EXTERNAL), "--to", MANAGED, "--to", STRANGER, "--json")
    link.stop_after(4 * PART_BYTES + PART_BYTES // 2)
    first = stage.start_pqtransfer(*command, role="submitter", deployment=deployment)
    link.wait_until_stopped()
    (journal,) = (stage.folder / ".local" / "state" / "pqtransfer" / "uploads").glob("*.journal")
    wait_for("a part in the journal", lambda: True if len(journal.read_text().splitlines()) > 1 else None)
    first.kill()
    first.communicate()
    head, *lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert stage.status(head["transfer_id"]).state is TransferState.RUNNING
    assert plaintext[1000:1040] not in journal.read_bytes()
    stage.expire_lease(head["transfer_id"])
    link.cut()
    sent_by_first = link.sent_bytes
    link.go_on()

    second = stage.pqtransfer(*command, role="submitter", deployment=deployment)
    assert second.exit_code == 0, second.stderr
    assert second.answer["transfer_id"] == head["transfer_id"]
    assert (second.answer["state"], second.answer["attempt"]) == ("COMPLETED", 2)
    digests = stage.manifest(head["transfer_id"]).body.part_sha256
    assert {line["index"]: line["sha256"] for line in lines} == {
        line["index"]: encode_base64(digests[line["index"]]) for line in lines
    }
    sent_by_second = link.sent_bytes - sent_by_first
    assert sent_by_second <= (model.part_count - len(lines)) * PART_BYTES + (1 << 20)
    assert not journal.exists()
    assert stage.uploads() == []
    record = stage.status(head["transfer_id"])
    assert record.kind is TransferKind.UPLOAD
    for reader in (MANAGED, STRANGER, EXTERNAL):
        assert stage.receive_sha256(record.transfer_id, reader=reader) == model.sha256
