"""Finding what is due: one order each, page by page, and a reminder for those who rotate themselves."""

from datetime import timedelta

import pytest

from functions.rotate_keys.sweeping import KeySweeper
from pqtransfer.crypto.identity import generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.orders import KeyAction
from pqtransfer.keys.participant import ParticipantKind
from pqtransfer.keys.rotation import RotationPolicy
from tests.fakes.alerts import InMemoryAlerts
from tests.fakes.key_service import InMemoryOrders
from tests.unit.functions.rotate_keys.world import NOW, PATIENCE, REGISTERED_AT, World


def sweeper(world: World, orders: InMemoryOrders, alerts: InMemoryAlerts, *, days: float, **policy: int) -> KeySweeper:
    return KeySweeper(
        catalogue=world.registry,
        orders=orders,
        alerts=alerts,
        policy=RotationPolicy.model_validate(policy),
        patience=PATIENCE,
        now=REGISTERED_AT + timedelta(days=days),
    )


@pytest.mark.requirement("D4.3")
def test_one_order_for_each_due_key() -> None:
    """Before the time: none. After it: one for each participant and purpose, which names the key it replaces."""
    world, orders, alerts = World(), InMemoryOrders(), InMemoryAlerts()
    for name in ("site-m", "site-n"):
        world.register(name)
    early = sweeper(world, orders, alerts, days=89).sweep(cursor=None, has_time=lambda: True)
    assert (early.keys, early.orders, early.finished) == (4, 0, True)
    assert sweeper(world, orders, alerts, days=90).sweep(cursor=None, has_time=lambda: True).orders == 4
    assert {(each.participant, each.purpose, each.replaces) for each in orders.waiting} == {
        (key.participant, key.purpose, key.key_id)
        for name in ("site-m", "site-n")
        for key in world.registry.load(name).keys
    }
    assert alerts.raised == []


def test_kem_and_signing_keys_have_policies_of_their_own() -> None:
    """A shorter life of KEM keys makes no signing key due."""
    world, orders = World(), InMemoryOrders()
    world.register()
    sweeper(world, orders, InMemoryAlerts(), days=30, kem_days=30).sweep(cursor=None, has_time=lambda: True)
    assert [each.purpose for each in orders.waiting] == [KeyPurpose.KEM]


def test_a_registry_that_is_too_large_for_one_run() -> None:
    """What there is no time for is left to another run, which goes on from there; together they see every key."""
    world, orders, alerts = World(), InMemoryOrders(), InMemoryAlerts()
    for number in range(5):
        world.register(f"site-{number}")
    cursor, runs = None, 0
    while True:
        sweep = sweeper(world, orders, alerts, days=90).sweep(cursor=cursor, has_time=lambda: False)
        runs += 1
        if sweep.finished:
            break
        cursor = orders.cursors[-1]
    assert runs == 5
    assert len({(each.participant, each.purpose) for each in orders.waiting}) == 10


def test_old_keys_are_settled_once_a_participant() -> None:
    """Both RETIRING keys of a participant are one order."""
    world, orders = World(), InMemoryOrders()
    world.register()
    for purpose in KeyPurpose:
        world.rotator().rotate(world.order(purpose))
    later = NOW + timedelta(days=7) - REGISTERED_AT
    sweeper(world, orders, InMemoryAlerts(), days=later.days).sweep(cursor=None, has_time=lambda: True)
    assert [each.action for each in orders.waiting] == [KeyAction.SETTLE]


def test_who_keeps_their_own_keys_is_reminded() -> None:
    """One alert names them; the system makes no order that it cannot carry out."""
    world, orders, alerts = World(), InMemoryOrders(), InMemoryAlerts()
    for name in ("site-x", "site-y"):
        identity = generate_identity(name, suite_id="PQT-1").to_public().to_json().decode()
        world.register(name, kind=ParticipantKind.EXTERNAL, identity=identity)
    sweep = sweeper(world, orders, alerts, days=90).sweep(cursor=None, has_time=lambda: True)
    assert sweep.reminded == ("site-x", "site-y")
    assert orders.waiting == []
    [alert] = alerts.raised
    assert (alert.code, "site-x, site-y" in alert.summary) == ("external-keys-due", True)
