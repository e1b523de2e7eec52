"""Rotating a key: what comes to be, and what a crash between any two steps leaves."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.rotate_keys.rotating import NotRotatedHereError, RotationUnderWayError
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.crypto.identity import generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose, generate_private_key
from pqtransfer.errors import UnavailableError
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.custody import StoredKeyMismatchError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.keys.participant import ParticipantKind, Revocation
from pqtransfer.keys.registry import ParticipantUnknownError, RegistryConflictError
from tests.fakes.crashes import CrashError, CrashingPort
from tests.fakes.trails import FailingAuditTrail
from tests.unit.functions.rotate_keys.world import (
    NAME,
    NOW,
    PATIENCE,
    REGISTERED_AT,
    WRITES,
    World,
    order,
    settle_order,
)

KEM, SIGNING = KeyPurpose
LATER = NOW + PATIENCE
STEPS = 9
"""The writes of one rotation: record, version, secret, backup, record, activation, event; and none after."""


@pytest.fixture
def world() -> World:
    made = World()
    made.register()
    return made


def run_until_crash(world: World, what: KeyOrder, *, at_write: int, after_effect: bool, now: Any = NOW) -> bool:
    """True when the process died on the way."""
    countdown = [at_write]
    rotator = world.rotator(
        now=now, wrap=lambda port: CrashingPort(port, countdown, after_effect=after_effect, writes=WRITES)
    )
    try:
        rotator.rotate(what)
    except CrashError:
        return True
    return False


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize("purpose", KeyPurpose)
def test_a_rotation(world: World, purpose: KeyPurpose) -> None:
    """A new key of the same suite is ACTIVE, backed up and proven; the old one still opens; everyone is told."""
    old = world.active(purpose)
    new = world.rotator().rotate(world.order(purpose))
    assert new is not None
    assert world.active(purpose) == new
    assert (new.version, new.suite_id, new.activated_at) == (2, old.suite_id, NOW)
    replaced = world.registered.find_key(old.key_id)
    assert replaced is not None
    assert (replaced.state, replaced.state_changed_at) == (KeyState.RETIRING, NOW)
    world.require_whole()
    [told] = world.announcer.told
    assert (told.participant, told.purpose, told.old_key_id, told.new_key_id) == (NAME, purpose, old.key_id, new.key_id)


@pytest.mark.requirement("D4.6")
def test_every_step_is_recorded(world: World) -> None:
    """With the key, its suite, who asked, and the correlation id of the order."""
    new = world.rotator().rotate(world.order(KEM))
    actions = ["key.create", "key.backup", "key.activate", "key.retire", "key.rotate"]
    assert [facts.action for facts in world.trail.facts] == actions
    assert new is not None
    assert {facts.correlation_id for facts in world.trail.facts} == {"test-1"}
    assert {facts.key_id for facts in world.trail.facts if facts.action != "key.retire"} == {new.key_id}
    assert {facts.details["caller_says"] for facts in world.trail.facts} == {"test"}


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize("purpose", KeyPurpose)
@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at_write", range(1, STEPS))
def test_killed_between_any_two_steps(world: World, purpose: KeyPurpose, at_write: int, after_effect: bool) -> None:
    """The same order again: one ACTIVE key, no lost key, no orphan secret, and everyone is told."""
    what = world.order(purpose)
    crashed = run_until_crash(world, what, at_write=at_write, after_effect=after_effect)
    assert crashed == (at_write <= 7)
    world.require_recorded()
    world.rotator(now=LATER).rotate(what)
    world.require_whole()
    world.require_recorded()
    assert world.active(purpose).key_id != what.replaces
    assert world.announcer.told[-1].new_key_id == world.active(purpose).key_id
    world.rotator(now=LATER).rotate(what)  # delivered once more
    assert sum(key.activated_at is not None and key.purpose is purpose for key in world.registered.keys) == 2


@pytest.mark.requirement("D4.6")
@pytest.mark.parametrize("purpose", KeyPurpose)
@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at_write", range(1, 4))
def test_an_order_to_finish_that_dies(world: World, purpose: KeyPurpose, at_write: int, after_effect: bool) -> None:
    """The sweep's order goes on with what a dead run left, and dies itself: delivered again, everyone is told."""
    what = world.order(purpose)
    run_until_crash(world, what, at_write=5, after_effect=False)
    [pending] = world.registered.pending_keys
    finish = order(purpose, unfinished=pending.key_id)
    assert run_until_crash(world, finish, at_write=at_write, after_effect=after_effect, now=LATER)
    world.require_recorded()
    world.rotator(now=LATER).rotate(finish)
    world.require_whole()
    world.require_recorded()
    told = world.announcer.told[-1]
    assert (told.old_key_id, told.new_key_id) == (what.replaces, pending.key_id)


@pytest.mark.requirement("D4.6")
@pytest.mark.parametrize("refused", range(1, 5))
def test_an_audit_log_that_takes_nothing(world: World, refused: int) -> None:
    """No step takes effect before it is on record, and the same order goes on once the log takes events again."""
    what, lasting = world.order(KEM), FailingAuditTrail(refused)
    world.trail = lasting
    try:
        world.rotator().rotate(what)
    except AuditUnavailableError:
        assert world.announcer.told == []
    world.require_recorded()
    world.rotator(now=LATER).rotate(what)
    world.require_whole()
    world.require_recorded()


@pytest.mark.requirement("D4.3")
@settings(max_examples=80)
@given(crashes=st.lists(st.tuples(st.integers(1, STEPS), st.booleans(), st.booleans(), st.sampled_from(KeyPurpose))))
def test_killed_again_and_again(crashes: list[tuple[int, bool, bool, KeyPurpose]]) -> None:
    """Rotations of both keys, each killed somewhere, sometimes run again too soon: at the end all is whole."""
    world, now = World(), NOW
    world.register()
    orders = {purpose: world.order(purpose) for purpose in KeyPurpose}
    for at_write, after_effect, waits, purpose in crashes:
        now += PATIENCE if waits else timedelta(seconds=1)
        try:
            run_until_crash(world, orders[purpose], at_write=at_write, after_effect=after_effect, now=now)
        except RotationUnderWayError:
            assert not waits
        world.require_recorded()
    for purpose in KeyPurpose:
        now += PATIENCE
        world.rotator(now=now).rotate(orders[purpose])
    world.settler(now=now).settle(settle_order())  # what was given up is found by the next sweep
    world.require_whole()
    assert {told.new_key_id for told in world.announcer.told} >= {
        world.active(purpose).key_id for purpose in KeyPurpose
    }


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize("at_write", range(1, STEPS - 1))
def test_two_rotations_at_once(world: World, at_write: int) -> None:
    """A second run with the same order starts and ends inside any step of the first: one key, used by both."""
    what = world.order(KEM)
    countdown = [at_write]
    outcomes: list[object] = []

    class Overtaken(CrashingPort):
        """In place of dying, the process is overtaken by another run."""

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._port, name)
            if name not in WRITES:
                return method

            def write(*arguments: Any, **named: Any) -> Any:
                countdown[0] -= 1
                if countdown[0] == 0:
                    try:
                        outcomes.append(world.rotator().rotate(what))
                    except UnavailableError as error:
                        outcomes.append(error)
                return method(*arguments, **named)

            return write

    slow = world.rotator(wrap=lambda port: Overtaken(port, countdown, after_effect=False, writes=WRITES))
    try:
        slow.rotate(what)
    except Exception as error:  # noqa: BLE001 - any refusal is fine: the order is delivered again
        outcomes.append(error)
    world.rotator(now=LATER).rotate(what)
    world.require_whole()
    assert len(outcomes) >= 1
    assert sum(key.activated_at is not None and key.purpose is KEM for key in world.registered.keys) == 2


def test_a_run_that_was_given_up_cleans_up_behind_itself(world: World) -> None:
    """It slept for longer than a run can last, and another one gave its key up: it leaves no orphan secret."""
    what = world.order(KEM)

    class Sleepy:
        """The secret is stored long after the version was registered."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.vault, name)

        def store(self, *arguments: Any, **named: Any) -> None:
            world.rotator(now=LATER).rotate(what)
            world.vault.store(*arguments, **named)

    sleepy: Any = Sleepy()
    world.rotator(wrap=lambda port: sleepy if port is world.vault else port).rotate(what)
    world.require_whole()


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize("at_write", range(1, 5))
def test_a_run_that_outlives_all_patience_loses_no_key(world: World, at_write: int) -> None:
    """It wakes up inside any write by which another run gives its key up, and comes to its end: what it has put to use
    stays in use, what was given up is never used, and there is one ACTIVE key that is stored and backed up."""
    what = world.order(KEM)
    held: list[Any] = []

    class Asleep:
        """A vault in front of which the first run falls asleep, with the private key in its memory."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.vault, name)

        def store(self, *arguments: Any, **_: Any) -> None:
            held.extend(arguments)
            raise CrashError

    asleep: Any = Asleep()
    first = world.rotator(wrap=lambda port: asleep if port is world.vault else port)
    with pytest.raises(CrashError):
        first.rotate(what)
    countdown = [at_write]

    class Waking(CrashingPort):
        """Right before one of its writes, the first run goes on to its end."""

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._port, name)

            def write(*arguments: Any, **named: Any) -> Any:
                countdown[0] -= 1
                if countdown[0] == 0:
                    key, private_key = held
                    world.rotator().go_on(key, private_key, what)
                return method(*arguments, **named)

            return write if name in WRITES else method

    second = world.rotator(now=LATER, wrap=lambda port: Waking(port, countdown, after_effect=False, writes=WRITES))
    if at_write <= 2:
        with pytest.raises(RotationUnderWayError):
            second.rotate(what)
        assert world.active(KEM).key_id == held[0].key_id
        taken = [(facts.action, facts.succeeded) for facts in world.trail.facts if "revoke" in facts.action]
        assert taken == [("key.revoke", True), ("key.revoke", False)]
    else:
        with suppress(RegistryConflictError):  # both clean up behind the key that was given up: the order comes again
            second.rotate(what)
    world.rotator(now=LATER).rotate(what)
    world.settler(now=LATER).settle(settle_order())
    world.require_whole()
    assert sum(key.activated_at is not None and key.purpose is KEM for key in world.registered.keys) == 2


def test_the_other_key_is_rotated_meanwhile(world: World) -> None:
    """The proof of the pair is made anew for the pair that is ACTIVE in the end."""
    both = {purpose: world.order(purpose) for purpose in KeyPurpose}
    turned = []

    class Turning:
        """Right before the KEM key is activated, the signing key is."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.registry, name)

        def activate(self, *arguments: Any, **named: Any) -> Any:
            if not turned:
                turned.append(world.rotator().rotate(both[SIGNING]))
            return world.registry.activate(*arguments, **named)

    turning: Any = Turning()
    world.rotator(wrap=lambda port: turning if port is world.registry else port).rotate(both[KEM])
    world.require_whole()
    assert {world.active(purpose).version for purpose in KeyPurpose} == {2}


def test_after_a_revocation_new_keys_take_their_places(world: World) -> None:
    """Both keys were revoked: two orders that replace nothing make a whole pair again."""
    revocation = Revocation(reason="compromised", revoked_at=NOW, reported_by="alice")
    world.registry.revoke(world.registered.keys, revocation)
    for purpose in KeyPurpose:
        world.rotator().rotate(order(purpose, replaces=None))
    world.require_whole()
    assert [told.old_key_id for told in world.announcer.told] == [None, None]
    assert world.trail.actions["key.retire"] == 0


def test_a_stored_key_that_is_not_the_one(world: World) -> None:
    """The test step finds it, the old key stays in use, and nobody is told of a new one."""
    what = world.order(KEM)
    run_until_crash(world, what, at_write=6, after_effect=False)
    (pending,) = world.registered.pending_keys
    assert pending.secret_id is not None
    role, _ = world.vault.secrets[pending.secret_id]
    world.vault.secrets[pending.secret_id] = (role, generate_private_key(KEM, "PQT-1"))
    with pytest.raises(StoredKeyMismatchError):
        world.rotator(now=LATER).rotate(what)
    assert world.active(KEM).key_id == what.replaces
    assert world.announcer.told == []


@pytest.mark.requirement("D4.2")
def test_no_key_is_used_before_its_backup_is_durable(world: World) -> None:
    """The store of backups takes nothing: the old key stays in use, and the next run makes the backup first."""
    what = world.order(KEM)

    class Full:
        """A store that refuses."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.backups, name)

        def create(self, *_: Any) -> None:
            raise UnavailableError("the bucket does not answer")

    full: Any = Full()
    with pytest.raises(UnavailableError):
        world.rotator(wrap=lambda port: full if port is world.backups else port).rotate(what)
    assert world.active(KEM).key_id == what.replaces
    world.rotator().rotate(what)
    world.require_whole()


def test_backups_that_are_missing_are_made(world: World) -> None:
    """From the secret, through the participant's role; what is there is left alone."""
    kept = dict(world.backups.documents)
    lost = name_backup(world.active(KEM))
    del world.backups.documents[lost]
    asked = KeyOrder(action=KeyAction.BACK_UP, participant=NAME, asked_by="test", correlation_id="test-3")
    assert [name_backup(key) for key in world.rotator().back_up(asked)] == [lost]
    assert world.rotator().back_up(asked) == ()
    assert set(world.backups.documents) == set(kept)
    world.require_whole()


def test_a_backup_that_is_no_good_is_replaced(world: World) -> None:
    """Only when it is asked for: a backup that is there is left alone otherwise."""
    damaged = name_backup(world.active(KEM))
    world.backups.documents[damaged] = b"{}"
    asked = KeyOrder(action=KeyAction.BACK_UP, participant=NAME, asked_by="test", correlation_id="test-3")
    assert world.rotator().back_up(asked) == ()
    replacing = asked.model_copy(update={"replace_backups": True})
    assert {name_backup(key) for key in world.rotator().back_up(replacing)} == set(world.backups.documents)
    world.require_whole()
    assert world.trail.actions["key.backup"] == 2


def test_who_is_not_rotated(world: World) -> None:
    """An external participant, and a name that nobody has: told apart, nothing changed."""
    identity = generate_identity("site-x", suite_id="PQT-1").to_public().to_json().decode()
    world.register("site-x", kind=ParticipantKind.EXTERNAL, identity=identity)
    for name, error in (("site-x", NotRotatedHereError), ("nobody", ParticipantUnknownError)):
        what = world.order(KEM).model_copy(update={"participant": name})
        with pytest.raises(error, match=name):
            world.rotator().rotate(what)
    assert world.announcer.told == []


def test_a_clock_that_runs_backwards(world: World) -> None:
    """The rotation is written down with a time that is not before what is written down already."""
    world.rotator(now=REGISTERED_AT - timedelta(days=400)).rotate(world.order(KEM))
    world.require_whole()
    new = world.active(KEM)
    assert new.created_at == new.activated_at == REGISTERED_AT
