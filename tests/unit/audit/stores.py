"""A log and its state in memory, keeping what the ports promise: files are written once, moves are compare-and-swap."""

from collections.abc import Iterable, Mapping, Sequence

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.errors import LogMovedError, TileMissingError
from pqtransfer.audit.note_keys import NoteSigner
from pqtransfer.audit.positions import ProducerPosition
from pqtransfer.audit.sequencer import PublishedCheckpoint, Sequencer
from pqtransfer.audit.sequencing import LogState
from tests.fakes.folders import FaultPlan, Faulty
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN


class MemoryLog:
    """The files of a log. A file that is written twice with different bytes fails the test."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.staged: dict[str, bytes] = {}
        self.checkpoint: PublishedCheckpoint | None = None

    def read_tile(self, path: str) -> bytes:
        if path not in self.files:
            raise TileMissingError(path)
        return self.files[path]

    def write_tile(self, path: str, data: bytes) -> None:
        assert self.files.setdefault(path, data) == data, f"{path} is written with other bytes"

    def stage(self, name: str, data: bytes) -> None:
        assert self.staged.setdefault(name, data) == data, f"{name} is staged with other bytes"

    def read_staged(self, name: str) -> bytes:
        if name not in self.staged:
            raise TileMissingError(name)
        return self.staged[name]

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        return self.checkpoint

    def publish_checkpoint(self, data: bytes, *, etag: str | None) -> None:
        if (self.checkpoint.etag if self.checkpoint else None) != etag:
            raise LogMovedError
        self.checkpoint = PublishedCheckpoint(data, f"e{int(etag[1:]) + 1}" if etag else "e1")


class MemoryStates:
    """State and positions, moved together."""

    def __init__(self) -> None:
        self.state: LogState | None = None
        self.positions: dict[str, ProducerPosition] = {}

    def find_state(self) -> LogState | None:
        return self.state

    def read_positions(self, producers: Iterable[str]) -> Mapping[str, ProducerPosition]:
        return {producer: self.positions[producer] for producer in producers if producer in self.positions}

    def commit(self, *, expected: LogState | None, state: LogState, positions: Mapping[str, ProducerPosition]) -> None:
        if self.state != expected:
            raise LogMovedError
        self.state = LogState.from_json(state.to_json())
        self.positions |= {
            name: ProducerPosition.model_validate_json(position.model_dump_json())
            for name, position in positions.items()
        }


class MemoryDeployment:
    """A log, its state, and sequencers on them that can be killed."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.states = MemoryStates()

    def make_sequencer(
        self,
        plan: FaultPlan | None = None,
        *,
        signers: Sequence[NoteSigner] = LOG_SIGNERS,
        former_policies: Sequence[TrustPolicy] = (),
    ) -> Sequencer:
        plan = plan or FaultPlan()
        log, states = Faulty(self.log, plan), Faulty(self.states, plan)
        return Sequencer(ORIGIN, log=log, states=states, signers=signers, former_policies=former_policies)

    def append(self, entries: Sequence[bytes], *, time_seconds: int = 1_780_000_000) -> None:
        self.make_sequencer().append(entries, time_seconds=time_seconds)
