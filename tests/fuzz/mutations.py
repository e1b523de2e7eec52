"""Mutations that are the same at every run: for the test command, and for where atheris is not installed."""

import random
from collections.abc import Iterator

TOKENS = (
    b"null", b"true", b"NaN", b"-Infinity", b"-0", b"1e999", b"0.5", b"-1", b"9007199254740993", b"9" * 5000,
    b'""', b"[]", b"{}", b",", b"[" * 2000, b'{"a":' * 500, b'"a":1,', b'"format":', b"PQT-1", b"PQT-2",
    b'"\\ud800"', b"\\u0000", b"\xed\xa0\x80", b"\xff", b"\x00", b"\xef\xbb\xbf", b"\xef\xbc\x92",
    b"=", b"AAAA", b"../", b"\xff\xff\xff\xff",
)  # fmt: skip


def mutate(seed: bytes, other: bytes, dice: random.Random) -> bytes:
    """`seed` after one to four changes: bits, ranges, tokens that parsers trip over, a piece of `other`."""
    data = bytearray(seed)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice((0, 1, 2, 8, 64, 4096)))
        match dice.randrange(7):
            case 0 if start < len(data):
                data[start] ^= 1 << dice.randrange(8)
            case 1:
                del data[start:end]
            case 2:
                data[start:end] = dice.choice(TOKENS)
            case 3:
                data[start:start] = data[start:end] * dice.choice((1, 2, 50))
            case 4:
                data[start:end] = dice.randbytes(end - start)
            case 5:
                piece = dice.randrange(len(other) + 1)
                data[start:end] = other[piece : piece + (end - start)]
            case _:
                del data[start:]
    return bytes(data[: 1 << 20])


def list_mutations(corpus: list[bytes], *, seed: int) -> Iterator[bytes]:
    """The corpus itself, then mutations of it without end."""
    yield from corpus
    yield b""
    dice = random.Random(seed)
    while True:
        yield mutate(dice.choice(corpus), dice.choice(corpus), dice)
