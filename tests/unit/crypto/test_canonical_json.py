"""One document, one sequence of bytes: what is written is canonical, and nothing else is read."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.crypto.canonical_json import (
    MAXIMUM_NAMES,
    MAXIMUM_VALUES,
    MalformedDocumentError,
    decode_base64,
    encode_base64,
    read_canonical_json,
    write_canonical_json,
)

LIMIT = 1 << 20
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
integers = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
documents = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | integers | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=6,
)


def read(data: bytes) -> dict[str, object]:
    return read_canonical_json(data, name="document", limit_bytes=LIMIT)


@given(documents)
def test_what_is_written_is_read_back(document: dict[str, object]) -> None:
    """Reading inverts writing, and writing again gives the same bytes."""
    data = write_canonical_json(document)
    assert read(data) == document
    assert write_canonical_json(read(data)) == data


@given(documents)
def test_another_spelling_of_the_same_document_is_refused(document: dict[str, object]) -> None:
    """A signature covers bytes; a reader that took other bytes for the same document would invite confusion."""
    data = write_canonical_json(document)
    for spelling in (json.dumps(document, indent=1).encode(), data + b"\n", b" " + data, b"\xef\xbb\xbf" + data):
        if spelling != data:
            with pytest.raises(MalformedDocumentError):
                read(spelling)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b'{"b":1,"a":2}', "names out of order"),
        (b'{"a":1,"a":1}', "a name twice"),
        (b'{"a":{"b":1,"b":2}}', "a name twice, inside"),
        (b'{"a":1.0}', "a fraction"),
        (b'{"a":1e3}', "an exponent"),
        (b'{"a":-0}', "a negative zero"),
        (b'{"a":01}', "a leading zero"),
        (b'{"a":9007199254740992}', "an integer that a double cannot hold exactly"),
        (b'{"a":' + b"9" * 10_000 + b"}", "an endless integer"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":Infinity}', "infinity"),
        (b'{"a":"\\u0041"}', "an escape that is not needed"),
        (b'{"a":"\\/"}', "an escape that is not needed"),
        (b'{"a":"\\ud800"}', "a lone surrogate, escaped"),
        (b'{"\\udfff":1}', "a lone surrogate in a name"),
        (b'{"a":"\xed\xa0\x80"}', "a lone surrogate, encoded"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xc0\xaf"}', "an overlong encoding"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
        (b'{"a":"\n"}', "a bare control character"),
        (b'{"a":1}\x00', "a trailing zero byte"),
        (b'{"a":1}{"a":1}', "two documents"),
        (b'{"a":1,}', "a trailing comma"),
        (b"{'a':1}", "single quotes"),
        (b'{"a":1 /* */}', "a comment"),
        (b'{"a":' * 100_000, "deep nesting that never ends"),
        (b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "deep nesting"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_not_canonical_is_not_read(data: bytes, why: str) -> None:
    with pytest.raises(MalformedDocumentError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"' + b"x" * LIMIT + b'"}',
        b'{"a":[' + b",".join([b"0"] * (MAXIMUM_VALUES + 1)) + b"]}",
        b'{"a":[' + b",".join([b"[]"] * MAXIMUM_VALUES) + b"]}",
        b"{" + b",".join(b'"%04d":0' % n for n in range(MAXIMUM_NAMES + 1)) + b"}",
    ],
    ids=["bytes", "numbers", "lists", "names"],
)
def test_size_is_bounded_before_anything_is_built(data: bytes) -> None:
    """Bytes, values and names: a document of any of these sizes is refused in well under a second of CPU time."""
    started = time.process_time()
    with pytest.raises(MalformedDocumentError):
        read(data)
    assert time.process_time() - started < 1


def test_errors_cannot_write_into_a_terminal_or_a_log() -> None:
    """What a document says never reaches an error as a control character."""
    with pytest.raises(MalformedDocumentError) as caught:
        read(b'{"a":"\x1b[2J"}')
    assert caught.value.args[0].isprintable()


@given(st.binary(max_size=100))
def test_base64_has_one_spelling(value: bytes) -> None:
    assert decode_base64(encode_base64(value)) == value


@pytest.mark.parametrize(
    "text", ["A", "AA", "AA=", "AB==", "AAAA\n", " AAAA", "AA==AA==", "A-__", "AAA=A", "é", "AAAA===="]
)
def test_another_spelling_of_base64_is_refused(text: str) -> None:
    """Bits beyond the value, missing padding, the URL alphabet, white space: each would give one key two ids."""
    with pytest.raises(ValueError, match=r"base64|ASCII"):
        decode_base64(text)
