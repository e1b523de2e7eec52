"""A proof stands alone: with the public keys, anyone can check it, and a changed one never holds."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.audit.checkpoints import Checkpoint, cosign, sign_checkpoint
from pqtransfer.audit.errors import InvalidProofError, MalformedProofError
from pqtransfer.audit.proofs import PROOF_LIMIT_BYTES, EntryProof, prove_entry
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.errors import IntegrityError
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS
from tests.unit.audit.trees import hash_tree, make_entries, make_log, make_reader

SIZE = 700
CHECKPOINT = Checkpoint(ORIGIN, SIZE, hash_tree(make_entries(SIZE)))


@cache
def make_note() -> bytes:
    note = sign_checkpoint(CHECKPOINT, LOG_SIGNERS, time_seconds=TIME_SECONDS)
    return cosign(note, WITNESS_SIGNERS, time_seconds=TIME_SECONDS).to_bytes()


@cache
def make_tree() -> TiledTree:
    return TiledTree(CHECKPOINT, make_reader(make_log(make_entries(SIZE))))


def make_proof(index: int) -> EntryProof:
    return prove_entry(make_entries(SIZE)[index], index, tree=make_tree(), checkpoint_note=make_note())


@pytest.mark.requirement("D7.5", "N6")
@settings(max_examples=30)
@given(st.integers(min_value=0, max_value=SIZE - 1))
def test_any_entry_can_be_proven(index: int) -> None:
    """The file is read as it was written, and says which checkpoint it was checked against."""
    data = make_proof(index).to_bytes()
    proof = EntryProof.from_bytes(data)
    assert proof.to_bytes() == data
    assert proof.check(POLICY).checkpoint == CHECKPOINT
    assert (proof.entry, proof.index) == (b"entry %d" % index, index)


def test_the_file_is_laid_out_as_specified() -> None:
    """C2SP tlog-proof: header, extra data, index, path, an empty line, the checkpoint to the byte."""
    proof = make_proof(699)
    head, _, note = proof.to_bytes().partition(b"\n\n")
    lines = head.decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra ZW50cnkgNjk5", "index 699"]
    assert (len(lines) - 3, note) == (len(proof.path), make_note())


def test_a_changed_proof_does_not_hold() -> None:
    """Another entry, number, path or checkpoint."""
    proof = make_proof(5)
    changed = [
        replace(proof, entry=b"entry 6"),
        replace(proof, index=6),
        replace(proof, index=SIZE),
        replace(proof, path=proof.path[1:]),
        replace(proof, path=proof.path[::-1]),
        replace(proof, path=make_proof(6).path),
    ]
    for each in changed:
        with pytest.raises(InvalidProofError):
            EntryProof.from_bytes(each.to_bytes()).check(POLICY)
    other = replace(proof, checkpoint_note=make_note().replace(b"\n700\n", b"\n701\n"))
    with pytest.raises(IntegrityError, match="does not hold"):
        other.check(POLICY)


GOOD = make_proof(5).to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", GOOD[:20], GOOD.replace(b"@v1", b"@v2"), GOOD.replace(b"extra ", b"more "), GOOD[23:],
        GOOD.replace(b"index 5", b"index 05"), GOOD.replace(b"index 5", b"index -5"), GOOD.replace(b"index 5\n", b""),
        GOOD.replace(b"index 5\n", b"index 5\nAAAA\n"),
        GOOD.replace(b"index 5\n", b"index 5\n" + b"A" * 43 + b"=\n" * 99),
        GOOD.replace(b"extra ZW", b"extra Z-"), GOOD.replace(b"extra ZW50cnkgNQ==", b"extra ZW50cnkgNR=="),
        GOOD.replace(b"extra ", b"extra \xff"), GOOD.replace(b"\n", b"\r\n"), GOOD + b" " * PROOF_LIMIT_BYTES,
        GOOD.replace(b"extra ", b"extra " + b"AAAA" * 30_000),
    ],
)  # fmt: skip
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    """By name, whatever it is."""
    with pytest.raises(MalformedProofError):
        EntryProof.from_bytes(data)
