"""The drill: every key comes back from its backup and is proven; one that does not is told of."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.drill_key_restore.drilling import DrillUnfinishedError, RestoreDrill
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import UnavailableError
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.registry import ParticipantUnknownError
from tests.fakes.alerts import InMemoryAlerts
from tests.unit.functions.rotate_keys.world import NAME, World

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    made = World()
    for name in (NAME, "site-n", "site-o"):
        made.register(name)
    made.rotator().rotate(made.order(KeyPurpose.KEM))
    return made


def make_drill(world: World, alerts: InMemoryAlerts | None = None, *, environment: str = "dev") -> RestoreDrill:
    return RestoreDrill(
        environment=environment,
        registry=world.registry,
        catalogue=world.registry,
        store=world.backups,
        sealer=world.sealer,
        trail=world.trail,
        alerts=alerts or InMemoryAlerts(),
        now=NOW,
        correlation_id="drill-1",
        asked_by="test",
    )


@pytest.mark.requirement("D4.2")
def test_every_key_comes_back(world: World) -> None:
    """Those in use and those that were rotated; each is an event of the audit log."""
    alerts = InMemoryAlerts()
    report = make_drill(world, alerts).drill_all(cursor=None, has_time=lambda: True)
    assert (len(report.restored), report.failed, report.next_cursor) == (7, [], None)
    assert world.trail.actions["key.drill"] == 7
    assert alerts.raised == []


def test_a_key_that_does_not_come_back(world: World) -> None:
    """Is named in an alert and in the audit log; the others are drilled all the same."""
    alerts = InMemoryAlerts()
    lost = world.active(KeyPurpose.SIGNING)
    del world.backups.documents[name_backup(lost)]
    report = make_drill(world, alerts).drill_all(cursor=None, has_time=lambda: True)
    assert [failed.key.key_id for failed in report.failed] == [lost.key_id]
    assert len(report.restored) == 6
    [alert] = alerts.raised
    assert (alert.code, alert.details["key_id"], alert.severity) == ("key-restore-failed", lost.key_id, "critical")
    [facts] = [each for each in world.trail.facts if each.action == "key.drill" and not each.succeeded]
    assert facts.key_id == lost.key_id


def test_a_backup_of_another_environment_is_a_failure(world: World) -> None:
    """Copied by mistake, it would be of no use on the day it is needed."""
    report = make_drill(world, environment="production").drill_participant(NAME)
    assert {failed.error.code for failed in report.failed} == {"BackupOfAnother"}


def test_one_participant(world: World) -> None:
    """Its own keys alone; an unknown one is an error."""
    assert len(make_drill(world).drill_participant("site-n").restored) == 2
    with pytest.raises(ParticipantUnknownError):
        make_drill(world).drill_participant("nobody")


def test_a_drill_goes_on_where_the_last_run_had_no_time_left(world: World) -> None:
    """Run after run, every key is drilled once."""
    cursor, restored = None, []
    for _ in range(3):
        report = make_drill(world).drill_all(cursor=cursor, has_time=lambda: False)
        restored += report.restored
        cursor = report.next_cursor
    assert cursor is None
    assert len({key.key_id for key in restored}) == len(restored) == 7


def test_what_does_not_answer_is_no_failure_of_a_key(world: World) -> None:
    """Nothing is known then: the run fails, and is tried again, instead of raising false alarms."""
    alerts = InMemoryAlerts()

    class Silent:
        """A key service that does not answer."""

        key_name = "silent"

        def unseal(self, *_: Any, **__: Any) -> Any:
            raise UnavailableError("no answer")

    silent: Any = Silent()
    with pytest.raises(UnavailableError):
        replace(make_drill(world, alerts), sealer=silent).drill_participant(NAME)
    assert alerts.raised == []


def test_a_drill_that_ends_early_is_told_of(world: World) -> None:
    """Nobody waits for a scheduled run: what stopped it comes as an alert, and the run fails."""
    alerts = InMemoryAlerts()
    world.trail.failure = UnavailableError("the audit log takes nothing")
    with pytest.raises(UnavailableError):
        make_drill(world, alerts).drill_all(cursor=None, has_time=lambda: True)
    [alert] = alerts.raised
    assert (alert.code, alert.severity) == ("key-drill-failed", "high")
    assert "the audit log takes nothing" in alert.summary


@pytest.mark.requirement("D4.2")
def test_a_page_that_takes_longer_than_a_run_is_told(world: World) -> None:
    """Before the run is killed: what was tried is on record, and nobody takes the rest for tried."""
    alerts, answers = InMemoryAlerts(), iter([False, True])
    with pytest.raises(DrillUnfinishedError, match="the keys of site-n"):
        make_drill(world, alerts).drill_all(cursor=None, has_time=lambda: True, is_ending=lambda: next(answers))
    assert alerts.codes == ["key-drill-failed"]
    assert world.trail.actions["key.drill"] > 0
