"""Transfers that stand still are seen, told once for the fleet, and over when somebody goes on with them."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from functions.process_alerts.watching import HUNG, LOOKED_AT, STALLED, STALLED_AFTER, TOLD_AT_MOST, StallWatch
from pqtransfer.operations.recovery import RecoveryKind
from pqtransfer.transfers.ledger import Progress, TransferState
from pqtransfer.transfers.request import TransferRequest
from tests.fakes.ledgers import InMemoryLedger
from tests.unit.functions.process_alerts.world import World
from tests.unit.operations.alert_samples import NOW, after

LEASE = timedelta(seconds=60)


def claim(ledger: InMemoryLedger, number: int, *, owner: str, at: datetime = NOW, kind: str = "encrypt") -> Any:
    transfer_id = f"0198c0de-0000-7000-8000-{number:012}"
    ledger.submit(
        TransferRequest(
            transfer_id=transfer_id,
            kind=kind,
            source=None if kind == "upload" else "s3://site/model",
            sender="alice",
            recipients=("bob",),
            correlation_id="c-1",
        ),
        at=at,
    )
    return ledger.claim(transfer_id, owner=owner, at=at, lease_expires_at=at + LEASE)


@pytest.fixture
def world() -> World:
    made = World()
    made.ledger = InMemoryLedger()  # type: ignore[attr-defined]
    made.watch = StallWatch(made.ledger)  # type: ignore[assignment, attr-defined]
    return made


@pytest.mark.requirement("D3.5")
def test_a_worker_without_heartbeat_is_replaced_and_its_transfer_restarted(world: World) -> None:
    """Both are tried, people hear of it once; and it is over when another worker has the transfer."""
    claim(world.ledger, 1, owner="ip-10-40-1-2-1")  # type: ignore[attr-defined]
    world.run_until(after(minutes=5))
    assert world.store.records == {}
    world.run_until(after(minutes=6))
    tried = dict(world.recoverer.done)
    assert tried == {
        RecoveryKind.RESTART_TRANSFER: "0198c0de-0000-7000-8000-000000000001",
        RecoveryKind.REPLACE_TASK: "ip-10-40-1-2-1",
    }
    assert world.sender.kinds() == ["raised"]
    transfer_id = "0198c0de-0000-7000-8000-000000000001"
    world.ledger.claim(transfer_id, owner="b", at=world.at, lease_expires_at=world.at + LEASE)  # type: ignore[attr-defined]
    world.run_until(world.at + timedelta(minutes=1))
    assert world.sender.kinds() == ["raised", "resolved"]


def test_many_are_one_alert(world: World) -> None:
    """When no worker works at all, the first few are named, and looking again counts none of them twice."""
    for number in range(100):
        claim(world.ledger, number, owner=f"w-{number}")  # type: ignore[attr-defined]
    world.run_until(NOW + LEASE + STALLED_AFTER + timedelta(minutes=3))
    record = world.store.only
    assert len(record.members) == 2 * TOLD_AT_MOST
    assert {each.count for each in record.members} == {1}
    assert world.sender.kinds()[0] == "raised"
    assert "raised" not in world.sender.kinds()[1:]


def test_what_goes_on_or_has_ended_is_left_alone(world: World) -> None:
    """A lease that holds, a transfer that waits, one that is done."""
    lease = claim(world.ledger, 1, owner="a")  # type: ignore[attr-defined]
    world.ledger.cancel(lease.transfer_id, at=NOW)  # type: ignore[attr-defined]
    claim(world.ledger, 2, owner="b", at=after(hours=1))  # type: ignore[attr-defined]
    seen = StallWatch(world.ledger).look(at=after(hours=1), alerts=[])  # type: ignore[attr-defined]
    assert seen == []
    assert world.ledger.get(lease.transfer_id).state is TransferState.CANCELLED  # type: ignore[attr-defined]


def test_a_worker_that_gave_its_transfer_back_does_not_hang(world: World) -> None:
    """Nobody goes on with the transfer, which is told and tried; the worker is well and is left alone."""
    lease = claim(world.ledger, 1, owner="ip-10-40-1-2-1")  # type: ignore[attr-defined]
    world.ledger.release(lease, at=after(seconds=20), error=None, progress=Progress())  # type: ignore[attr-defined]
    world.run_until(after(minutes=10))
    assert {each.code for each in world.store.only.members} == {STALLED}
    assert {kind for kind, _ in world.recoverer.done} == {RecoveryKind.RESTART_TRANSFER}


def test_an_upload_that_a_site_gave_up_is_nothing_of_the_fleet(world: World) -> None:
    """Its host claims it for itself: no worker can go on with it, and none hangs."""
    claim(world.ledger, 1, owner="site-1", kind="upload")  # type: ignore[attr-defined]
    world.run_until(after(hours=1))
    assert world.store.records == {}


def test_what_has_stood_still_longest_is_seen_among_many(world: World) -> None:
    """However many were submitted after it, and however many uploads before it."""
    ledger: InMemoryLedger = world.ledger  # type: ignore[attr-defined]
    for number in range(LOOKED_AT):
        claim(ledger, number, owner="site", at=after(minutes=-10), kind="upload")
    claim(ledger, LOOKED_AT, owner="w-old")
    for number in range(LOOKED_AT):
        claim(ledger, LOOKED_AT + 1 + number, owner="w-new", at=after(minutes=9))
    seen = StallWatch(ledger).look(at=after(minutes=10), alerts=[])
    assert [(each.code, each.details.get("worker")) for each in seen] == [(STALLED, None), (HUNG, "w-old")]
