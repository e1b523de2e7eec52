"""A witness signs one history only."""

from dataclasses import replace

import pytest

from pqtransfer.audit.checkpoints import Checkpoint, open_checkpoint, sign_checkpoint
from pqtransfer.audit.errors import (
    DamagedTileError,
    RefusedCosignatureError,
    TileMissingError,
    UntrustedCheckpointError,
)
from pqtransfer.audit.tiles import ReadTile
from pqtransfer.audit.tree import EMPTY_ROOT
from pqtransfer.audit.witnessing import Cosigned, witness_checkpoint
from tests.unit.audit.keys import LOG_POLICY, LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS, make_signer
from tests.unit.audit.trees import hash_tree, make_entries, make_log, make_reader

ENTRIES = make_entries(600)
READ = make_reader(make_log(ENTRIES[:300]) | make_log(ENTRIES))


def make_checkpoint(size: int, entries: list[bytes] = ENTRIES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, hash_tree(entries[:size]))


def witness(shown: Checkpoint, last: Checkpoint | None, read_tile: ReadTile = READ) -> Cosigned:
    data = sign_checkpoint(shown, LOG_SIGNERS, time_seconds=TIME_SECONDS).to_bytes()
    return witness_checkpoint(
        data, policy=LOG_POLICY, last=last, read_tile=read_tile, signers=WITNESS_SIGNERS, time_seconds=TIME_SECONDS + 9
    )


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize(
    "last", [None, make_checkpoint(0), make_checkpoint(1), make_checkpoint(300), make_checkpoint(600)]
)
def test_what_continues_the_last_checkpoint_is_cosigned(last: Checkpoint | None) -> None:
    """From nothing, from any earlier size, and the same one again; a reader that asks for the witness believes it."""
    cosigned = witness(make_checkpoint(600), last)
    assert cosigned.checkpoint == make_checkpoint(600)
    signed = open_checkpoint(cosigned.note.to_bytes(), POLICY)
    assert signed.witness_times == {"witness.example/w1": TIME_SECONDS + 9}


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize(
    ("last", "finding"),
    [
        (make_checkpoint(300, [*make_entries(299), b"other"]), "split-view"),
        (make_checkpoint(600, [b"other", *ENTRIES[1:]]), "split-view"),
        (replace(make_checkpoint(300), origin="another.example/log"), "tree-replaced"),
    ],
)
def test_another_history_is_not_cosigned(last: Checkpoint, finding: str) -> None:
    """However well the log has signed it."""
    with pytest.raises(RefusedCosignatureError, match=finding):
        witness(make_checkpoint(600), last)


@pytest.mark.requirement("D7.5", "N6")
def test_a_shorter_log_is_not_cosigned() -> None:
    """Neither one that was cut, nor an empty one."""
    for size in (300, 0):
        with pytest.raises(RefusedCosignatureError, match="log-rolled-back"):
            witness(make_checkpoint(size), make_checkpoint(600))


def test_a_checkpoint_without_its_tiles_is_not_cosigned() -> None:
    """What is not there cannot be checked; what is damaged neither."""
    with pytest.raises(TileMissingError):
        witness(make_checkpoint(600), None, make_reader({}))
    with pytest.raises(DamagedTileError):
        witness(make_checkpoint(600, [*ENTRIES[:-1], b"other"]), None)


def test_a_checkpoint_that_the_log_did_not_sign_is_not_cosigned() -> None:
    """A stranger's keys under the log's name."""
    strangers = [make_signer(ORIGIN, signer.key.kind, seed="stranger") for signer in LOG_SIGNERS]
    data = sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), strangers, time_seconds=TIME_SECONDS).to_bytes()
    with pytest.raises(UntrustedCheckpointError):
        witness_checkpoint(data, policy=LOG_POLICY, last=None, read_tile=READ, signers=[], time_seconds=TIME_SECONDS)
