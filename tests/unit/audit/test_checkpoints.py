"""A checkpoint is believed when every key of the log and enough witnesses signed exactly it."""

import base64
import hashlib
from dataclasses import replace

import pytest

from pqtransfer.audit.checkpoints import (
    Checkpoint,
    TrustPolicy,
    cosign,
    make_signed_message,
    open_checkpoint,
    sign_checkpoint,
)
from pqtransfer.audit.errors import InvalidNoteKeyError, MalformedCheckpointError, UntrustedCheckpointError
from pqtransfer.audit.note_keys import NoteKey, SignatureKind
from pqtransfer.audit.notes import Note, make_signature
from pqtransfer.audit.tree import EMPTY_ROOT
from tests.unit.audit.keys import LOG_POLICY, LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS, make_signer

ROOT = hashlib.sha256(b"root").digest()
CHECKPOINT = Checkpoint(ORIGIN, 20852163, ROOT)
PUBLISHED = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def sign_by_all(checkpoint: Checkpoint = CHECKPOINT) -> Note:
    note = sign_checkpoint(checkpoint, LOG_SIGNERS, time_seconds=TIME_SECONDS)
    return cosign(note, WITNESS_SIGNERS, time_seconds=TIME_SECONDS + 5)


def test_the_published_checkpoint_is_read() -> None:
    """The example of C2SP tlog-checkpoint, to the byte."""
    checkpoint = Checkpoint.from_text(PUBLISHED)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text == PUBLISHED


def test_the_published_cosignature_has_its_parts() -> None:
    """The note of C2SP tlog-cosignature: one signature of the log and one of a witness, with its time."""
    note = Note.from_bytes((
        f"{PUBLISHED}\n"
        "\u2014 example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "\u2014 witness.example.com/w1 "
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    ).encode())  # fmt: skip
    log, witness = note.signatures
    assert (len(log.blob), len(witness.blob)) == (64, 8 + 64)
    assert int.from_bytes(witness.blob[:8], "big") == 1679315147


def test_a_cosignature_covers_what_the_specification_says() -> None:
    """C2SP tlog-cosignature: two lines and the text for Ed25519; a structure with both names for ML-DSA-44."""
    checkpoint = Checkpoint.from_text(PUBLISHED)
    ed25519, mldsa = (make_signer("w.example/1", kind).key for kind in list(SignatureKind)[1:])
    assert make_signed_message(checkpoint, ed25519, time_seconds=1679315147) == (
        b"cosignature/v1\ntime 1679315147\n" + PUBLISHED.encode()
    )
    assert make_signed_message(checkpoint, mldsa, time_seconds=1679315147) == (
        b"subtree/v1\n\0" + b"\x0bw.example/1" + bytes.fromhex("00000000641850cb") + b"\x1bexample.com/behind-the-sofa"
        + bytes(8) + bytes.fromhex("00000000013e2dc3")
        + base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    )  # fmt: skip


@pytest.mark.requirement("D7.5", "N6")
def test_a_signed_checkpoint_is_believed() -> None:
    """Two signatures of the log and two of the witness; the witness's time is told."""
    signed = open_checkpoint(sign_by_all().to_bytes(), POLICY)
    assert signed.checkpoint == CHECKPOINT
    assert signed.witness_times == {"witness.example/w1": TIME_SECONDS + 5}
    assert [len(signature.blob) for signature in signed.note.signatures] == [64, 8 + 2420, 8 + 64, 8 + 2420]


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize("number", range(4))
def test_every_signature_of_the_policy_must_be_there_and_hold(number: int) -> None:
    """Classical or post-quantum, of log or witness: one missing, one of other content, one bit, another time."""
    note = sign_by_all()
    rest = note.signatures[:number] + note.signatures[number + 1 :]
    refuse(replace(note, signatures=rest))
    other = sign_by_all(replace(CHECKPOINT, size=7)).signatures[number]
    refuse(replace(note, signatures=(*rest, other)))
    damaged = [
        replace(note.signatures[number], blob=change(note.signatures[number].blob, at))
        for at in (0, 7, 8, len(note.signatures[number].blob) - 1)
    ]
    damaged += [replace(note.signatures[number], blob=blob) for blob in (b"x", note.signatures[number].blob + b"x")]
    for signature in damaged:
        refuse(replace(note, signatures=(*rest, signature)))
        refuse(replace(note, signatures=(*note.signatures, signature)))


def test_signatures_of_strangers_are_passed_over() -> None:
    """They neither help nor hurt, even under the log's own name."""
    note = sign_by_all()
    strangers = [make_signer(name, SignatureKind.ED25519, seed="other") for name in (ORIGIN, "stranger.example")]
    more = cosign(note, strangers, time_seconds=TIME_SECONDS)
    assert open_checkpoint(more.to_bytes(), POLICY).checkpoint == CHECKPOINT
    refuse(sign_checkpoint(CHECKPOINT, strangers, time_seconds=TIME_SECONDS))


def test_a_witness_counts_only_with_all_its_keys() -> None:
    """Who can forge Ed25519 one day is still no witness; a reader without witnesses takes the log's word."""
    note = sign_checkpoint(CHECKPOINT, LOG_SIGNERS, time_seconds=TIME_SECONDS)
    refuse(note)
    refuse(cosign(note, WITNESS_SIGNERS[:1], time_seconds=TIME_SECONDS))
    assert open_checkpoint(note.to_bytes(), LOG_POLICY).witness_times == {}


def test_a_checkpoint_of_another_log_is_refused() -> None:
    """Even when this log's keys signed it."""
    refuse(sign_by_all(replace(CHECKPOINT, origin="pqtransfer.example/other")))


def test_a_cosignature_needs_a_time() -> None:
    """Time 0 is a statement that nothing is said about the time; nobody here makes it, and nobody takes it."""
    with pytest.raises(ValueError, match="time"):
        sign_checkpoint(CHECKPOINT, LOG_SIGNERS, time_seconds=0)
    signer = LOG_SIGNERS[1]
    message = make_signed_message(CHECKPOINT, signer.key, time_seconds=0)
    timeless = make_signature(signer.key, bytes(8) + signer.sign(message))
    note = sign_by_all()
    refuse(replace(note, signatures=(note.signatures[0], timeless, *note.signatures[2:])))


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "a\n1\n", PUBLISHED[:-1], PUBLISHED + "extension\n", PUBLISHED + "\n", "\n" + PUBLISHED,
        PUBLISHED.replace("20852163", "020852163"), PUBLISHED.replace("20852163", "-1"),
        PUBLISHED.replace("20852163", ""),
        PUBLISHED.replace("20852163", "9223372036854775808"), PUBLISHED.replace("20852163", "9" * 10_000),
        PUBLISHED.replace("20852163", "\u0661"), PUBLISHED.replace("20852163", "0"), PUBLISHED.replace("q2I=", "q2J="),
        PUBLISHED.replace("q2I=", ""), PUBLISHED.replace("example.com", "example com"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Extension lines too, which an ML-DSA-44 cosignature would not cover."""
    with pytest.raises(MalformedCheckpointError):
        Checkpoint.from_text(text)


@pytest.mark.parametrize("change_checkpoint", [{"size": -1}, {"size": 1 << 63}, {"root": ROOT[:-1]}, {"origin": "a b"}])
def test_what_no_log_can_say_is_not_signed(change_checkpoint: dict[str, object]) -> None:
    """A size, a root or a name out of range is refused before anybody signs it."""
    with pytest.raises(MalformedCheckpointError):
        replace(CHECKPOINT, **change_checkpoint)


def test_an_empty_log_has_a_checkpoint() -> None:
    """Size 0 and the hash of nothing."""
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert Checkpoint.from_text(empty.text) == empty


@pytest.mark.parametrize(
    "change_policy",
    [
        {"log_keys": ()},
        {"witnesses_required": 2},
        {"witness_keys": (make_signer("w", SignatureKind.ED25519).key,)},
        {"witness_keys": (NoteKey("w", SignatureKind.ED25519_COSIGNATURE, LOG_SIGNERS[0].key.public_key),)},
        {"log_keys": (LOG_SIGNERS[0].key, LOG_SIGNERS[0].key)},
    ],
    ids=["no key of the log", "too many", "no cosignature", "the log's own key", "one key twice"],
)
def test_a_policy_that_proves_nothing_is_refused(change_policy: dict[str, object]) -> None:
    """Before anything is read under it."""
    with pytest.raises(InvalidNoteKeyError):
        replace(POLICY, **change_policy)


def refuse(note: Note, policy: TrustPolicy = POLICY) -> None:
    with pytest.raises(UntrustedCheckpointError):
        open_checkpoint(note.to_bytes(), policy)


def change(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
