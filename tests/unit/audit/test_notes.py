"""Notes read and write as C2SP signed-note says; the examples are those of Go's implementation, where it comes from."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.audit.errors import InvalidNoteKeyError, MalformedNoteError
from pqtransfer.audit.note_keys import LocalNoteSigner, NoteKey, SignatureKind
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES, Note, make_signature, require_distinct
from pqtransfer.crypto.secret import SecretBytes
from tests.unit.audit.keys import LOG_SIGNERS, make_signer

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_published_note_is_made_and_read() -> None:
    """Key, key id and signature of the example of Go's sumdb/note, in both directions."""
    signer = LocalNoteSigner("PeterNeumann", SignatureKind.ED25519, SecretBytes(PETER_SEED))
    note = Note(TEXT).add([make_signature(signer.key, signer.sign(TEXT.encode()))])
    assert str(signer.key) == PETER
    assert note.to_bytes() == f"{TEXT}\n{LINE}".encode()
    read = Note.from_bytes(note.to_bytes())
    assert read == note
    assert NoteKey.from_text(PETER).verifies(read.signatures[0].blob, read.text.encode())
    assert not NoteKey.from_text(PETER).verifies(read.signatures[0].blob, read.text.upper().encode())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PETER, SignatureKind.ED25519),
        ("TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6", SignatureKind.ED25519),
        ("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2", SignatureKind.ED25519_COSIGNATURE),
        (str(make_signer("w", SignatureKind.MLDSA44_COSIGNATURE).key), SignatureKind.MLDSA44_COSIGNATURE),
    ],
    ids=["Go", "transparency.dev", "a public witness", "ML-DSA-44"],
)
def test_published_keys_are_read(text: str, kind: SignatureKind) -> None:
    """NAME+ID+KEY; the id belongs to name, kind and key; the last key is our own."""
    key = NoteKey.from_text(text)
    assert (str(key), key.kind) == (text, kind)


@pytest.mark.parametrize(
    "text",
    [
        "", "PeterNeumann", "PeterNeumann+c74f20a3", "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX",
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!", "PeterNeumann+c74f20a3+",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    """Another id, length, kind or spelling."""
    with pytest.raises(InvalidNoteKeyError):
        NoteKey.from_text(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\u00a0b", "a\x00", "a\n", "\ud800", "n" * 256])
def test_a_name_that_a_line_cannot_carry_is_refused(name: str) -> None:
    """Spaces of any alphabet, a plus, control characters, nothing, too much."""
    with pytest.raises(InvalidNoteKeyError):
        make_key(name)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no signature lines"),
        (TEXT.encode(), "no signature lines"),
        (f"{TEXT}\n".encode(), "no signature lines"),
        (f"{TEXT}{LINE}".encode(), "no signature lines"),
        (f"{TEXT}\n{LINE[:-1]}".encode(), "no signature lines"),
        (f"{TEXT}\n{LINE}\n".encode(), "no signature lines"),
        (f"{TEXT}\n{LINE}x\n".encode(), "dash"),
        (f"{TEXT}\n{LINE.replace(chr(0x2014), '-')}".encode(), "dash"),
        (f"{TEXT}\n{LINE.replace('Peter', 'Pe+ter')}".encode(), "dash"),
        (f"{TEXT}\n{LINE.replace('PeterNeumann ', '')}".encode(), "empty"),
        (f"{TEXT}\n{LINE.replace(' x08', '  x08')}".encode(), "base64"),
        (f"{TEXT}\n{LINE.replace('=', '')}".encode(), "base64"),
        (f"{TEXT}\n{LINE.replace('nAM=', 'nAN=')}".encode(), "base64"),
        (f"{TEXT}\n\u2014 PeterNeumann x08gow==\n".encode(), "empty"),
        (f"{TEXT}\n{LINE}".encode().replace(b"problem", b"pro\xffblem"), "UTF-8"),
        (f"{TEXT}\n{LINE}".replace("\n", "\r\n").encode(), "control"),
        (f"a\tb\n\n{LINE}".encode(), "control"),
        (f"{TEXT}\n{LINE * 65}".encode(), "64 signatures"),
        (b"x" * (NOTE_LIMIT_BYTES + 1), "at most"),
    ],
)
def test_a_malformed_note_ends_in_a_named_error(data: bytes, reason: str) -> None:
    """Each says what is wrong, and shows nothing of the note."""
    with pytest.raises(MalformedNoteError, match=reason):
        Note.from_bytes(data)


@given(st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), max_size=60).map(lambda text: text + "\n"))
def test_any_text_is_carried(text: str) -> None:
    """Empty lines too: the last empty line is the one that ends the text."""
    signer = LOG_SIGNERS[0]
    note = Note(f"\n{text}\n{text}").add([make_signature(signer.key, signer.sign(text.encode()))])
    assert Note.from_bytes(note.to_bytes()) == note


@pytest.mark.parametrize("kind", SignatureKind)
def test_a_key_of_another_length_is_refused(kind: SignatureKind) -> None:
    """Each kind has its own."""
    with pytest.raises(InvalidNoteKeyError, match="bytes, not 31"):
        NoteKey("log", kind, bytes(31))


def test_two_keys_that_a_line_cannot_tell_apart_are_refused() -> None:
    """Ids are 4 bytes: a collision of name and id would let one key answer for another."""
    with pytest.raises(InvalidNoteKeyError):
        require_distinct([LOG_SIGNERS[0].key, LOG_SIGNERS[0].key])


def test_a_signer_does_not_show_its_key() -> None:
    """Its name and id, no more; and a seed of another length is no key."""
    assert repr(LOG_SIGNERS[0]) == f"LocalNoteSigner({LOG_SIGNERS[0].key.name}+{LOG_SIGNERS[0].key.key_id.hex()})"
    with pytest.raises(InvalidNoteKeyError):
        LocalNoteSigner("log", SignatureKind.ED25519, SecretBytes(b"short"))


def make_key(name: str) -> NoteKey:
    return NoteKey(name, SignatureKind.ED25519, bytes(32))
