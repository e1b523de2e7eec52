"""Signed notes (C2SP signed-note): a text, an empty line, and one line for each signature. One text has one spelling.

Reading a note checks its form only. Whose text it is, `pqtransfer.audit.checkpoints` says.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from pqtransfer.audit.errors import InvalidNoteKeyError, MalformedNoteError
from pqtransfer.audit.note_keys import NoteKey, is_key_name
from pqtransfer.crypto.canonical_json import decode_base64, encode_base64

NOTE_LIMIT_BYTES = 1 << 18
SIGNATURES_AT_MOST = 64
"""More than a log and its witnesses need; the specification asks for 16 at least."""
KEY_ID_LENGTH_BYTES = 4

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
DASH = "\u2014"


@dataclass(frozen=True)
class NoteSignature:
    """One signature line. `blob` is what stands after the key id: for a cosignature, the time comes first."""

    name: str
    key_id: bytes
    blob: bytes

    def is_of(self, key: NoteKey) -> bool:
        """The line names this key. Whether the signature holds is another question."""
        return (self.name, self.key_id) == (key.name, key.key_id)

    def __str__(self) -> str:
        return f"{DASH} {self.name} {encode_base64(self.key_id + self.blob)}\n"


@dataclass(frozen=True)
class Note:
    """A text and its signatures, not verified. `text` ends in a newline."""

    text: str
    signatures: tuple[NoteSignature, ...] = ()

    def add(self, signatures: Iterable[NoteSignature]) -> Self:
        return replace(self, signatures=(*self.signatures, *signatures))

    def to_bytes(self) -> bytes:
        return (self.text + "\n" + "".join(map(str, self.signatures))).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a note.

        Raises:
            MalformedNoteError: too large, not UTF-8, a control character, no signature, or a line that is none.
        """
        if len(data) > NOTE_LIMIT_BYTES:
            raise MalformedNoteError(f"it has {len(data)} bytes; at most {NOTE_LIMIT_BYTES} are read")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedNoteError("it is not UTF-8") from None
        if CONTROL.search(whole):
            raise MalformedNoteError("it holds a control character")
        end = whole.rfind("\n\n")
        if end < 0 or not whole.endswith("\n") or end + 2 == len(whole):
            raise MalformedNoteError("no signature lines follow its last empty line")
        lines = whole[end + 2 : -1].split("\n")
        if len(lines) > SIGNATURES_AT_MOST:
            raise MalformedNoteError(f"it has more than {SIGNATURES_AT_MOST} signatures")
        return cls(whole[: end + 1], tuple(_read_signature(line) for line in lines))


def make_signature(key: NoteKey, blob: bytes) -> NoteSignature:
    """The signature line of a key."""
    return NoteSignature(key.name, key.key_id, blob)


def require_distinct(keys: Iterable[NoteKey]) -> tuple[NoteKey, ...]:
    """The keys, if a signature line can be told to be of one of them.

    Raises:
        InvalidNoteKeyError: two have one name and id.
    """
    keys = tuple(keys)
    if len({(key.name, key.key_id) for key in keys}) != len(keys):
        raise InvalidNoteKeyError("two of the keys have one name and one id")
    return keys


def _read_signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != DASH or not is_key_name(name):
        raise MalformedNoteError("a signature line does not begin with a dash and a key name")
    try:
        raw = decode_base64(encoded)
    except ValueError as error:
        raise MalformedNoteError(f"a signature {error}") from None
    if len(raw) <= KEY_ID_LENGTH_BYTES:
        raise MalformedNoteError("a signature is empty")
    return NoteSignature(name, raw[:KEY_ID_LENGTH_BYTES], raw[KEY_ID_LENGTH_BYTES:])
