"""A model that was re-encrypted is found from its old id, and nothing else is: the ledger's word is not believed."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pqtransfer.errors import IntegrityError
from pqtransfer.protection.incidents import Task
from pqtransfer.sdk.following import NotTheSameModelError, find_current
from pqtransfer.transfers.container import WrongSenderError
from pqtransfer.transfers.folder import MANIFEST_NAME
from pqtransfer.transfers.ledger import TransferNotFoundError
from pqtransfer.transfers.request import TransferKind
from tests.unit.functions.respond_to_compromise.test_removing import replace_one
from tests.unit.functions.respond_to_compromise.test_replacements import change_record
from tests.unit.functions.respond_to_compromise.test_responding import read_model
from tests.unit.functions.respond_to_compromise.world import INCIDENT_ID, World, model_of

pytestmark = pytest.mark.requirement("D4.4")


def connections(world: World) -> Any:
    """What the SDK is connected to."""
    deployment = SimpleNamespace(minimum_suite="PQT-1")
    return SimpleNamespace(
        ledger=world.ledger, registry=world.registry, container=world.container, deployment=deployment
    )


def replaced() -> tuple[World, Task]:
    """What dora sent bob was re-encrypted, and the old payload is gone."""
    world, task = replace_one()
    world.responder().work(INCIDENT_ID)
    return world, task


def test_the_same_model_is_found_under_its_new_id() -> None:
    """And opens; who was not replaced is who was asked for."""
    world, task = replaced()
    found = find_current(connections(world), task.transfer_id, sender="dora").transfer_id
    assert found == task.replacement_id
    assert read_model(world, found, world.identities["bob"].kem) == model_of(task.transfer_id)
    assert find_current(connections(world), found, sender="dora").transfer_id == found
    with pytest.raises(TransferNotFoundError):
        find_current(connections(world), "0198c0de-0000-7000-8000-00000000dead", sender=None)


def point_to(kind: TransferKind | None, sender: str) -> Callable[[World, Task], None]:
    """Somebody writes into the ledger that another whole and valid transfer has the model."""

    def forge(world: World, task: Task) -> None:
        other = world.send("bob", "alice", sender=sender)
        record = world.ledger.records[other]
        request = record.request if kind is None else record.request.model_copy(update={"kind": kind})
        world.ledger.records[other] = record.model_copy(update={"request": request})
        old = world.ledger.records[task.transfer_id]
        world.ledger.records[task.transfer_id] = old.model_copy(update={"superseded_by": other})

    return forge


def point_back(world: World, task: Task) -> None:
    change_record(world, task, superseded_by=task.transfer_id)


def point_to_nothing(world: World, task: Task) -> None:
    change_record(world, task, superseded_by="0198c0de-0000-7000-8000-00000000dead")


def lose_new_manifest(world: World, task: Task) -> None:
    world.container(task.replacement_id).objects.pop(MANIFEST_NAME)


def lose_old_manifest(world: World, task: Task) -> None:
    world.container(task.transfer_id).objects.pop(MANIFEST_NAME)


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (point_to(None, "dora"), "no re-encryption"),
        (point_to(TransferKind.REENCRYPT, "dora"), "neither a digest nor its sender"),
        (point_to(TransferKind.REENCRYPT, "alice"), "alice"),
        (point_back, "it is no re-encryption"),
        (point_to_nothing, "dead"),
        (lose_new_manifest, "manifest"),
        (lose_old_manifest, "manifest"),
    ],
)
def test_what_does_not_show_that_it_is_the_same_is_not_followed(
    forge: Callable[[World, Task], None], reason: str
) -> None:
    """Another model of the same sender, a model of another sender, a circle, nothing, or no document: said so."""
    world, task = replaced()
    forge(world, task)
    with pytest.raises(NotTheSameModelError, match=reason) as caught:
        find_current(connections(world), task.transfer_id, sender=None)
    assert isinstance(caught.value, IntegrityError)


def test_the_sender_that_the_reader_knows_counts() -> None:
    """Whoever receives from alice alone is not led to what dora sent."""
    world, task = replaced()
    with pytest.raises(NotTheSameModelError, match="dora") as caught:
        find_current(connections(world), task.transfer_id, sender="alice")
    assert isinstance(caught.value.__cause__, WrongSenderError)
