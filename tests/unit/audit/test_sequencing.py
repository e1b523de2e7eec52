"""Whatever comes in, and wherever the sequencer dies: every event is in the log once, and no file is ever rewritten."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pqtransfer.audit.checkpoints import TrustPolicy, open_checkpoint
from pqtransfer.audit.errors import (
    DamagedTileError,
    ForkedStateError,
    LogMovedError,
    RolledBackStateError,
    TileMissingError,
)
from pqtransfer.audit.positions import GAPS_REMEMBERED, RECENT_EVENTS, Gap, Numbering, Placement, ProducerPosition
from pqtransfer.audit.sequencer import decode_files, encode_files
from pqtransfer.audit.sequencing import LogState, SequencedBatch
from pqtransfer.audit.tiles import BUNDLES, list_tiles, split_bundle
from pqtransfer.crypto.canonical_json import MalformedDocumentError
from tests.fakes.folders import Crash, FaultPlan
from tests.unit.audit.keys import LOG_POLICY, LOG_SIGNERS, ORIGIN, make_signer
from tests.unit.audit.samples import make_event
from tests.unit.audit.stores import MemoryDeployment
from tests.unit.audit.trees import hash_tree, make_log

NOW = 1_780_000_000


def make_entries(numbers: range | list[int], producer: str = "worker/a") -> list[bytes]:
    return [
        make_event(sequence=number, producer=producer, event_id=make_id(producer, number)).to_json()
        for number in numbers
    ]


def make_id(producer: str, number: int) -> str:
    return f"0198c0de-0000-7000-{sum(producer.encode()):04x}-{number:012x}"


def append(deployment: MemoryDeployment, entries: list[bytes]) -> SequencedBatch:
    return deployment.make_sequencer().append(entries, time_seconds=NOW)


def read_log(deployment: MemoryDeployment) -> list[bytes]:
    """The entries that the published checkpoint commits to; and the files are exactly those of that log."""
    assert deployment.log.checkpoint is not None
    checkpoint = open_checkpoint(deployment.log.checkpoint.data, LOG_POLICY).checkpoint
    bundles = [tile for tile in list_tiles(checkpoint.size) if tile.level == BUNDLES]
    entries = [
        entry
        for tile in bundles
        for entry in split_bundle(deployment.log.files[tile.path], path=tile.path, width=tile.width)
    ]
    assert checkpoint.root == hash_tree(entries)
    assert make_log(entries).items() <= deployment.log.files.items()
    return entries


@pytest.mark.requirement("D7.1", "N10")
def test_a_batch_is_appended_in_its_order() -> None:
    """Three producers, several tiles: entries, tiles and checkpoint are those of RFC 9162."""
    deployment = MemoryDeployment()
    entries = [*make_entries(range(1, 300)), *make_entries(range(1, 300), "worker/b"), *make_entries(range(1, 9), "c")]
    batch = append(deployment, entries)
    assert (batch.appended, batch.repeated, batch.refused, batch.gaps) == (606, 0, (), {})
    assert read_log(deployment) == entries


@settings(max_examples=12)
@given(st.lists(st.integers(min_value=1, max_value=300), min_size=1, max_size=5))
def test_a_log_is_the_same_however_it_is_cut_into_batches(sizes: list[int]) -> None:
    """The tiles of every step are among those of one step, or partial ones of their own size."""
    deployment = MemoryDeployment()
    entries, at = make_entries(range(1, sum(sizes) + 1)), 0
    for size in sizes:
        append(deployment, entries[at : at + size])
        at += size
        assert read_log(deployment) == entries[:at]


def test_what_came_before_is_not_appended_again() -> None:
    """At-least-once delivery: a whole batch, a part of it, the same event twice in a batch."""
    deployment = MemoryDeployment()
    entries = make_entries(range(1, 6))
    append(deployment, entries)
    batch = append(deployment, [*entries[2:], *make_entries([6, 6])])
    assert (batch.appended, batch.repeated, batch.refused) == (1, 4, ())
    assert read_log(deployment) == make_entries(range(1, 7))
    version = deployment.log.checkpoint
    assert append(deployment, entries).appended == 0
    assert deployment.log.checkpoint == version, "nothing new, nothing signed"


@pytest.mark.requirement("D7.5")
def test_a_gap_is_seen_and_can_still_be_filled() -> None:
    """A spool that is replayed late fills it; what stays missing is told each time."""
    deployment = MemoryDeployment()
    assert append(deployment, make_entries([1, 2, 5])).gaps == {"worker/a": (Gap(3, 4),)}
    batch = append(deployment, make_entries([9, 4]))
    assert (batch.appended, batch.gaps) == (2, {"worker/a": (Gap(3, 3), Gap(6, 8))})
    assert append(deployment, make_entries([3, 7])).gaps == {"worker/a": (Gap(6, 6), Gap(8, 8))}
    assert append(deployment, make_entries([6, 8])).gaps == {}
    assert read_log(deployment) == make_entries([1, 2, 5, 9, 4, 3, 7, 6, 8])


def test_the_first_event_of_a_producer_is_number_one() -> None:
    """Or something is missing before it."""
    assert append(MemoryDeployment(), make_entries([3])).gaps == {"worker/a": (Gap(1, 2),)}


@pytest.mark.requirement("D7.5")
def test_another_event_under_a_known_number_or_id_is_handed_back() -> None:
    """It is neither appended nor dropped without a word: somebody has to look at it."""
    deployment = MemoryDeployment()
    append(deployment, make_entries([1, 2]))
    other = make_event(sequence=2, event_id=make_id("worker/a", 2), actor="somebody-else").to_json()
    same_id = make_event(sequence=3, event_id=make_id("worker/a", 2)).to_json()
    batch = append(deployment, [other, same_id, *make_entries([3])])
    assert (batch.appended, [refusal.place for refusal in batch.refused]) == (1, [0, 1])
    assert "number 2" in batch.refused[0].reason
    assert read_log(deployment) == make_entries([1, 2, 3])


def test_an_event_too_old_to_compare_is_handed_back() -> None:
    """The position remembers so many events, and no more."""
    deployment = MemoryDeployment()
    entries = make_entries(range(1, RECENT_EVENTS + 3))
    append(deployment, entries)
    batch = append(deployment, entries)
    assert (batch.appended, batch.repeated, len(batch.refused)) == (0, RECENT_EVENTS, 2)
    assert "too old" in batch.refused[0].reason


def test_a_position_is_small_and_read_as_it_was_written() -> None:
    """However long its producer has been at work; and one that was cut is refused."""
    deployment = MemoryDeployment()
    append(deployment, make_entries(range(1, RECENT_EVENTS * 2)))
    stored = deployment.states.positions["worker/a"].model_dump_json()
    assert len(stored) < 20 * 1024
    assert ProducerPosition.model_validate_json(stored) == deployment.states.positions["worker/a"]
    with pytest.raises(ValidationError):
        ProducerPosition(recent=b"x")


def test_what_is_no_event_is_handed_back() -> None:
    """The others of its batch are appended."""
    deployment = MemoryDeployment()
    batch = append(deployment, [b"", *make_entries([1]), b"{}", bytes(70_000)])
    assert (batch.appended, [refusal.place for refusal in batch.refused]) == (1, [0, 2, 3])
    assert append(deployment, [b"{}"]).appended == 0


@given(st.lists(st.integers(min_value=1, max_value=40), max_size=60))
def test_numbers_come_once_in_any_order(numbers: list[int]) -> None:
    """A number is new exactly when it did not come before, and the gaps are what is missing."""
    numbering, seen = Numbering(), set[int]()
    for number in numbers:
        assert (numbering.add(number) is Placement.REPEATED) == (number in seen)
        seen.add(number)
    missing = {number for gap in numbering.gaps for number in range(gap.first, gap.last + 1)}
    assert missing == set(range(1, max(seen, default=0))) - seen


def test_gaps_that_are_remembered_are_bounded() -> None:
    """A producer that skips every second number costs no more than that; the oldest gaps cannot be filled any more."""
    numbering = Numbering()
    for number in range(2, 1000, 2):
        numbering.add(number)
    assert (len(numbering.gaps), numbering.forgotten) == (GAPS_REMEMBERED, 499 - GAPS_REMEMBERED)
    assert numbering.add(1) is Placement.REPEATED


@pytest.mark.requirement("N10")
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_a_sequencer_that_is_killed_anywhere_loses_and_repeats_nothing(after_effect: bool) -> None:
    """Killed at every call of every port; then the messages come again, in other batches, and all is as it should be.

    `MemoryLog` fails the test when a file would be written a second time with other bytes.
    """
    first, second = make_entries(range(1, 250)), make_entries(range(250, 530))
    for at in itertools.count():
        deployment = MemoryDeployment()
        append(deployment, first)
        plan = FaultPlan(at, after_effect=after_effect)
        try:
            deployment.make_sequencer(plan).append(second, time_seconds=NOW)
        except Crash:
            pass
        else:
            break
        redelivered = second[:150] if random.Random(at).random() < 0.5 else second
        batches = [redelivered, [*second[150:], *make_entries([530])]]
        assert [append(deployment, batch).refused for batch in batches] == [(), ()]
        assert read_log(deployment) == [*first, *second, *make_entries([530])]
    assert at > 10


def test_a_sequencer_that_is_killed_while_it_repairs_is_repaired_again() -> None:
    """Two crashes: one after the commit, one at every call of the next run."""
    entries = make_entries(range(1, 300))
    for at in itertools.count():
        deployment = MemoryDeployment()
        calls = FaultPlan()
        MemoryDeployment().make_sequencer(calls).append(entries, time_seconds=NOW)
        with pytest.raises(Crash):
            deployment.make_sequencer(FaultPlan(calls.calls.index("commit"), after_effect=True)).append(
                entries, time_seconds=NOW
            )
        try:
            deployment.make_sequencer(FaultPlan(at)).finish(time_seconds=NOW)
        except Crash:
            deployment.make_sequencer().finish(time_seconds=NOW)
        else:
            break
        assert read_log(deployment) == entries
    assert at > 5


def test_of_two_sequencers_one_wins_and_the_other_tries_again() -> None:
    """The loser has changed nothing, although it has staged its tiles."""
    deployment = MemoryDeployment()
    append(deployment, make_entries([1]))
    sequencer = deployment.make_sequencer()
    states = sequencer._states
    read = states.find_state

    def find_and_lose() -> LogState | None:
        state = read()
        append(deployment, make_entries([2]))
        return state

    sequencer._states = type(
        "Late", (), {"__getattr__": lambda _, name: getattr(states, name), "find_state": lambda _: find_and_lose()}
    )()
    with pytest.raises(LogMovedError):
        sequencer.append(make_entries([2, 3]), time_seconds=NOW)
    assert read_log(deployment) == make_entries([1, 2])
    batch = append(deployment, make_entries([2, 3]))
    assert (batch.appended, batch.repeated) == (1, 1)


def test_a_late_sequencer_does_not_publish_an_older_checkpoint() -> None:
    """It slept after its commit; another finished its work and went on."""
    deployment = MemoryDeployment()
    append(deployment, make_entries([1]))
    old = deployment.states.state
    append(deployment, make_entries([2]))
    newest = deployment.log.checkpoint
    assert old is not None
    deployment.make_sequencer()._publish(old, time_seconds=NOW)
    assert deployment.log.checkpoint == newest


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize("size", [None, 1, 299])
def test_a_state_that_was_set_back_is_not_signed_again(size: int | None) -> None:
    """Somebody with write access to the table: the log would fork, so the sequencer stops, by name."""
    deployment = MemoryDeployment()
    old = {}
    for numbers in ([1], range(2, 300), range(300, 310)):
        append(deployment, make_entries(numbers))
        assert deployment.states.state is not None
        old[deployment.states.state.size] = deployment.states.state
    deployment.states.state = old[size] if size else None
    for run in (
        lambda: append(deployment, make_entries([310])),
        lambda: deployment.make_sequencer().finish(time_seconds=NOW),
    ):
        with pytest.raises(RolledBackStateError, match="309"):
            run()


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize("size", [300, 310])
def test_a_state_of_another_history_is_not_signed(size: int) -> None:
    """Somebody with write access to everything puts another log's state, staged files and tiles in place."""
    deployment, other = MemoryDeployment(), MemoryDeployment()
    append(deployment, make_entries(range(1, 301)))
    append(other, make_entries(range(1, 301), "mallory"))
    if size > 300:
        append(other, make_entries(range(301, size + 1), "mallory"))
    deployment.states.state, deployment.log.staged = other.states.state, other.log.staged
    deployment.log.files = dict(other.log.files)
    before = deployment.log.checkpoint
    with pytest.raises(ForkedStateError, match="300"):
        append(deployment, make_entries([301]))
    assert deployment.log.checkpoint == before


def test_the_keys_of_a_log_can_be_replaced() -> None:
    """The last checkpoint under the former keys counts; the next one has the new ones; without them the log is lost."""
    deployment = MemoryDeployment()
    append(deployment, make_entries([1]))
    deployment.log.staged.clear()
    signers = [make_signer(ORIGIN, signer.key.kind, seed="new") for signer in LOG_SIGNERS]
    with pytest.raises(TileMissingError):
        deployment.make_sequencer(signers=signers).append(make_entries([2]), time_seconds=NOW)
    sequencer = deployment.make_sequencer(signers=signers, former_policies=[LOG_POLICY])
    sequencer.append(make_entries([2]), time_seconds=NOW)
    assert deployment.log.checkpoint is not None
    policy = TrustPolicy(ORIGIN, log_keys=tuple(signer.key for signer in signers))
    assert open_checkpoint(deployment.log.checkpoint.data, policy).checkpoint.size == 2


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize("path", ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"])
def test_nothing_is_appended_to_a_log_that_was_changed(path: str) -> None:
    """The right edge is checked before anything is built on it."""
    deployment = MemoryDeployment()
    append(deployment, make_entries(range(1, 301)))
    good = deployment.log.files[path]
    deployment.log.files[path] = good[:40] + bytes([good[40] ^ 1]) + good[41:] if len(good) > 40 else bytes(len(good))
    with pytest.raises(DamagedTileError):
        append(deployment, make_entries([301]))
    del deployment.log.files[path]
    with pytest.raises(TileMissingError):
        append(deployment, make_entries([301]))


def test_a_checkpoint_that_is_not_the_logs_is_replaced() -> None:
    """Vandalism at the published place is repaired with what the state says."""
    deployment = MemoryDeployment()
    append(deployment, make_entries([1]))
    good = deployment.log.checkpoint
    assert good is not None
    for data in (b"", b"nonsense", good.data.replace(b"\n1\n", b"\n7\n")):
        deployment.log.publish_checkpoint(data, etag=deployment.log.checkpoint.etag)  # type: ignore[union-attr]
        deployment.make_sequencer().finish(time_seconds=NOW)
        assert read_log(deployment) == make_entries([1])


def test_staged_files_are_read_as_they_were_written() -> None:
    """And a staged file that was cut is refused by name."""
    files = {"tile/0/000": b"", "tile/entries/000.p/1": b"x" * 300}
    data = encode_files(files)
    assert decode_files(data, name="staged") == files
    for damaged in (data[:-1], data[:-304], data + b"\0", data.replace(b"tile/0", b"\xff\xffle/0")):
        with pytest.raises(DamagedTileError):
            decode_files(damaged, name="staged")


def test_a_state_is_read_as_it_was_written() -> None:
    """And an empty one is a log without entries."""
    state = LogState(origin=ORIGIN)
    assert LogState.from_json(state.to_json()) == state
    assert state.checkpoint.size == 0
    for size, hashes in ((2, ""), (0, '"AAAA"'), (1, '"AAAA"')):
        data = f'{{"format":"pqtransfer-audit-state/1","hashes":[{hashes}],"origin":"o","size":{size}}}'
        with pytest.raises(MalformedDocumentError):
            LogState.from_json(data.encode())
    for data in ("{}", '{"format":"pqtransfer-audit-state/1","hashes":[],"origin":"a b","size":0}'):
        with pytest.raises(MalformedDocumentError):
            LogState.from_json(data.encode())
