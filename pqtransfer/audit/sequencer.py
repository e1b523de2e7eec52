"""Appends batches to the log through ports, so that a crash between any two calls loses and repeats nothing.

1. The new tiles are staged under a name that holds the new size and root, so two attempts never overwrite each other.
2. State and positions are moved by compare-and-swap: from here on the batch is in the log.
3. The tiles are written to their places, and the checkpoint is signed and published.
Whoever comes next finds a checkpoint that is not the state's, and does 3 again from what was staged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy, open_checkpoint, sign_checkpoint
from pqtransfer.audit.errors import DamagedTileError, ForkedStateError, LogMovedError, RolledBackStateError
from pqtransfer.audit.histories import compare_histories
from pqtransfer.audit.note_keys import NoteSigner
from pqtransfer.audit.positions import ProducerPosition
from pqtransfer.audit.sequencing import LogState, SequencedBatch, read_batch, read_edge, sequence_batch
from pqtransfer.errors import IntegrityError

LENGTH_BYTES = 4


@dataclass(frozen=True)
class PublishedCheckpoint:
    """The checkpoint that readers see, and the version of the object that it stands in."""

    data: bytes
    etag: str


class LogStore(Protocol):
    """Where the files of the log stand."""

    def read_tile(self, path: str) -> bytes:
        """
        Raises:
            TileMissingError: nothing is there.
        """

    def write_tile(self, path: str, data: bytes) -> None:
        """Write a file once. The same bytes again are no error."""

    def stage(self, name: str, data: bytes) -> None:
        """Keep the files of a batch until they are in their places. The same name has the same bytes."""

    def read_staged(self, name: str) -> bytes:
        """
        Raises:
            TileMissingError: nothing is there.
        """

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        """The checkpoint that is published, if there is one."""

    def publish_checkpoint(self, data: bytes, *, etag: str | None) -> None:
        """Replace the checkpoint that has this etag; None: there is none.

        Raises:
            LogMovedError: another one is there.
        """


class StateStore(Protocol):
    """The one place that says where the log stands."""

    def find_state(self) -> LogState | None: ...

    def read_positions(self, producers: Iterable[str]) -> Mapping[str, ProducerPosition]:
        """The positions of those producers that have one."""

    def commit(self, *, expected: LogState | None, state: LogState, positions: Mapping[str, ProducerPosition]) -> None:
        """Move state and positions together, or not at all.

        Raises:
            LogMovedError: the state is not the expected one any more.
        """


class Sequencer:
    """The one writer of a log. A second one at the same time does no harm: one of the two has to try again."""

    def __init__(
        self,
        origin: str,
        *,
        log: LogStore,
        states: StateStore,
        signers: Sequence[NoteSigner],
        former_policies: Sequence[TrustPolicy] = (),
    ) -> None:
        """
        Args:
            origin: the name of the log.
            log: its files.
            states: where it stands.
            signers: its keys, all of which sign.
            former_policies: the keys that it had before, under which its last checkpoint may still be signed.
        """
        self._origin = origin
        self._log = log
        self._states = states
        self._signers = signers
        self._policies = [TrustPolicy(origin, log_keys=tuple(signer.key for signer in signers)), *former_policies]

    def append(self, entries: Sequence[bytes], *, time_seconds: int) -> SequencedBatch:
        """Append a batch. When this returns, what it says is durable, and the messages may be deleted.

        Args:
            entries: events as bytes.
            time_seconds: POSIX time, for the checkpoint's signatures.

        Raises:
            LogMovedError: another sequencer was faster. Try again; what was appended all the same counts as repeated.
            TileMissingError, DamagedTileError, RolledBackStateError, ForkedStateError: somebody else changed the log;
                nothing was appended.
        """
        known = self._states.find_state()
        state = known or LogState(origin=self._origin)
        self._finish(state, time_seconds=time_seconds)
        incoming = read_batch(entries)
        positions = self._states.read_positions(incoming.producers)
        edge = read_edge(state, self._log.read_tile)
        batch = sequence_batch(state, edge, incoming, positions=positions)
        if batch.appended:
            self._log.stage(name_staged(batch.state), encode_files(batch.files))
            self._states.commit(expected=known, state=batch.state, positions=batch.positions)
            self._write(batch.files)
            self._publish(batch.state, time_seconds=time_seconds)
        return batch

    def finish(self, *, time_seconds: int) -> None:
        """Do what an earlier run did not come to. Safe at any time."""
        self._finish(self._states.find_state() or LogState(origin=self._origin), time_seconds=time_seconds)

    def _finish(self, state: LogState, *, time_seconds: int) -> None:
        signed = self._read_signed()
        if signed is not None and signed.size > state.size:
            if (self._states.find_state() or LogState(origin=self._origin)) != state:
                raise LogMovedError
            raise RolledBackStateError(state.size, signed.size)
        if state.size and signed != state.checkpoint:
            files = decode_files(self._log.read_staged(name_staged(state)), name=name_staged(state))
            if signed is not None:
                self._require_continuation(signed, state, files)
            self._write(files)
            self._publish(state, time_seconds=time_seconds)

    def _require_continuation(self, signed: Checkpoint, state: LogState, files: Mapping[str, bytes]) -> None:
        """Never sign two histories, whatever somebody has written into the state and the staged files."""

        def read(path: str) -> bytes:
            return files[path] if path in files else self._log.read_tile(path)

        if compare_histories(signed, state.checkpoint, read):
            raise ForkedStateError(state.size, signed.size)

    def _read_signed(self) -> Checkpoint | None:
        """The published checkpoint, if this log signed it. Whatever else stands there is replaced."""
        published = self._log.find_checkpoint()
        if published is None:
            return None
        for policy in self._policies:
            with suppress(IntegrityError):
                return open_checkpoint(published.data, policy).checkpoint
        return None

    def _write(self, files: Mapping[str, bytes]) -> None:
        for path, data in files.items():
            self._log.write_tile(path, data)

    def _publish(self, state: LogState, *, time_seconds: int) -> None:
        """Only what is still the state: a sequencer that slept must not put an older checkpoint over a newer one."""
        published = self._log.find_checkpoint()
        if self._states.find_state() != state:
            return
        note = sign_checkpoint(state.checkpoint, self._signers, time_seconds=time_seconds)
        self._log.publish_checkpoint(note.to_bytes(), etag=published.etag if published else None)


def name_staged(state: LogState) -> str:
    """Where the files of the batch that led to this state are staged."""
    return f"staged/{state.size}-{state.checkpoint.root.hex()}"


def encode_files(files: Mapping[str, bytes]) -> bytes:
    """Paths and contents, each after its length in four bytes, big-endian."""
    return b"".join(
        len(part).to_bytes(LENGTH_BYTES, "big") + part for path, data in files.items() for part in (path.encode(), data)
    )


def decode_files(data: bytes, *, name: str) -> dict[str, bytes]:
    """Inverse of `encode_files`.

    Raises:
        DamagedTileError: it ends within a file.
    """
    parts = list(_split(data, name))
    if len(parts) % 2:
        raise DamagedTileError(name, "it ends within a file")
    try:
        return {path.decode("ascii"): content for path, content in zip(parts[::2], parts[1::2], strict=True)}
    except UnicodeDecodeError:
        raise DamagedTileError(name, "a path in it is none") from None


def _split(data: bytes, name: str) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        start = at + LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data):
            raise DamagedTileError(name, "it ends within a file")
        yield data[start:at]
