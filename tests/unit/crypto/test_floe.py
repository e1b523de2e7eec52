"""FLOE segments: position and finality are authenticated, in any order, from any number of threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.crypto.floe import HEADER_LENGTH_BYTES, DamagedSegmentError, FloeCipher, WrongDataKeyError
from pqtransfer.crypto.secret import SecretBytes

KEY = SecretBytes(bytes(range(32)))
SIZE = 64  # the smallest segments that FLOE's published answers use; capacity 32 bytes


def make_cipher(segment_size: int = SIZE) -> FloeCipher:
    return FloeCipher.create(KEY, associated_data=b"data", segment_size_bytes=segment_size)


def encrypt(cipher: FloeCipher, index: int, plaintext: bytes, *, final: bool) -> bytes:
    out = bytearray(cipher.segment_size_bytes)
    return bytes(out[: cipher.encrypt_segment_into(index, plaintext, memoryview(out), final=final)])


def decrypt(cipher: FloeCipher, index: int, segment: bytes, *, final: bool) -> bytes:
    out = bytearray(cipher.segment_size_bytes)
    return bytes(out[: cipher.decrypt_segment_into(index, segment, memoryview(out), final=final)])


@given(st.integers(0, 2**40 - 1), st.binary(max_size=SIZE - 32), st.booleans())
def test_a_segment_is_read_back_at_its_place(index: int, plaintext: bytes, final: bool) -> None:
    """Also beyond 2^20 segments, where another segment key begins."""
    cipher = make_cipher()
    plaintext = plaintext if final else plaintext.ljust(cipher.capacity_bytes, b"\0")
    segment = encrypt(cipher, index, plaintext, final=final)
    assert len(segment) == len(plaintext) + 32
    assert decrypt(cipher, index, segment, final=final) == plaintext
    for other_index, other_final in ((index ^ 1, final), (index ^ 1 << 20, final), (index, not final)):
        with pytest.raises(DamagedSegmentError):
            decrypt(cipher, other_index, segment, final=other_final)


@settings(max_examples=300)
@given(st.binary(max_size=SIZE - 32), st.data())
def test_any_changed_bit_is_found(plaintext: bytes, data: st.DataObject) -> None:
    cipher = make_cipher()
    segment = bytearray(encrypt(cipher, 3, plaintext, final=True))
    bit = data.draw(st.integers(0, len(segment) * 8 - 1))
    segment[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedSegmentError):
        decrypt(cipher, 3, bytes(segment), final=True)


@given(st.binary(max_size=2 * SIZE), st.booleans())
def test_anything_else_of_any_length_is_refused(segment: bytes, final: bool) -> None:
    with pytest.raises(DamagedSegmentError):
        decrypt(make_cipher(), 0, segment, final=final)


def test_a_refused_segment_leaves_nothing_in_the_buffer() -> None:
    """A caller that looks into its buffer in spite of the error finds zeros, not unauthenticated plaintext."""
    cipher = make_cipher()
    segment = bytearray(encrypt(cipher, 0, b"x" * 20, final=True))
    segment[-1] ^= 1
    out = bytearray(b"?" * SIZE)
    with pytest.raises(DamagedSegmentError):
        cipher.decrypt_segment_into(0, segment, memoryview(out), final=True)
    assert bytes(out) == bytes(20) + b"?" * (SIZE - 20)


def test_a_segment_of_the_same_message_encrypted_again_is_as_authentic() -> None:
    """That is FLOE's limit, and why the manifest fixes the digest of every part."""
    cipher = make_cipher()
    first, second = (encrypt(cipher, 0, text, final=True) for text in (b"first", b"second"))
    assert first[4:16] != second[4:16]
    assert (decrypt(cipher, 0, first, final=True), decrypt(cipher, 0, second, final=True)) == (b"first", b"second")


@pytest.mark.parametrize(("length", "final"), [(33, True), (33, False), (31, False), (0, False)])
def test_a_segment_of_a_wrong_length_is_not_written(length: int, final: bool) -> None:
    with pytest.raises(ValueError, match="a segment is full"):
        encrypt(make_cipher(), 0, bytes(length), final=final)


@pytest.mark.parametrize("index", [-1, 2**40])
def test_a_message_has_at_most_2_to_the_40_segments(index: int) -> None:
    with pytest.raises(ValueError, match="segments"):
        encrypt(make_cipher(), index, b"", final=True)


@given(st.integers(0, HEADER_LENGTH_BYTES * 8 - 1))
def test_any_changed_bit_of_the_header_is_found(bit: int) -> None:
    """Parameters and IV are under the header tag, the tag is compared whole."""
    header = bytearray(make_cipher().header)
    header[bit // 8] ^= 1 << bit % 8
    with pytest.raises(WrongDataKeyError):
        FloeCipher.open(KEY, header=bytes(header), associated_data=b"data", segment_size_bytes=SIZE)


@pytest.mark.parametrize(
    ("key", "associated_data", "segment_size", "cut"),
    [
        (bytes(32), b"data", SIZE, 0),
        (bytes(range(32)), b"Data", SIZE, 0),
        (bytes(range(32)), b"data", SIZE * 2, 0),
        (bytes(range(32)), b"data", SIZE, 1),
        (bytes(range(31)), b"data", SIZE, 0),
        (b"", b"data", SIZE, 0),
    ],
)
def test_key_associated_data_and_segment_size_belong_to_the_header(
    key: bytes, associated_data: bytes, segment_size: int, cut: int
) -> None:
    header = make_cipher().header
    with pytest.raises(WrongDataKeyError):
        FloeCipher.open(
            SecretBytes(key),
            header=header[: len(header) - cut],
            associated_data=associated_data,
            segment_size_bytes=segment_size,
        )


def test_one_cipher_serves_many_threads() -> None:
    """Workers share one cipher for all parts of a transfer."""
    cipher = make_cipher(1 << 16)

    def round_trip(number: int) -> bool:
        plaintext = bytes([number % 256]) * cipher.capacity_bytes
        index = number << 18  # several segment keys are derived at the same time
        return decrypt(cipher, index, encrypt(cipher, index, plaintext, final=False), final=False) == plaintext

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(round_trip, range(400)))
