"""Old keys go when their time has come and nothing needs them; what cannot be told stays."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from functions.register_participant.audit import RegistrationFacts
from functions.rotate_keys.settling import Settlement
from functions.rotate_keys.sweeping import KeySweeper
from pqtransfer.crypto.identity import generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.crypto.succession import sign_succession
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import KeyVersion, ParticipantKind, Revocation
from pqtransfer.keys.registration import RegisterParticipant
from tests.fakes.alerts import InMemoryAlerts
from tests.fakes.crashes import CrashError, CrashingPort
from tests.fakes.key_service import InMemoryOrders
from tests.unit.functions.rotate_keys.world import NOW, PATIENCE, POLICY, WRITES, World, order, settle_order

KEM, SIGNING = KeyPurpose


@pytest.fixture
def world() -> World:
    made = World()
    made.register()
    return made


def rotate_out(world: World, purpose: KeyPurpose) -> KeyVersion:
    """The key that is RETIRING after a rotation at NOW."""
    old = world.active(purpose)
    world.rotator().rotate(world.order(purpose))
    return old


def settle(world: World, *, days: float) -> Settlement:
    return world.settler(now=NOW + timedelta(days=days)).settle(settle_order())


def state_of(world: World, key: KeyVersion) -> KeyState:
    found = world.registered.find_key(key.key_id)
    assert found is not None
    return found.state


@pytest.mark.parametrize("purpose", KeyPurpose)
def test_the_end_of_a_key(world: World, purpose: KeyPurpose) -> None:
    """RETIRING for a week, RETIRED for a month, then gone: the secret, its name, the backup. The public half stays."""
    old = rotate_out(world, purpose)
    for days, state in ((6.9, KeyState.RETIRING), (7, KeyState.RETIRED), (36.9, KeyState.RETIRED)):
        settle(world, days=days)
        assert state_of(world, old) is state
    assert [key.key_id for key in settle(world, days=37).destroyed] == [old.key_id]
    assert state_of(world, old) is KeyState.DESTROYED
    assert old.secret_id not in world.vault.secrets
    assert name_backup(old) not in world.backups.documents
    world.require_whole()
    assert (world.trail.actions["key.retire"], world.trail.actions["key.destroy"]) == (2, 1)
    assert settle(world, days=400) == Settlement()


def test_a_key_that_an_envelope_needs(world: World) -> None:
    """Is kept however old it is, and goes once nothing needs it any more."""
    old = rotate_out(world, KEM)
    world.dependents.needed.add(old.key_id)
    settle(world, days=7)
    assert [key.key_id for key in settle(world, days=1000).kept] == [old.key_id]
    assert state_of(world, old) is KeyState.RETIRED
    world.dependents.needed.clear()
    assert settle(world, days=1001).destroyed
    world.require_whole()


def test_a_key_of_which_nobody_knows(world: World) -> None:
    """The index of envelopes does not answer: nothing is destroyed, and others are settled all the same."""
    kem, signing = rotate_out(world, KEM), rotate_out(world, SIGNING)
    world.dependents.unknown.add(kem.key_id)
    settle(world, days=7)
    settled = settle(world, days=37)
    assert [key.key_id for key in settled.unknown] == [kem.key_id]
    assert [key.key_id for key in settled.destroyed] == [signing.key_id]
    assert state_of(world, kem) is KeyState.RETIRED
    world.require_whole()


@pytest.mark.requirement("D4.3")
def test_envelopes_that_stay_behind_are_moved_again(world: World) -> None:
    """Of a key that is RETIRED and still needed the others are told once a day, before and after it is due to go; of
    one that nothing needs, and of a signing key, nobody is told."""
    old = rotate_out(world, KEM)
    rotate_out(world, SIGNING)
    world.dependents.needed.add(old.key_id)
    settle(world, days=7)
    world.announcer.told.clear()
    for hour in range(40 * 24):
        settle(world, days=7 + hour / 24)
    told = [each.old_key_id for each in world.announcer.told]
    assert set(told) == {old.key_id}
    assert len(told) == 39 * 2  # two searches of each day, from the second day on
    world.dependents.needed.clear()
    world.announcer.told.clear()
    settle(world, days=8)
    assert world.announcer.told == []


@pytest.mark.requirement("D4.3")
def test_the_word_of_the_index_alone_destroys_nothing(world: World) -> None:
    """The containers were last read again before the key was RETIRED: it stays until they were read after that."""
    old = rotate_out(world, KEM)
    settle(world, days=7)
    for reread in (-1.0, 6.9, 7.0):
        world.dependents.reread_at = NOW + timedelta(days=reread)
        assert [key.key_id for key in settle(world, days=37).unknown] == [old.key_id]
        assert state_of(world, old) is KeyState.RETIRED
    world.dependents.reread_at = NOW + timedelta(days=7, seconds=1)
    assert settle(world, days=37).destroyed
    world.require_whole()


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at_write", range(1, 7))
def test_killed_while_a_key_is_destroyed(world: World, at_write: int, after_effect: bool) -> None:
    """The next run finishes: neither a secret without a key, nor a key that seems usable without its secret."""
    old = rotate_out(world, KEM)
    settle(world, days=7)
    countdown = [at_write]
    dying = world.settler(
        now=NOW + timedelta(days=37),
        wrap=lambda port: CrashingPort(port, countdown, after_effect=after_effect, writes=WRITES),
    )
    try:
        dying.settle(settle_order())
    except CrashError:
        assert at_write <= 5  # state, record, secret, backup, name
    if state_of(world, old) is KeyState.RETIRED:
        world.require_whole()
    settle(world, days=37)
    assert state_of(world, old) is KeyState.DESTROYED
    world.require_whole()


def test_who_is_told_of_keys_that_their_owner_replaced(world: World) -> None:
    """Whoever registers them tells nobody: the search for what is due does, soon, and when they are retired."""
    old, new = (generate_identity("site-x", suite_id="PQT-1") for _ in range(2))
    world.register("site-x", kind=ParticipantKind.EXTERNAL, identity=old.to_public().to_json().decode())
    facts = RegistrationFacts("site-x", None, "succession")
    registrar = replace(world.registrar(facts), now=NOW)
    succession = sign_succession(old, new.to_public()).to_json().decode()
    registrar.register(RegisterParticipant(name="site-x", kind=ParticipantKind.EXTERNAL, succession=succession))
    asked = settle_order().model_copy(update={"participant": "site-x"})
    for days, told in ((0.04, 2), (0.1, 0), (7, 2), (7.5, 0)):
        now = NOW + timedelta(days=days)
        orders = InMemoryOrders()
        sweeper = KeySweeper(world.registry, orders, InMemoryAlerts(), POLICY, PATIENCE, now)
        sweeper.sweep(cursor=None, has_time=lambda: True)
        assert (asked.participant in {each.participant for each in orders.waiting}) == (told > 0)
        world.announcer.told.clear()
        world.settler(now=now).settle(asked)
        assert len(world.announcer.told) == told
        assert {(each.old_key_id, each.new_key_id) for each in world.announcer.told} <= {
            (getattr(old, name).public_key.key_id, getattr(new, name).public_key.key_id) for name in ("kem", "signing")
        }


def revoke(world: World, purpose: KeyPurpose) -> KeyVersion:
    """The key that was in use, reported lost at NOW; another one is in its place."""
    lost = world.active(purpose)
    world.registry.revoke([lost], Revocation(reason="lost laptop", revoked_at=NOW, reported_by="alice"))
    world.rotator().rotate(order(purpose, replaces=None))
    return lost


@pytest.mark.requirement("D4.6")
@pytest.mark.parametrize("purpose", KeyPurpose)
def test_the_end_of_a_key_that_was_lost(world: World, purpose: KeyPurpose) -> None:
    """The answer to the loss has a month; then secret and backup go, on record. What is revoked stays revoked."""
    lost = revoke(world, purpose)
    assert settle(world, days=29.9) == Settlement()
    assert lost.secret_id in world.vault.secrets
    assert [key.key_id for key in settle(world, days=30).destroyed] == [lost.key_id]
    assert state_of(world, lost) is KeyState.REVOKED
    assert lost.secret_id not in world.vault.secrets
    assert world.trail.find("key.destroy").key_id == lost.key_id
    world.require_whole()
    assert settle(world, days=400) == Settlement()


def test_a_lost_key_that_an_envelope_needs(world: World) -> None:
    """What the answer to the loss left to people keeps the key, and so does an index that does not answer."""
    lost = revoke(world, KEM)
    world.dependents.needed.add(lost.key_id)
    assert [key.key_id for key in settle(world, days=400).kept] == [lost.key_id]
    world.dependents.unknown.add(lost.key_id)
    assert [key.key_id for key in settle(world, days=400).unknown] == [lost.key_id]
    assert lost.secret_id in world.vault.secrets


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at_write", range(1, 5))
def test_killed_while_a_lost_key_is_destroyed(world: World, at_write: int, after_effect: bool) -> None:
    """The next run finishes: record, secret, backup, name."""
    revoke(world, KEM)
    countdown = [at_write]
    dying = world.settler(
        now=NOW + timedelta(days=30),
        wrap=lambda port: CrashingPort(port, countdown, after_effect=after_effect, writes=WRITES),
    )
    with pytest.raises(CrashError):
        dying.settle(settle_order())
    settle(world, days=30)
    world.require_whole()
    assert world.trail.actions["key.destroy"] >= 1


@pytest.mark.requirement("D4.6")
@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at_write", range(1, 4))
def test_killed_while_a_key_is_retired(world: World, at_write: int, after_effect: bool) -> None:
    """It is on record before the registry says it; who may have missed the rotation is told of it once more."""
    old = rotate_out(world, KEM)
    world.announcer.told.clear()
    countdown = [at_write]
    dying = world.settler(
        now=NOW + timedelta(days=7),
        wrap=lambda port: CrashingPort(port, countdown, after_effect=after_effect, writes=WRITES),
    )
    with pytest.raises(CrashError):  # event, record, state
        dying.settle(settle_order())
    retired = [facts for facts in world.trail.facts if facts.details.get("state") == KeyState.RETIRED.value]
    assert retired or state_of(world, old) is KeyState.RETIRING
    settle(world, days=7)
    assert state_of(world, old) is KeyState.RETIRED
    assert {told.old_key_id for told in world.announcer.told} == {old.key_id}
    world.require_recorded()


@pytest.mark.parametrize("clock", [NOW - timedelta(days=1), NOW - timedelta(days=4000)])
def test_a_clock_that_runs_backwards_destroys_nothing(world: World, clock: datetime) -> None:
    """Nothing is due; and once the clock is right again, every period still has its full length."""
    old = rotate_out(world, KEM)
    assert world.settler(now=clock).settle(settle_order()) == Settlement()
    settle(world, days=7)
    assert world.settler(now=clock).settle(settle_order()) == Settlement()
    assert settle(world, days=36.9) == Settlement()
    assert state_of(world, old) is KeyState.RETIRED
