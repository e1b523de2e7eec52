"""The deployed system, and what it leaves behind: one correlation id through everything, and no secret anywhere."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.sdk import load_private_identity
from pqtransfer.transfers.container import open_data_key
from pqtransfer.transfers.ledger import TransferState
from tests.canaries import Canaries, join, require_absent
from tests.e2e.transfers.stage import (
    DESTINATION_BUCKET,
    EXTERNAL,
    MANAGED,
    SENDER,
    STRANGER,
    Finished,
    Model,
    Stage,
    wait_for,
)
from tests.e2e.transfers.traces import (
    BusTap,
    read_audit_events,
    read_buckets,
    read_files,
    read_function_logs,
    read_processes,
    read_tables,
    wait_for_actions,
)
from tests.e2e.workers import StartWorker
from tests.ocsf import require_all_ocsf

pytestmark = pytest.mark.e2e

SENT = {
    "transfer.submit", "request.accept", "transfer.claim", "bucket.use", "key.use", "data-key.create", "model.encrypt",
    "manifest.sign", "envelope.wrap", "transfer.complete", "transfer.update",
}  # fmt: skip
RECEIVED = {"manifest.verify", "envelope.verify", "envelope.open", "model.decrypt", "transfer.receive"}
UPLOADED = {
    "transfer.submit", "transfer.claim", "data-key.create", "model.encrypt", "manifest.sign", "envelope.wrap",
    "transfer.complete",
}  # fmt: skip


@pytest.fixture
def tap(stage: Stage) -> Iterator[BusTap]:
    tap = BusTap(stage)
    yield tap
    tap.remove()


@pytest.fixture
def small(stage: Stage) -> Model:
    return stage.put_model("models/on-record", b"a model of some bytes")


@pytest.mark.requirement("S4.5", "D7.1", "D7.2", "S4.1")
def test_one_correlation_id_runs_through_the_whole_system(
    stage: Stage, start_worker: StartWorker, tap: BusTap, small: Model, tmp_path: Path
) -> None:
    """From the command line through queue, worker and functions to the recipient: in every event, log and row."""
    worker, chosen = start_worker(), "round-17.site-a"
    sent = stage.pqtransfer(
        "send", small.uri, "--as", SENDER, "--to", MANAGED, "--to", EXTERNAL, "--correlation-id", chosen, "--json",
        role="submitter",
    )  # fmt: skip
    assert sent.exit_code == 0, sent.stderr
    transfer_id = sent.answer["transfer_id"]
    assert sent.answer["correlation_id"] == chosen
    received = stage.pqtransfer(
        "receive", transfer_id, "--as", MANAGED, "--out", tmp_path / "model", "--json", role="recipient"
    )
    assert received.exit_code == 0, received.stderr
    events = wait_for_actions(stage, chosen, SENT | RECEIVED)
    require_all_ocsf(events)
    by_producer = {event.producer.partition("/")[0] for event in events}
    assert by_producer == {"client", "transfer-worker", "publish-transfer-events"}
    assert {event.details.get("transfer", event.target.id) for event in events} == {transfer_id}
    find = {event.action: event for event in events}
    assert find["transfer.submit"].details["caller"].endswith("pqtransfer-local-submitter/submitter")
    assert find["transfer.receive"].details["caller"].endswith("pqtransfer-local-recipient/recipient")
    assert (find["transfer.submit"].actor, find["transfer.receive"].actor) == (SENDER, MANAGED)
    assert find["transfer.complete"].size_bytes == find["transfer.receive"].size_bytes == small.size_bytes
    assert find["request.accept"].key_id == find["manifest.sign"].key_id is not None
    assert stage.status(transfer_id).request.correlation_id == chosen
    lines = [line for line in worker.read_log() if line.get("transfer_id") == transfer_id]
    assert lines
    assert {line["correlation_id"] for line in lines} == {chosen}
    changes = [json.loads(body)["detail"] for body in tap.read()]
    assert {each["correlation_id"] for each in changes if each.get("transfer_id") == transfer_id} == {chosen}
    logged = [line for line in read_function_logs(stage) if transfer_id in line]
    assert all(chosen in line for line in logged)


@pytest.mark.requirement("D7.1", "D7.2")
def test_an_upload_and_its_end_are_on_record(stage: Stage, tmp_path: Path) -> None:
    """A sender that keeps its keys: what its own machine did; and a transfer that somebody cancels."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"a model on a disk")
    sent = stage.pqtransfer(
        "send", file, "--key", stage.key_folder(EXTERNAL), "--to", MANAGED, "--json", role="submitter"
    )
    assert sent.exit_code == 0, sent.stderr
    transfer_id = sent.answer["transfer_id"]
    events = wait_for_actions(stage, transfer_id, UPLOADED)
    require_all_ocsf(events)
    assert {event.actor for event in events if event.action in UPLOADED} == {EXTERNAL}
    waiting = stage.submit("s3://pqtransfer-local-source/models/none")
    cancelled = stage.pqtransfer("cancel", waiting, "--json", role="submitter")
    assert cancelled.exit_code == 0, cancelled.stderr
    again = stage.pqtransfer("cancel", transfer_id, "--json", role="submitter")
    assert again.error["code"] == "IllegalStep"
    (one,) = [
        each for each in wait_for_actions(stage, f"e2e-{waiting}", {"transfer.cancel"}) if "cancel" in each.action
    ]
    assert (one.succeeded, one.actor.rpartition("/")[2]) == (True, "submitter")
    (refused,) = [each for each in wait_for_actions(stage, transfer_id, {"transfer.cancel"}) if "cancel" in each.action]
    assert not refused.succeeded


def collect_keys(stage: Stage, canaries: Canaries) -> None:
    """Every private key that there is: those in key directories, and those in the secrets of managed participants."""
    for participant in (EXTERNAL, STRANGER):
        identity = load_private_identity(stage.key_folder(participant))
        canaries.add_key(f"kem key of {participant}", identity.kem)
        canaries.add_key(f"signing key of {participant}", identity.signing)
    secrets = stage.cloud.session().client("secretsmanager")
    names = [each["Name"] for page in secrets.get_paginator("list_secrets").paginate() for each in page["SecretList"]]
    for name in names:
        value = secrets.get_secret_value(SecretId=name)["SecretString"]
        if "/participants/" in name:
            canaries.add_key(name, PrivateKey.from_json(SecretBytes(value.encode())))
        else:
            canaries.add(name, value.encode())


def find_active(stage: Stage, participant: str) -> set[int]:
    """The versions of a participant's keys that are in use."""
    keys = stage.client("operator").registry.load(participant).keys
    return {key.version for key in keys if key.state is KeyState.ACTIVE}


def read_data_key(stage: Stage, transfer_id: str) -> SecretBytes:
    """The data key of a transfer to EXTERNAL."""
    objects = stage.objects(transfer_id)
    manifest = SignedManifest.from_json(objects["manifest.json"]).body
    key = load_private_identity(stage.key_folder(EXTERNAL)).kem
    return open_data_key(manifest, Envelope.from_json(objects["envelope.json"]), [key])


@pytest.mark.requirement("N8")
def test_no_secret_is_anywhere(
    full_stage: Stage, stage: Stage, start_worker: StartWorker, tap: BusTap, small: Model, tmp_path: Path
) -> None:
    """Every path, with every private key and data key known: nothing that anybody wrote holds one, in any spelling."""
    worker, canaries, out = start_worker(), Canaries(), list[Finished]()

    def run(*arguments: object, role: str = "submitter") -> Finished:
        out.append(stage.pqtransfer(*arguments, role=role))
        return out[-1]

    # Registering: new participants of both kinds, one that is refused.
    keys = tmp_path / "new-keys"
    run("keygen", "--out", keys, "--name", "site-new")
    run("participants", "add", "site-new", "--public-keys", keys, role="operator")
    run("participants", "add", "site-managed-new", "--managed", "--json", role="operator")
    run("participants", "add", "site-managed-new", "--public-keys", keys, "--json", role="operator")
    # The life of keys: rotated, backed up, restored for a drill, lost. What is replaced is known before it goes.
    collect_keys(stage, canaries)
    assert run("keys", "rotate", "site-managed-new", "--json", role="operator").exit_code == 0
    wait_for("the rotated keys", lambda: len(find_active(stage, "site-managed-new") - {1}) or None)
    collect_keys(stage, canaries)
    assert run("keys", "backup", "--json", role="operator").exit_code == 0
    assert run("keys", "drill", "site-managed-new", "--json", role="operator").exit_code == 0
    lost = run("keys", "report-compromise", "site-managed-new", "--reason", "a drill", "--json", role="operator")
    assert lost.exit_code == 0, lost.stderr
    # Sending: by a worker, from a file; then the other kinds, and what fails.
    sent = run("send", small.uri, "--as", SENDER, "--to", MANAGED, "--to", EXTERNAL, "--json")
    file = tmp_path / "model"
    file.write_bytes(b"a model on a disk")
    uploaded = run("send", file, "--key", stage.key_folder(EXTERNAL), "--to", MANAGED, "--json")
    made = [each.answer["transfer_id"] for each in (sent, uploaded)]
    container = f"s3://{stage.deployment.data_bucket}/transfers/{made[0]}/"
    messages = []
    for fields in (
        {"kind": "verify", "recipients": ()},
        {"kind": "rewrap"},
        {"kind": "decrypt", "sender": MANAGED, "recipients": (MANAGED,),
         "destination": f"s3://{DESTINATION_BUCKET}/on-record"},
        {"kind": "decrypt", "sender": SENDER, "recipients": (SENDER,),
         "destination": f"s3://{DESTINATION_BUCKET}/denied"},
    ):  # fmt: skip
        request = stage.request(container, **fields)
        messages.append(stage.sign(request))
        stage.submit_request(request)
        stage.wait_for_end(request.transfer_id)
    for body in ("no request", messages[0].replace("verify", "rewrap"), stage.sign(stage.request(small), by=MANAGED)):
        messages.append(body)
        stage.send_message(body)
        stage.wait_for_dead_letter(lambda dead, body=body: dead == body)
    assert stage.wait_for_end(stage.submit("s3://pqtransfer-local-source/none")).state is TransferState.FAILED
    # Receiving: by a managed and an external recipient, by nobody's leave, and from a container that was tampered with.
    for number, who in enumerate((("--as", MANAGED), ("--key", stage.key_folder(EXTERNAL)))):
        assert run("receive", made[0], *who, "--out", tmp_path / f"out-{number}", role="recipient").exit_code == 0
    stranger = ("--key", stage.key_folder(STRANGER))
    assert run("receive", made[0], *stranger, "--out", tmp_path / "no", role="recipient").exit_code == 4
    collect_keys(stage, canaries)
    for number, transfer_id in enumerate(made):
        canaries.add_data_key(f"data key {number}", read_data_key(stage, transfer_id))
    prefix = f"transfers/{made[1]}"
    payload = stage.objects(made[1])["payload"]
    stage.owner_s3.put_object(
        Bucket=stage.deployment.data_bucket, Key=f"{prefix}/manifest.json", Body=b'{"not": "a manifest"}'
    )
    damaged = run("receive", made[1], "--as", MANAGED, "--out", tmp_path / "bad", "--json", role="recipient")
    assert damaged.exit_code == 3, damaged.stderr

    wait_for_actions(stage, sent.answer["correlation_id"], SENT | RECEIVED)
    everywhere = {
        "audit log": join(event.to_json() for event in read_audit_events(stage)),
        "commands": join(text for each in out for text in (each.stdout, each.stderr)),
        "messages": join(messages),
        "events on the bus": join(tap.read()),
        "log of the worker": worker.log.read_bytes(),
        "log of the cloud": stage.cloud.log_file.read_bytes(),
        "logs of the functions": join(read_function_logs(stage)),
        "payload": payload,
        **read_tables(stage),
        **read_buckets(stage),
        **read_processes(stage, worker),
        **read_files(stage.folder, but={f"keys-{EXTERNAL}", f"keys-{STRANGER}"}),
    }
    require_absent(canaries, everywhere)
    for must in (
        "audit log", "commands", "events on the bus", "log of the worker", "logs of the functions",
        f"process {worker.pid} environ",
    ):  # fmt: skip
        assert everywhere[must], must
    assert any(name.startswith("table ") and data for name, data in everywhere.items())
    secret = stage.cloud.session().client("secretsmanager").list_secrets()["SecretList"][0]["Name"]
    stored = stage.cloud.session().client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    assert canaries.find({"where it belongs": stored.encode(), "in base64": base64.b64encode(stored.encode())})
