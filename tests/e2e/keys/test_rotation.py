"""Keys that rotate by themselves in the deployed cloud, under its roles: nobody restarts anything, nothing fails."""

import itertools
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.crypto.envelope import Envelope
from pqtransfer.transfers.dependencies import Dependency, KeyRole
from tests.e2e.keys.conftest import ROTATING_READER, ROTATING_SENDER, KeyStage
from tests.e2e.transfers.slow_link import SlowLink
from tests.e2e.transfers.stage import wait_for
from tests.e2e.workers import StartWorker

pytestmark = pytest.mark.e2e

Told = Callable[[str, Callable[[dict[str, Any]], bool]], dict[str, Any]]
MODEL = random.Random(20260301).randbytes(3 << 20)
NOT_WRITTEN_YET = "0198c0de-0000-7000-8000-000000000001"
LONG_AGO = (datetime.now(UTC) - timedelta(days=100)).isoformat()


def send(stage: KeyStage, name: str) -> str:
    model = stage.put_model(f"models/{name}", MODEL)
    return stage.submit(model, sender=ROTATING_SENDER, recipients=(ROTATING_READER,))


def receive(stage: KeyStage, transfer_id: str) -> bool:
    """Whether the reader gets what was sent."""
    out = stage.folder / transfer_id
    received = stage.pqtransfer("receive", transfer_id, "--as", ROTATING_READER, "--out", out, role="recipient")
    assert received.exit_code == 0, received.stderr
    return out.read_bytes() == MODEL


def keys_of(stage: KeyStage, transfer_id: str) -> tuple[set[str], str]:
    """The KEM keys that the envelope is wrapped to, and the key that signed the manifest."""
    envelope = Envelope.from_json(stage.objects(transfer_id)["envelope.json"])
    manifest = stage.manifest(transfer_id)
    return set(envelope.recipient_key_ids), manifest.signed.signing_key(manifest.body.suite).key_id


@pytest.mark.requirement("D4.3")
def test_keys_are_rotated_during_a_transfer(stage: KeyStage, start_worker: StartWorker, slow_link: SlowLink) -> None:
    """All keys of sender and reader change while the payload is half-way: that transfer completes and opens.

    The next one uses the new keys, by the same worker process and the same client: neither was restarted, neither keeps
    keys of its own.
    """
    start_worker(data_endpoint_url=slow_link.url)
    places = list(itertools.product((ROTATING_SENDER, ROTATING_READER), ("kem", "signing")))
    old = {place: stage.active(*place) for place in places}
    slow_link.stop_after(1 << 20)
    first = send(stage, "first")
    slow_link.wait_until_stopped()
    for name in (ROTATING_SENDER, ROTATING_READER):
        rotated = stage.pqtransfer("keys", "rotate", name, "--json", role="operator")
        assert rotated.exit_code == 0, rotated.stderr
        assert [each["new"]["state"] for each in json.loads(rotated.stdout)] == ["ACTIVE", "ACTIVE"]
    slow_link.go_on()
    stage.wait_for_completion(first)
    assert receive(stage, first)
    new = {place: stage.active(*place) for place in places}
    assert not set(new.values()) & set(old.values())
    second = send(stage, "second")
    stage.wait_for_completion(second)
    assert receive(stage, second)
    wrapped_to, signed_by = keys_of(stage, second)
    assert wrapped_to == {new[ROTATING_READER, "kem"]}
    assert signed_by == new[ROTATING_SENDER, "signing"]


@pytest.mark.requirement("D4.3")
def test_a_due_key_is_rotated_by_itself(stage: KeyStage, told: Told) -> None:
    """The schedule runs the search; from there on nobody does anything, and the bus tells of the new key."""
    rules = stage.cloud.session().client("events").list_rules()["Rules"]
    assert {each["ScheduleExpression"] for each in rules if "ScheduleExpression" in each} >= {
        "rate(1 hour)",
        "rate(6 days)",
    }
    old = stage.active(ROTATING_READER, "kem")
    kept = stage.active(ROTATING_READER, "signing")
    stage.set_key(ROTATING_READER, old, activated_at=LONG_AGO)
    found = stage.call("rotate_keys", {"action": "sweep"})
    assert (found["orders"], found["finished"]) == (1, True)
    event = told("KeyRotated", lambda detail: detail["old_key_id"] == old)
    assert (event["participant"], event["purpose"]) == (ROTATING_READER, "kem")
    assert stage.active(ROTATING_READER, "kem") == event["new_key_id"]
    assert stage.active(ROTATING_READER, "signing") == kept
    [replaced] = [each for each in stage.keys(ROTATING_READER) if each["key_id"] == old]
    assert replaced["state"] == "RETIRING"
    assert stage.call("rotate_keys", {"action": "sweep"})["orders"] == 0


@pytest.mark.requirement("D4.3")
def test_two_rotations_at_once(stage: KeyStage) -> None:
    """Two operators rotate the same keys at the same time: one key of each purpose is in use, proven as a pair."""
    commands = [stage.start_pqtransfer("keys", "rotate", ROTATING_SENDER, role="operator") for _ in range(2)]
    for command in commands:
        _, stderr = command.communicate(timeout=120)
        assert command.returncode == 0, stderr
    shown = stage.pqtransfer("participants", "show", ROTATING_SENDER, "--json", role="operator").answer
    active = [each for each in shown["keys"] if each["state"] == "ACTIVE"]
    assert sorted(each["purpose"] for each in active) == ["kem", "signing"]
    assert shown["identity"]["kem"] is not None
    registered = stage.client("operator").registry.load(ROTATING_SENDER)
    identity = registered.to_identity()
    assert identity is not None
    identity.require_valid()


@pytest.mark.requirement("D4.3")
def test_what_nothing_needs_is_destroyed_and_what_an_envelope_needs_stays(
    stage: KeyStage, start_worker: StartWorker
) -> None:
    """Both keys were retired long ago. The one that an envelope is about to be under is kept; the other's private half
    is deleted once its envelope has moved, which opens all the same."""
    start_worker()
    needed = stage.active(ROTATING_READER, "kem")
    transfer_id = send(stage, "needed")
    stage.wait_for_completion(transfer_id)
    assert stage.pqtransfer("keys", "rotate", ROTATING_READER, "--purpose", "kem", role="operator").exit_code == 0
    unneeded = stage.active(ROTATING_READER, "kem")
    assert stage.pqtransfer("keys", "rotate", ROTATING_READER, "--purpose", "kem", role="operator").exit_code == 0
    wait_for("the index of envelopes", lambda: _is_indexed(stage) or None)
    index = DynamoDependencyIndex.open(stage.cloud.session(), _envelopes_table(stage))
    index.note([Dependency(key_id=needed, role=KeyRole.RECIPIENT, transfer_id=NOT_WRITTEN_YET, epoch=1)])
    for state in ("RETIRED", "DESTROYED"):
        for key_id in (needed, unneeded):
            stage.set_key(ROTATING_READER, key_id, state_changed_at=LONG_AGO)
        wait_for(state, lambda wanted=state: _has_become(stage, unneeded, wanted) or None)
    assert _state_of(stage, needed) == "RETIRED"
    assert receive(stage, transfer_id)
    secrets = stage.cloud.session().client("secretsmanager")
    names = {each["Name"] for each in secrets.list_secrets()["SecretList"]}
    prefix = f"pqtransfer/local/participants/{ROTATING_READER}/kem/"
    assert f"{prefix}{needed[:16]}" in names
    wait_for("the secret to go", lambda: _is_gone(secrets, f"{prefix}{unneeded[:16]}") or None)


def _is_indexed(stage: KeyStage) -> bool:
    functions = stage.cloud.session().client("lambda")
    [name] = [
        each["FunctionName"] for each in functions.list_functions()["Functions"] if "Index" in each["FunctionName"]
    ]
    functions.invoke(FunctionName=name, Payload=b"{}")  # as its schedule does, every hour
    table = stage.cloud.session().resource("dynamodb").Table(_envelopes_table(stage))
    return "Item" in table.get_item(Key={"key_id": "backfill", "item": "complete"})


def _envelopes_table(stage: KeyStage) -> str:
    configuration = (
        stage.cloud.session()
        .client("lambda")
        .get_function_configuration(FunctionName=stage.deployment.functions.rotate_keys)
    )
    return str(configuration["Environment"]["Variables"]["PQTRANSFER_ENVELOPES_TABLE"])


def _state_of(stage: KeyStage, key_id: str) -> str:
    [state] = [each["state"] for each in stage.keys(ROTATING_READER) if each["key_id"] == key_id]
    return str(state)


def _has_become(stage: KeyStage, key_id: str, state: str) -> bool:
    stage.call("rotate_keys", {"action": "sweep"})  # as its schedule does, every hour
    return _state_of(stage, key_id) == state


def _is_gone(secrets: Any, name: str) -> bool:
    return name not in {each["Name"] for each in secrets.list_secrets()["SecretList"]}
