"""A key is reported lost, on the deployed cloud: contained at once, seen to without anybody's help, and told."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.custody import KeyNotStoredError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.registry import KeyNotUsableError, ParticipantNotReadyError
from pqtransfer.transfers.container import SupersededError
from pqtransfer.transfers.dependencies import KeyRole
from pqtransfer.transfers.ledger import TransferState
from scripts.worker_process import WorkerProcess
from tests.e2e.incidents.site import Sites
from tests.e2e.transfers.stage import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("D4.4")]


@pytest.fixture
def heard(sites: Sites) -> Iterator[list[dict[str, Any]]]:
    """What is told on the event bus meanwhile."""
    with sites.listen() as events:
        yield events


def wait_until_closed(sites: Sites, incident_id: str) -> dict[str, Any]:
    """The report of the incident, once it is closed."""

    def look() -> dict[str, Any] | None:
        answer = sites.require("keys", "incident", incident_id, "--json").answer
        return answer if answer["step"] == "CLOSED" else None

    return wait_for(f"the end of incident {incident_id}", look)


def test_a_lost_key_is_contained_and_everything_under_it_is_seen_to(
    sites: Sites, worker: WorkerProcess, heard: list[dict[str, Any]]
) -> None:
    """Out of use when the report returns; new keys; its models re-encrypted, the old payloads gone; people are told."""
    sites.add_managed("lost-a", "lost-b", "lost-c")
    sites.add_external("lost-x")
    to_b = sites.send("to-b", sender="lost-a", recipients=("lost-b", "lost-a"))
    to_x = sites.send("to-x", sender="lost-a", recipients=("lost-b", "lost-x"))
    other = sites.send("other", sender="lost-a", recipients=("lost-c",))
    model = sites.folder / "from-x"
    model.write_bytes(b"weights of x" * 1000)
    from_x = sites.client("submitter").send(
        str(model), sender=sites.holder("lost-x", role="submitter"), recipients=["lost-b"]
    )
    old = {purpose: sites.registered("lost-b").find_active_key(purpose) for purpose in KeyPurpose}
    kem = old[KeyPurpose.KEM]
    assert kem is not None
    (stolen,) = sites.holder("lost-b", role="recipient").opening_keys([kem.key_id])

    incidents, holder = sites.incidents(), sites.holder("lost-x", role="submitter")
    incident = incidents.report("lost-b", key_ids=[kem.key_id], reason="a laptop was stolen")
    with suppress(ParticipantNotReadyError):  # until the new keys are there
        sent = sites.client("submitter").send(str(model), sender=holder, recipients=["lost-b"])
        assert not sites.opens(sent.transfer_id, stolen)  # and then no new envelope is wrapped to the lost one
    key = sites.registered("lost-b").find_key(kem.key_id)
    assert key is not None
    assert key.state is KeyState.REVOKED
    with pytest.raises(PqtransferError):  # and no new receive
        sites.holder("lost-b", role="recipient").opening_keys([kem.key_id])

    report = wait_until_closed(sites, incident.incident_id)
    new = sites.registered("lost-b").find_active_key(KeyPurpose.KEM)
    assert new is not None
    assert new.key_id != kem.key_id
    assert sites.registered("lost-b").find_active_key(KeyPurpose.SIGNING) == old[KeyPurpose.SIGNING]
    tasks = {task["transfer_id"]: task for task in report["tasks"]}
    assert set(tasks) == {to_b.transfer_id, to_x.transfer_id, from_x.transfer_id}
    for label, record in (("to-b", to_b), ("to-x", to_x)):
        task = tasks[record.transfer_id]
        assert task["state"] == "DONE", task
        again = sites.status(task["replacement_id"])
        assert (again.state, again.kind) == (TransferState.COMPLETED, "reencrypt")
        assert sites.receive_sha256(task["replacement_id"], reader="lost-b") == sites.sha256_of(label)
        assert not sites.opens(task["replacement_id"], stolen)
        with pytest.raises(SupersededError):
            sites.receive_sha256(record.transfer_id, reader="lost-b")
        out = sites.folder / f"followed-{label}"
        followed = sites.require(
            *("receive", record.transfer_id, "--as", "lost-b", "--out", out, "--json"), role="recipient"
        ).answer
        assert (followed["transfer_id"], followed["asked_for"]) == (task["replacement_id"], record.transfer_id)
        assert hashlib.sha256(out.read_bytes()).hexdigest() == sites.sha256_of(label)
        assert sites.versions(record.transfer_id) == {"manifest.json"}
    assert sites.receive_sha256(tasks[to_x.transfer_id]["replacement_id"], reader="lost-x") == sites.sha256_of("to-x")
    assert tasks[from_x.transfer_id]["state"] == "FOR_SENDER"
    assert sites.receive_sha256(from_x.transfer_id, reader="lost-b")
    assert sites.receive_sha256(other.transfer_id, reader="lost-c") == sites.sha256_of("other")
    assert report["left_to_people"] == [from_x.transfer_id]
    assert not sites.index.has_any(kem.key_id, KeyRole.RECIPIENT)

    told = wait_for("the alert and the event", lambda: told_of(heard, incident.incident_id))
    assert told["ParticipantCredentialsRevoked"]["participant"] == "lost-b"
    assert told["AlertRaised"]["code"] == "key-compromised"
    text = sites.require("keys", "incident", incident.incident_id, "--watch").stdout
    assert "can read that copy for ever" in text
    assert from_x.transfer_id in text


def told_of(heard: list[dict[str, Any]], incident_id: str) -> dict[str, Any] | None:
    """The details by type, once both are there."""
    found = {
        event["detail-type"]: event["detail"]
        for event in reversed(heard)
        if incident_id in json.dumps(event["detail"])
        and event["detail-type"] in ("AlertRaised", "ParticipantCredentialsRevoked")
    }
    return found if len(found) == 2 else None


def test_an_event_on_the_bus_is_a_report_too(sites: Sites, worker: WorkerProcess) -> None:
    """As threat detection makes it; every key of an external participant, which then registers its own."""
    sites.add_external("event-x")
    sites.put_event(
        "CompromiseReported",
        {
            "incident_id": "e2e-event",
            "participant": "event-x",
            "reason": "seen in a paste",
            "reported_by": "threat-detection",
            "reported_at": datetime.now(UTC).isoformat(),
        },
    )
    wait_for("the revocation", lambda: not sites.registered("event-x").is_ready or None)
    report = wait_until_closed(sites, "e2e-event")
    assert (report["keys_revoked"], report["keys_kept_by"], report["containers"]) == (2, "participant", 0)
    with pytest.raises((KeyNotStoredError, ParticipantNotReadyError)):
        sites.client("submitter").managed_holder("event-x").signing_key()


@pytest.mark.requirement("D4.3")
def test_envelopes_move_with_a_rotated_key(sites: Sites, worker: WorkerProcess) -> None:
    """A KEM key is rotated; every envelope under it is renewed by itself, and not a byte of a payload moves."""
    sites.add_managed("rotate-a", "rotate-b")
    sent = [sites.send(f"moved-{number}", sender="rotate-a", recipients=("rotate-b",)) for number in range(3)]
    old = sites.registered("rotate-b").find_active_key(KeyPurpose.KEM)
    assert old is not None
    before = {record.transfer_id: sites.versions_of_payload(record.transfer_id) for record in sent}
    sites.rotate("rotate-b", KeyPurpose.KEM, replaces=old.key_id)
    wait_for("the new key", lambda: sites.registered("rotate-b").find_active_key(KeyPurpose.KEM) != old or None)
    wait_for("moved envelopes", lambda: not sites.index.has_any(old.key_id, KeyRole.RECIPIENT) or None)
    for number, record in enumerate(sent):
        assert sites.versions_of_payload(record.transfer_id) == before[record.transfer_id]
        assert sites.receive_sha256(record.transfer_id, reader="rotate-b") == sites.sha256_of(f"moved-{number}")


def test_signatures_by_a_lost_key_count_when_the_log_proves_them_older(sites: Sites, worker: WorkerProcess) -> None:
    """What was witnessed before the loss is signed anew and read on; what came after is refused by every reader."""
    sites.add_managed("signs-a", "signs-b")
    early = sites.send("early", sender="signs-a", recipients=("signs-b",))
    evidence, manifest = sites.evidence(), sites.manifest(early.transfer_id)
    lost = wait_for("a witnessed checkpoint", lambda: sites.find_proof_time(evidence, manifest))
    late = sites.send("late", sender="signs-a", recipients=("signs-b",))
    sites.witness()
    signing = sites.registered("signs-a").find_active_key(KeyPurpose.SIGNING)
    assert signing is not None
    answer = sites.require(
        *("keys", "report-compromise", "signs-a", "--key", signing.key_id, "--reason", "leaked", "--json"),
        *("--since", f"{lost:%Y-%m-%dT%H:%M:%SZ}"),
    ).answer
    for transfer in (early, late):  # at once, nobody believes either
        with pytest.raises(PqtransferError):
            sites.receive_sha256(transfer.transfer_id, reader="signs-b")
    report = wait_until_closed(sites, answer["incident_id"])
    states = {task["transfer_id"]: task["state"] for task in report["tasks"]}
    assert states == {early.transfer_id: "DONE", late.transfer_id: "UNPROVEN"}, report
    assert sites.receive_sha256(early.transfer_id, reader="signs-b") == sites.sha256_of("early")
    with pytest.raises(KeyNotUsableError):
        sites.receive_sha256(late.transfer_id, reader="signs-b")
    assert sites.manifest(early.transfer_id) == manifest
    again = sites.send("again", sender="signs-a", recipients=("signs-b",))
    assert sites.receive_sha256(again.transfer_id, reader="signs-b") == sites.sha256_of("again")
