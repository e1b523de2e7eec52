"""What a verification keeps is read back as it was, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.audit.positions import Numbering
from pqtransfer.audit.trusted_log import TRUSTED_LIMIT_BYTES, MalformedTrustedLogError, TrustedLog

NAMES = st.from_regex(r"\A[a-z0-9][a-z0-9./:_-]{0,20}\Z")
NUMBERS = st.lists(st.integers(1, 60), max_size=30)


def number(numbers: list[int]) -> Numbering:
    numbering = Numbering(gaps_at_most=1000)
    for each in numbers:
        numbering.add(each)
    return numbering


def describe(trusted: TrustedLog) -> object:
    return {name: (each.last, each.gaps, each.forgotten) for name, each in trusted.numberings.items()}


@given(st.dictionaries(NAMES, NUMBERS, max_size=6), st.integers(0, 1 << 40), st.binary(max_size=50))
def test_what_is_kept_is_read_back(numbers: dict[str, list[int]], next_index: int, note: bytes) -> None:
    """Whatever order numbers came in, and with the same digest."""
    kept = TrustedLog(note, next_index, {name: number(each) for name, each in numbers.items()})
    read = TrustedLog.from_bytes(kept.to_bytes())
    assert (read.checkpoint_note, read.next_index, describe(read)) == (note, next_index, describe(kept))
    assert read.numbers_sha256 == kept.numbers_sha256
    assert read.to_bytes() == kept.to_bytes()


GOOD = TrustedLog(b"note", 7, {"a": number([1, 4]), "b": number([2])}).to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        GOOD[:-1],
        GOOD + b"\n",
        GOOD.replace(b'"producer":"a"', b'"producer":"c"'),
        GOOD.replace(b'"gaps":[[2,3]]', b'"gaps":[[3,2]]'),
        GOOD.replace(b'"gaps":[[2,3]]', b'"gaps":[[2,4]]'),
        GOOD.replace(b'"next_index":7', b'"next_index":-7'),
        b"\n" * (TRUSTED_LIMIT_BYTES + 1),
    ],
)
def test_a_file_that_is_none_is_refused(data: bytes) -> None:
    """Cut off, with more at its end, out of order, with gaps that nothing could have left, or too large."""
    with pytest.raises(MalformedTrustedLogError, match="without --since"):
        TrustedLog.from_bytes(data)


def test_the_digest_says_where_the_numbers_stood() -> None:
    """Another index, another number or another producer is another digest; another checkpoint is not."""
    base = TrustedLog(b"note", 7, {"a": number([1])})
    others = [
        TrustedLog(b"note", 8, {"a": number([1])}),
        TrustedLog(b"note", 7, {"a": number([1, 2])}),
        TrustedLog(b"note", 7, {"b": number([1])}),
        TrustedLog(b"note", 7, {}),
    ]
    assert len({each.numbers_sha256 for each in (base, *others)}) == 5
    assert TrustedLog(b"other", 7, {"a": number([1])}).numbers_sha256 == base.numbers_sha256
