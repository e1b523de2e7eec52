"""Checkpoints (C2SP tlog-checkpoint): how large the log is and what its root is, signed by the log and by witnesses.

A log signs with every key it has, classical and post-quantum, and a reader asks for every one. A cosignature
(C2SP tlog-cosignature) says when it was made, and that the signer has seen no other history of this log.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Self

from pqtransfer.audit.errors import InvalidNoteKeyError, MalformedCheckpointError, UntrustedCheckpointError
from pqtransfer.audit.note_keys import SIGNATURE_LENGTH_BYTES, NoteKey, NoteSigner, SignatureKind, is_key_name
from pqtransfer.audit.notes import Note, NoteSignature, make_signature, require_distinct
from pqtransfer.audit.tree import EMPTY_ROOT, HASH_LENGTH_BYTES
from pqtransfer.crypto.canonical_json import decode_base64, encode_base64

CHECKPOINT_PATH = "checkpoint"
SIZE_AT_MOST = (1 << 63) - 1
TIME_AT_MOST_SECONDS = (1 << 63) - 1
TIME_LENGTH_BYTES = 8
SUBTREE_LABEL = b"subtree/v1\n\x00"

SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """The first `size` leaves of the log `origin` have the Merkle root `root`."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.origin):
            raise MalformedCheckpointError("its origin is no name of a log")
        if not 0 <= self.size <= SIZE_AT_MOST or len(self.root) != HASH_LENGTH_BYTES:
            raise MalformedCheckpointError("its size or its root is out of range")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedCheckpointError("an empty log has the root of the empty tree")

    @property
    def text(self) -> str:
        """The text that is signed. Extension lines are not used: ML-DSA-44 cosignatures would not cover them."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the text of a checkpoint.

        Raises:
            MalformedCheckpointError: not three lines of origin, size and root.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise MalformedCheckpointError("it does not have three lines")
        if not SIZE.fullmatch(lines[1]):
            raise MalformedCheckpointError("its second line is no size")
        try:
            root = decode_base64(lines[2])
        except ValueError as error:
            raise MalformedCheckpointError(f"its root {error}") from None
        return cls(lines[0], int(lines[1]), root)


@dataclass(frozen=True)
class TrustPolicy:
    """Which signatures a checkpoint must carry before it is believed.

    Every key of `log_keys` must have signed. A witness is a name; it counts when every key of that name has signed, and
    `witnesses_required` of them must count. What only `revoked_keys` have signed counts for nothing, and is told apart.

    Keys are replaced: `former_log_keys` has the log's keys of each time before, and every key of one time must have
    signed, now or then; `former_witness_keys` those of a witness, in the same way. Never some of one and some of
    another. A key that is revoked is none of these any more.
    """

    origin: str
    log_keys: tuple[NoteKey, ...]
    witness_keys: tuple[NoteKey, ...] = ()
    witnesses_required: int = 0
    revoked_keys: tuple[NoteKey, ...] = ()
    former_log_keys: tuple[tuple[NoteKey, ...], ...] = ()
    former_witness_keys: tuple[tuple[NoteKey, ...], ...] = ()

    def __post_init__(self) -> None:
        require_distinct(self.known_keys)
        if not self.log_keys or not all((*self.former_log_keys, *self.former_witness_keys)):
            raise InvalidNoteKeyError("a reader needs at least one key of the log")
        witness_keys = [*self.witness_keys, *chain.from_iterable(self.former_witness_keys)]
        log_keys = [*self.log_keys, *chain.from_iterable(self.former_log_keys)]
        if any(not key.kind.is_timestamped for key in witness_keys):
            raise InvalidNoteKeyError("a witness signs with a cosignature key")
        if {key.public_key for key in log_keys} & {key.public_key for key in witness_keys}:
            raise InvalidNoteKeyError("a witness must not share a key with the log")
        if not 0 <= self.witnesses_required <= len({key.name for key in self.witness_keys}):
            raise InvalidNoteKeyError("more witnesses are required than there are")
        if {key.public_key for key in self.revoked_keys} & {key.public_key for key in self.known_keys}:
            raise InvalidNoteKeyError("a key that was revoked is among those that are believed")

    @property
    def known_keys(self) -> tuple[NoteKey, ...]:
        """The keys that are believed: the log's, then the witnesses', then the former ones."""
        former = chain.from_iterable((*self.former_log_keys, *self.former_witness_keys))
        return (*self.log_keys, *self.witness_keys, *former)


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint that was verified under a policy. `witness_times`: POSIX seconds by name, the earliest of each."""

    checkpoint: Checkpoint
    note: Note
    witness_times: Mapping[str, int]


def sign_checkpoint(checkpoint: Checkpoint, signers: Iterable[NoteSigner], *, time_seconds: int) -> Note:
    """The checkpoint as a note, signed by each signer. `time_seconds`: POSIX time, for those that sign the time."""
    return cosign(Note(checkpoint.text), signers, time_seconds=time_seconds)


def cosign(note: Note, signers: Iterable[NoteSigner], *, time_seconds: int) -> Note:
    """The note with a signature more of each signer. A witness calls it after it has checked consistency.

    Raises:
        MalformedCheckpointError: the text is no checkpoint.
    """
    checkpoint = Checkpoint.from_text(note.text)
    return note.add(_sign(checkpoint, signer, time_seconds) for signer in signers)


def open_checkpoint(data: bytes, policy: TrustPolicy) -> SignedCheckpoint:
    """Read a checkpoint and check that the keys of the policy signed it.

    Raises:
        MalformedNoteError, MalformedCheckpointError: not a checkpoint.
        UntrustedCheckpointError: of another log, a signature missing, or one of a known key that is false.
    """
    note = Note.from_bytes(data)
    checkpoint = Checkpoint.from_text(note.text)
    if checkpoint.origin != policy.origin:
        raise UntrustedCheckpointError(policy.origin, "it is of another log")
    times = {
        key: min(_verify(checkpoint, key, signature) for signature in found)
        for key in policy.known_keys
        if (found := [signature for signature in note.signatures if signature.is_of(key)])
    }
    missing = [key for key in policy.log_keys if key not in times]
    if missing and not any(all(key in times for key in keys) for keys in policy.former_log_keys):
        raise UntrustedCheckpointError(policy.origin, f"the log's key {_name(missing[0])} did not sign it")
    witness_times = _count_witnesses(policy, times)
    if len(witness_times) < policy.witnesses_required:
        raise UntrustedCheckpointError(
            policy.origin, f"{len(witness_times)} of {policy.witnesses_required} witnesses have signed it"
        )
    return SignedCheckpoint(checkpoint, note, witness_times)


def find_revoked_signer(data: bytes, policy: TrustPolicy) -> NoteKey | None:
    """The revoked key that has truly signed this checkpoint, if one has: somebody has it, and uses it.

    Raises:
        MalformedNoteError, MalformedCheckpointError: not a checkpoint.
    """
    note = Note.from_bytes(data)
    checkpoint = Checkpoint.from_text(note.text)
    for key in policy.revoked_keys:
        for signature in note.signatures:
            if signature.is_of(key) and _holds(checkpoint, key, signature):
                return key
    return None


def make_signed_message(checkpoint: Checkpoint, key: NoteKey, *, time_seconds: int) -> bytes:
    """What a key of this kind signs for a checkpoint."""
    if key.kind is SignatureKind.ED25519:
        return checkpoint.text.encode()
    if key.kind is SignatureKind.ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {time_seconds}\n{checkpoint.text}".encode()
    name, origin = key.name.encode(), checkpoint.origin.encode()
    time, start, end = (number.to_bytes(8, "big") for number in (time_seconds, 0, checkpoint.size))
    parts = [SUBTREE_LABEL, bytes([len(name)]), name, time, bytes([len(origin)]), origin, start, end, checkpoint.root]
    return b"".join(parts)


def _sign(checkpoint: Checkpoint, signer: NoteSigner, time_seconds: int) -> NoteSignature:
    if not 0 < time_seconds <= TIME_AT_MOST_SECONDS:
        raise ValueError("a cosignature needs a time after 1970")
    signature = signer.sign(make_signed_message(checkpoint, signer.key, time_seconds=time_seconds))
    time = time_seconds.to_bytes(TIME_LENGTH_BYTES, "big") if signer.key.kind.is_timestamped else b""
    return make_signature(signer.key, time + signature)


def _verify(checkpoint: Checkpoint, key: NoteKey, signature: NoteSignature) -> int:
    """The time in the signature, 0 where it has none."""
    time_length = TIME_LENGTH_BYTES if key.kind.is_timestamped else 0
    time_seconds = int.from_bytes(signature.blob[:time_length], "big")
    bare = signature.blob[time_length:]
    is_in_range = (0 < time_seconds <= TIME_AT_MOST_SECONDS) if time_length else True
    message = make_signed_message(checkpoint, key, time_seconds=time_seconds)
    if not is_in_range or len(bare) != SIGNATURE_LENGTH_BYTES[key.kind] or not key.verifies(bare, message):
        raise UntrustedCheckpointError(checkpoint.origin, f"the signature of {_name(key)} does not hold")
    return time_seconds


def _holds(checkpoint: Checkpoint, key: NoteKey, signature: NoteSignature) -> bool:
    try:
        _verify(checkpoint, key, signature)
    except UntrustedCheckpointError:
        return False
    return True


def _count_witnesses(policy: TrustPolicy, times: Mapping[NoteKey, int]) -> dict[str, int]:
    """A witness counts by the keys of one time. Its name is the same at all times."""
    counted = dict[str, int]()
    for keys_of_a_time in (policy.witness_keys, *policy.former_witness_keys):
        for name in sorted({key.name for key in keys_of_a_time} - counted.keys()):
            keys = [key for key in keys_of_a_time if key.name == name]
            if all(key in times for key in keys):
                counted[name] = min(times[key] for key in keys)
    return counted


def _name(key: NoteKey) -> str:
    return f"{key.name}+{key.key_id.hex()}"
