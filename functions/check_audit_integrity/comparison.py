"""What readers of the files do not see: whether the sequencer's table and newest checkpoint fit what was verified."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy, open_checkpoint
from pqtransfer.audit.findings import Finding, FindingKind
from pqtransfer.audit.histories import compare_histories
from pqtransfer.audit.positions import Numbering, ProducerPosition
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.sequencing import LogState
from pqtransfer.audit.tiles import ReadTile
from pqtransfer.audit.verifier import name_distrust
from pqtransfer.errors import IntegrityError

UNWITNESSED, STATE = "unwitnessed", "state"
PRODUCERS_AT_ONCE = 90
STALE_AFTER = timedelta(minutes=10)
CLOCKS_DIFFER = timedelta(minutes=1)
"""The witness signs the time at which its run began, and may cosign what was written a moment later."""


class WrittenLog(Protocol):
    """The log as its sequencer writes it."""

    def read_tile(self, path: str) -> bytes: ...

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        """What the log has signed last."""

    def find_age(self, path: str) -> datetime | None:
        """When the file was written last; None when there is none."""

    def find_age_before(self, path: str, moment: datetime) -> datetime | None:
        """When the newest version that was written before this moment was written; None when there is none."""


class States(Protocol):
    """The sequencer's table."""

    def find_state(self) -> LogState | None: ...

    def read_positions(self, producers: Iterable[str]) -> Mapping[str, ProducerPosition]: ...


@dataclass(frozen=True)
class Comparison:
    """Compares by its ports. `now` tells what has been behind for too long."""

    log: WrittenLog
    states: States
    policy: TrustPolicy
    now: datetime

    def compare(
        self, verified: Checkpoint | None, numberings: Mapping[str, Numbering], *, witnessed_at: datetime | None
    ) -> Iterator[Finding]:
        """What does not fit the checkpoint that was verified before this is called, and the numbers up to there.

        `witnessed_at`: when a witness has cosigned that checkpoint.
        """
        published = None
        try:
            published = self.log.find_checkpoint()
            signed = None if published is None else open_checkpoint(published.data, self._log_policy).checkpoint
        except IntegrityError as error:
            note = published.data if published else b""
            yield name_distrust(note, self.policy, error, place=UNWITNESSED)
            return
        yield from self._compare_signed(verified, signed, witnessed_at)
        try:
            yield from self._compare_state(signed or verified)
            if verified is not None:
                yield from self._compare_positions(verified, numberings)
        except IntegrityError as error:
            yield Finding(FindingKind.STATE_CHANGED, STATE, explanation=str(error))

    @property
    def _log_policy(self) -> TrustPolicy:
        policy = self.policy
        return TrustPolicy(policy.origin, log_keys=policy.log_keys, former_log_keys=policy.former_log_keys)

    def _compare_signed(
        self, verified: Checkpoint | None, signed: Checkpoint | None, witnessed_at: datetime | None
    ) -> Iterator[Finding]:
        if signed is None:
            if verified is not None:
                yield Finding(FindingKind.CHECKPOINT_MISSING, UNWITNESSED, explanation="the log's own is not there")
            return
        if verified is not None:
            for finding in compare_histories(verified, signed, self._read_tile):
                place = UNWITNESSED if finding.place == "checkpoint" else finding.place
                yield Finding(finding.kind, place, finding.first, finding.last, finding.explanation)
        if (verified is None or verified.size < signed.size) and self._is_passed_over(witnessed_at):
            explanation = "the witness has not cosigned it for ten minutes"
            yield Finding(FindingKind.CHECKPOINT_STALE, "checkpoint", explanation=explanation)

    def _compare_state(self, signed: Checkpoint | None) -> Iterator[Finding]:
        """The state is read last, so it is the signed one, or goes on from it."""
        state = self.states.find_state()
        size = state.size if state else 0
        if signed is None:
            return
        if state is None or size < signed.size:
            explanation = f"it says {size} entries, and {signed.size} were signed: it was set back or removed"
            yield Finding(FindingKind.STATE_CHANGED, STATE, size, signed.size, explanation)
        elif size == signed.size and state.checkpoint != signed:
            explanation = "its hashes are not those of the checkpoint that was signed"
            yield Finding(FindingKind.STATE_CHANGED, STATE, size, None, explanation)
        elif size > signed.size and self._is_old(UNWITNESSED):
            explanation = f"{size - signed.size} entries were committed, and not signed for ten minutes"
            yield Finding(FindingKind.CHECKPOINT_STALE, UNWITNESSED, explanation=explanation)

    def _compare_positions(self, verified: Checkpoint, numberings: Mapping[str, Numbering]) -> Iterator[Finding]:
        """Positions move with the state: where that is the verified one before and after, so are they."""
        names = iter(sorted(numberings))
        while producers := list(islice(names, PRODUCERS_AT_ONCE)):
            before = self.states.find_state()
            positions = self.states.read_positions(producers)
            is_still = before == self.states.find_state() and before is not None and before.checkpoint == verified
            for producer in producers:
                last = positions[producer].last_sequence if producer in positions else 0
                expected = numberings[producer].last
                if last < expected:
                    explanation = f"the table says that {producer} has sent {last} events, and the log has {expected}"
                    yield Finding(FindingKind.STATE_CHANGED, producer, last, expected, explanation)
                elif last > expected and is_still:
                    explanation = "the table says that they were appended, and the log does not have them"
                    yield Finding(FindingKind.EVENTS_WITHHELD, producer, expected + 1, last, explanation)

    def _is_passed_over(self, witnessed_at: datetime | None) -> bool:
        """Whether something was signed more than ten minutes ago, and after what was cosigned last.

        The age of the newest one says nothing: on a busy log it is always young, however long nobody has witnessed.
        """
        written = self.log.find_age_before(UNWITNESSED, self.now - STALE_AFTER)
        return written is not None and (witnessed_at is None or written > witnessed_at + CLOCKS_DIFFER)

    def _is_old(self, path: str) -> bool:
        written = self.log.find_age(path)
        return written is not None and self.now - written > STALE_AFTER

    @property
    def _read_tile(self) -> ReadTile:
        return self.log.read_tile
