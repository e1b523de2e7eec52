"""A container is removed only when the new one shows that the model stands in it: never on the ledger's word."""

from collections.abc import Callable
from typing import Any

import pytest

from pqtransfer.crypto.envelope import seal_envelope
from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.crypto.manifest import sign_manifest
from pqtransfer.protection.incidents import Task, TaskState
from pqtransfer.transfers.container import open_data_key, read_envelope, read_manifest
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME
from pqtransfer.transfers.ledger import TransferState
from tests.unit.functions.respond_to_compromise.test_responding import kem_of, read_model, report
from tests.unit.functions.respond_to_compromise.world import INCIDENT_ID, World, model_of

pytestmark = pytest.mark.requirement("D4.4")

EVERYTHING = {MANIFEST_NAME, ENVELOPE_NAME, PAYLOAD_NAME}


def lose_and_ask() -> tuple[World, Task]:
    """Bob's KEM key was lost; the re-encryption of what dora sent him and alice is asked for, and no worker ran yet."""
    world = World()
    sent = world.send("bob", "alice", sender="dora")
    world.responder().report(report(key_ids=kem_of(world, "bob")))
    for _ in range(3):
        world.responder().work(INCIDENT_ID)
        world.run_key_service()
    task = world.tasks()[sent]
    assert task.state is TaskState.REENCRYPTING
    return world, task


def change_record(world: World, task: Task, **changes: Any) -> None:
    """What whoever may submit transfers can write to the ledger."""
    record = world.ledger.records[task.replacement_id]
    world.ledger.records[task.replacement_id] = record.model_copy(update=changes)


def check_nothing_removed(world: World, task: Task) -> None:
    world.responder().work(INCIDENT_ID)
    after = world.tasks()[task.transfer_id]
    assert after.state is TaskState.FAILED
    assert "Nothing was removed" in (after.outcome or "")
    assert set(world.container(task.transfer_id).objects) >= EVERYTHING
    assert read_model(world, task.transfer_id, world.identities["bob"].kem) == model_of(task.transfer_id)
    assert world.index.find_of(task.transfer_id)
    assert "model.reencrypt" not in world.trail.actions


def test_a_forged_row_removes_nothing() -> None:
    """COMPLETED on record, and no container: one write to the ledger must not be able to delete a model."""
    world, task = lose_and_ask()
    change_record(world, task, state=TransferState.COMPLETED)
    check_nothing_removed(world, task)


def forge_request(world: World, task: Task) -> None:
    request = world.ledger.get(task.replacement_id).request
    change_record(world, task, request=request.model_copy(update={"source": "s3://models/transfers/other/"}))


def cut_payload(world: World, task: Task) -> None:
    container = world.container(task.replacement_id)
    container.put(PAYLOAD_NAME, container.get(PAYLOAD_NAME)[:-1])


def change_payload(world: World, task: Task) -> None:
    container = world.container(task.replacement_id)
    data = bytearray(container.get(PAYLOAD_NAME))
    data[0] ^= 1
    container.put(PAYLOAD_NAME, bytes(data))


def remove(name: str) -> Callable[[World, Task], None]:
    return lambda world, task: world.container(task.replacement_id).objects.pop(name) and None


def put_other_container(world: World, task: Task) -> None:
    """A whole and valid container of the same sender, of another model."""
    other = world.container(world.send("bob", "alice", sender="dora"))
    for name in EVERYTHING:
        world.container(task.replacement_id).put(name, other.get(name))


def seal_again(world: World, task: Task, keys: list[PublicKey], signer: str) -> None:
    container = world.container(task.replacement_id)
    manifest = read_manifest(container).body
    data_key = open_data_key(manifest, read_envelope(container).envelope, [world.identities["alice"].kem])
    made = seal_envelope(
        data_key,
        suite_id="PQT-1",
        transfer_id=task.replacement_id,
        floe_header=manifest.floe_header,
        recipients=keys,
        signer=signer,
        signing_key=world.identities[signer].signing,
        epoch=2,
    )
    container.put(ENVELOPE_NAME, made.to_json())


def lock_out(world: World, task: Task) -> None:
    seal_again(world, task, [world.identities["alice"].kem.public_key], "dora")


def sign_by_reader(world: World, task: Task) -> None:
    seal_again(world, task, [world.identities[name].kem.public_key for name in ("alice", "bob")], "alice")


def leave_unnamed(world: World, task: Task) -> None:
    """Neither a digest nor its sender says whose model it holds: `find_current` would not follow it."""
    container = world.container(task.replacement_id)
    body = read_manifest(container).body.model_copy(update={"plaintext_sha256": None, "metadata": {}})
    container.put(MANIFEST_NAME, sign_manifest(body, world.identities["dora"].signing).to_json())


def wrap_to_lost_key(world: World, task: Task) -> None:
    lost = next(key for key in world.registry.load("bob").keys if key.key_id in kem_of(world, "bob")).public_key
    keys = [*(world.identities[name].kem.public_key for name in ("alice", "bob")), lost]
    seal_again(world, task, keys, "dora")


@pytest.mark.parametrize(
    "spoil",
    [
        forge_request,
        cut_payload,
        change_payload,
        *(remove(name) for name in sorted(EVERYTHING)),
        put_other_container,
        lock_out,
        sign_by_reader,
        wrap_to_lost_key,
        leave_unnamed,
    ],
)
def test_a_new_container_that_is_not_the_old_one_replaces_nothing(spoil: Callable[[World, Task], None]) -> None:
    """Cut, changed, of another model, for fewer readers, or under a key that was lost: the old one stays."""
    world, task = lose_and_ask()
    world.run_workers()
    assert set(world.container(task.replacement_id).objects) >= EVERYTHING
    spoil(world, task)
    check_nothing_removed(world, task)


def test_who_became_a_reader_meanwhile_is_not_locked_out() -> None:
    """The old envelope was given another reader after the re-encryption was asked for: the old container stays."""
    world, task = lose_and_ask()
    world.run_workers()
    container = world.container(task.transfer_id)
    manifest = read_manifest(container).body
    data_key = open_data_key(manifest, read_envelope(container).envelope, [world.identities["alice"].kem])
    wider = seal_envelope(
        data_key,
        suite_id="PQT-1",
        transfer_id=task.transfer_id,
        floe_header=manifest.floe_header,
        recipients=[world.identities[name].kem.public_key for name in ("alice", "bob", "carol")],
        signer="dora",
        signing_key=world.identities["dora"].signing,
        epoch=3,
    )
    container.put(ENVELOPE_NAME, wider.to_json())
    check_nothing_removed(world, task)
    assert "carol" in (world.tasks()[task.transfer_id].outcome or "")


def test_a_store_without_digests_is_read() -> None:
    """Where no composite digest is kept, the payload is read part by part; the rest goes on as ever."""
    world, task = lose_and_ask()
    world.run_workers()
    container = world.container(task.replacement_id)
    container.put(PAYLOAD_NAME, container.get(PAYLOAD_NAME))
    assert container.find(PAYLOAD_NAME).composite_sha256 is None
    for _ in range(2):
        world.responder().work(INCIDENT_ID)
    assert world.tasks()[task.transfer_id].state is TaskState.DONE
    assert set(world.container(task.transfer_id).objects) == {MANIFEST_NAME}
