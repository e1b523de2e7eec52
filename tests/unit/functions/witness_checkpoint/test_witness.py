"""The witness's look at a log: what it shows, what it refuses, and what a death in between leaves."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from functions.witness_checkpoint.witness import Witness
from pqtransfer.audit.checkpoints import Checkpoint, open_checkpoint, sign_checkpoint
from pqtransfer.audit.errors import LogMovedError, RefusedCosignatureError, UntrustedCheckpointError
from pqtransfer.audit.sequencer import PublishedCheckpoint
from tests.fakes.alerts import InMemoryAlerts
from tests.fakes.folders import Crash, FaultPlan, Faulty
from tests.unit.audit.keys import LOG_POLICY, LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS, make_signer
from tests.unit.audit.samples import make_event
from tests.unit.audit.stores import MemoryDeployment

NOW = datetime.fromtimestamp(TIME_SECONDS, UTC)


class MemoryNote:
    """One place for a note, with compare-and-swap."""

    def __init__(self) -> None:
        self.note: PublishedCheckpoint | None = None

    def load(self) -> PublishedCheckpoint | None:
        return self.note

    def save(self, data: bytes, *, etag: str | None) -> None:
        if (self.note.etag if self.note else None) != etag:
            raise LogMovedError
        self.note = PublishedCheckpoint(data, f"{etag or ''}i")


class WitnessedDeployment(MemoryDeployment):
    """A log, the place of its witnessed checkpoint, and the witness's memory."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.shown, self.alerts = MemoryNote(), MemoryNote(), InMemoryAlerts()

    def read_tile(self, path: str) -> bytes:
        return self.log.read_tile(path)

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        return self.log.find_checkpoint()

    def find_witnessed(self) -> PublishedCheckpoint | None:
        return self.shown.load()

    def publish_witnessed(self, data: bytes, *, etag: str | None) -> None:
        self.shown.save(data, etag=etag)

    def look(self, plan: FaultPlan | None = None) -> Checkpoint | None:
        plan = plan or FaultPlan()
        return Witness(
            log=Faulty(self, plan),
            memory=Faulty(self.memory, plan),
            policy=LOG_POLICY,
            signers=WITNESS_SIGNERS,
            alerts=self.alerts,
            now=NOW,
        ).look()

    def read_shown(self) -> Checkpoint:
        assert self.shown.note is not None
        return open_checkpoint(self.shown.note.data, POLICY).checkpoint


@pytest.fixture
def deployment() -> WitnessedDeployment:
    deployment = WitnessedDeployment()
    write(deployment, 1, 300)
    return deployment


def write(deployment: MemoryDeployment, first: int, count: int) -> None:
    deployment.append([make_event(sequence=number).to_json() for number in range(first, first + count)])


def test_readers_see_what_both_have_signed(deployment: WitnessedDeployment) -> None:
    """And an empty log has nothing to show."""
    assert WitnessedDeployment().look() is None
    assert deployment.look() == deployment.read_shown()
    write(deployment, 301, 5)
    assert deployment.read_shown().size == 300
    deployment.look()
    assert deployment.read_shown().size == 305


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(8))
def test_a_witness_that_dies_anywhere_goes_on(deployment: WitnessedDeployment, at: int, after_effect: bool) -> None:
    """The next look finishes it; what was remembered is never forgotten."""
    deployment.look()
    write(deployment, 301, 5)
    with suppress(Crash):
        deployment.look(FaultPlan(at=at, after_effect=after_effect))
    deployment.look()
    assert deployment.read_shown().size == 305
    assert deployment.memory.note is not None
    assert deployment.shown.note is not None
    assert deployment.memory.note.data == deployment.shown.note.data


@pytest.mark.requirement("D7.5", "N6")
def test_a_checkpoint_that_was_rolled_back_is_shown_again(deployment: WitnessedDeployment) -> None:
    """Whatever somebody shows instead."""
    deployment.look()
    old = deployment.shown.note
    write(deployment, 301, 5)
    deployment.look()
    for vandalism in (old, PublishedCheckpoint(b"nonsense", "x"), None):
        deployment.shown.note = vandalism
        deployment.look()
        assert deployment.read_shown().size == 305
    assert deployment.alerts.raised == []


@pytest.mark.requirement("D7.5", "N6", "S4.7")
@pytest.mark.parametrize("size", [299, 300, 310])
def test_another_history_is_refused_and_told(deployment: WitnessedDeployment, size: int) -> None:
    """Even when the log's own keys have signed it. Readers keep seeing the one before."""
    deployment.look()
    other = WitnessedDeployment()
    other.append([make_event(sequence=number, actor="mallory").to_json() for number in range(1, size + 1)])
    deployment.log = other.log
    with pytest.raises(RefusedCosignatureError):
        deployment.look()
    assert deployment.alerts.codes == ["audit-witness-refused"]
    assert deployment.read_shown().size == 300


def test_what_the_log_did_not_sign_is_refused_and_told(deployment: WitnessedDeployment) -> None:
    """A checkpoint under other keys."""
    deployment.look()
    signers = [make_signer(ORIGIN, signer.key.kind, seed="other") for signer in LOG_SIGNERS]
    note = sign_checkpoint(deployment.read_shown(), signers, time_seconds=TIME_SECONDS).to_bytes()
    deployment.log.checkpoint = PublishedCheckpoint(note, "e9")
    with pytest.raises(UntrustedCheckpointError):
        deployment.look()
    assert deployment.alerts.codes == ["audit-witness-refused"]
