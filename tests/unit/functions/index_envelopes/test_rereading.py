"""All containers are read again before a key is destroyed: in pieces, whoever dies; lost rows come back."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from functions.index_envelopes.backfill import Backfill, BackfillReport
from functions.index_envelopes.rereading import Rereading, RereadReport
from pqtransfer.aws.failures import CloudAccessDeniedError
from pqtransfer.crypto.envelope import MAXIMUM_EPOCH, seal_envelope
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import UnavailableError
from pqtransfer.keys.dependents import DependentsUnknownError
from pqtransfer.transfers.dependencies import Dependency, KeyRole
from pqtransfer.transfers.folder import ENVELOPE_NAME, Document
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID, make_container, make_identity
from tests.fakes.crashes import CrashError, CrashingPort
from tests.fakes.dependencies import InMemoryDependencyIndex
from tests.fakes.folders import InMemoryFolder
from tests.unit.functions.index_envelopes.test_index_envelopes import BOB, OldContainers

pytestmark = pytest.mark.requirement("D4.3")

RETIRED_AT = datetime(2026, 3, 1, tzinfo=UTC)
LATER = RETIRED_AT + timedelta(hours=1)
EVERY = timedelta(hours=24)
WRITES = frozenset({"note", "forget", "write_pass", "end_pass"})


def rereading(index: Any, containers: OldContainers, **named: Any) -> Rereading:
    return Rereading(index=index, containers=containers, every=EVERY, **named)


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.index_envelopes.reading.CONTAINERS_AT_A_TIME", 1)
    monkeypatch.setattr("functions.index_envelopes.reading.THREADS", 1)


def test_a_row_that_was_lost_keeps_its_key() -> None:
    """The index has no row for an envelope that stands in the bucket: nobody says no before it was read again, and then
    the answer is yes."""
    index, containers = InMemoryDependencyIndex(), OldContainers(TRANSFER_ID)
    for before in (None, RETIRED_AT - timedelta(hours=2), RETIRED_AT):
        index.reread = before
        with pytest.raises(DependentsUnknownError):
            index.has_dependents(BOB, since=RETIRED_AT)
    index.reread = None
    assert rereading(index, containers).run(now=LATER, seconds=60) == RereadReport(ended=True, read=1)
    assert index.has_dependents(BOB, since=RETIRED_AT)
    assert not index.has_dependents("aa" * 32, since=RETIRED_AT)


@pytest.mark.parametrize("forged", [TRANSFER_ID, OTHER_TRANSFER_ID])
def test_an_envelope_that_somebody_else_put_there_takes_no_row_away(forged: str) -> None:
    """Signed by a key of their own, of the last epoch that there is, of this transfer or of another one."""
    index, containers = InMemoryDependencyIndex(), OldContainers(TRANSFER_ID)
    rereading(index, containers).run(now=RETIRED_AT, seconds=60)
    rows = set(index.rows)
    mallory = make_identity("mallory")
    envelope = seal_envelope(
        SecretBytes(bytes(32)),
        suite_id="PQT-1",
        transfer_id=forged,
        floe_header=SignedManifest.from_json(make_container(b"model").manifest_json).body.floe_header,
        recipients=[mallory.kem.public_key],
        signer="mallory",
        signing_key=mallory.signing,
        epoch=MAXIMUM_EPOCH,
    )
    containers.folders[TRANSFER_ID].put(ENVELOPE_NAME, envelope.to_json())
    report = rereading(index, containers).run(now=LATER + EVERY, seconds=60)
    assert report == RereadReport(ended=True, read=1, damaged=int(forged != TRANSFER_ID))
    assert index.rows >= rows
    assert index.has_dependents(BOB, since=RETIRED_AT)


class Denied(InMemoryFolder):
    """A container that nobody may read."""

    def read_document(self, name: str, *, limit_bytes: int) -> Document:
        raise CloudAccessDeniedError(f"{name} may not be read, nor {limit_bytes} of it", aws_code="AccessDenied")


class Down(InMemoryFolder):
    """A container that does not answer."""

    def read_document(self, name: str, *, limit_bytes: int) -> Document:
        raise UnavailableError(f"{name} does not come, nor {limit_bytes} of it")


def of_unknown_suite() -> InMemoryFolder:
    folder = InMemoryFolder()
    folder.put(ENVELOPE_NAME, make_container(b"model").envelope_json.replace(b'"PQT-1"', b'"PQT-9"'))
    return folder


@pytest.mark.parametrize("make", [of_unknown_suite, Denied])
def test_a_container_that_cannot_be_read_does_not_hold_up_the_pass(make: Callable[[], InMemoryFolder]) -> None:
    """Of a suite that nobody knows, or denied: it is counted, its rows stay, and the pass comes to its end."""
    index, containers = InMemoryDependencyIndex(complete=False), OldContainers(TRANSFER_ID, OTHER_TRANSFER_ID)
    row = Dependency(key_id=BOB, role=KeyRole.RECIPIENT, transfer_id=TRANSFER_ID, epoch=1)
    index.note([row])
    containers.folders[TRANSFER_ID] = make()
    backfilled = Backfill(index=index, containers=containers).run(now=LATER, seconds=60)
    assert backfilled == BackfillReport(complete=True, read=2, damaged=1)
    report = rereading(index, containers).run(now=LATER, seconds=60)
    assert report == RereadReport(ended=True, read=2, damaged=1)
    assert row in index.rows


def test_a_pass_does_not_end_without_what_does_not_answer() -> None:
    """That is no damage: the next run tries again."""
    index, containers = InMemoryDependencyIndex(), OldContainers(TRANSFER_ID)
    containers.folders[TRANSFER_ID] = Down()
    with pytest.raises(UnavailableError):
        rereading(index, containers).run(now=LATER, seconds=60)
    assert index.read_reread() is None


def test_a_pass_is_made_in_pieces() -> None:
    """Each container once a pass, from where the last run ended; the next pass begins when its time has come."""
    index, containers = InMemoryDependencyIndex(), OldContainers(TRANSFER_ID, OTHER_TRANSFER_ID)
    clock = count()
    slow = rereading(index, containers, monotonic=lambda: float(next(clock)))
    assert slow.run(now=LATER, seconds=0) == RereadReport(read=1)
    assert index.read_reread() is None
    assert slow.run(now=LATER + EVERY, seconds=0) == RereadReport(read=1)
    assert slow.run(now=LATER + EVERY, seconds=60) == RereadReport(ended=True)
    assert set(containers.opened) == {TRANSFER_ID, OTHER_TRANSFER_ID}
    assert index.read_reread() == LATER  # when it began, not when it ended
    assert slow.run(now=LATER + EVERY - timedelta(seconds=1), seconds=60) == RereadReport(waiting=True)
    assert slow.run(now=LATER + EVERY, seconds=60) == RereadReport(ended=True, read=2)
    assert index.read_reread() == LATER + EVERY


def test_a_clock_that_was_ahead_holds_no_pass_up() -> None:
    """The last one seems to begin in the future: another is made, and what was said of it before stays."""
    index = InMemoryDependencyIndex()
    index.reread = LATER + timedelta(days=300)
    assert rereading(index, OldContainers(TRANSFER_ID)).run(now=LATER, seconds=60).ended


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at_write", range(1, 8))
def test_killed_at_any_write(at_write: int, after_effect: bool) -> None:
    """The next run ends the pass; never is a pass said to have ended that has left out a container."""
    index, containers = InMemoryDependencyIndex(), OldContainers(TRANSFER_ID, OTHER_TRANSFER_ID)
    port = CrashingPort(index, [at_write], after_effect=after_effect, writes=WRITES)
    with suppress(CrashError):
        rereading(port, containers).run(now=LATER, seconds=60)
    if index.read_reread() is not None:
        assert {row.transfer_id for row in index.rows} == {TRANSFER_ID, OTHER_TRANSFER_ID}
    rereading(index, containers).run(now=LATER, seconds=60)
    assert index.read_reread() == LATER
    assert {row.transfer_id for row in index.rows} == {TRANSFER_ID, OTHER_TRANSFER_ID}


def test_a_damaged_container_does_not_hold_up_the_others() -> None:
    """Nobody can open it; its rows stay, and it is counted."""
    index, containers = InMemoryDependencyIndex(), OldContainers(TRANSFER_ID, OTHER_TRANSFER_ID)
    row = Dependency(key_id=BOB, role=KeyRole.RECIPIENT, transfer_id=TRANSFER_ID, epoch=1)
    index.note([row])
    containers.folders[TRANSFER_ID].put(ENVELOPE_NAME, b"{}")
    report = rereading(index, containers).run(now=LATER, seconds=60)
    assert report == RereadReport(ended=True, read=2, damaged=1)
    assert row in index.rows
