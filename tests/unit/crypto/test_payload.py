"""A payload round-trips at every length, and no other bytes pass for it."""

import hashlib
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.crypto import floe
from pqtransfer.crypto.envelope import Envelope, open_envelope
from pqtransfer.crypto.floe import DamagedSegmentError, FloeCipher, WrongDataKeyError
from pqtransfer.crypto.geometry import plan_payload
from pqtransfer.crypto.manifest import Manifest, SignedManifest
from pqtransfer.crypto.payload import (
    DamagedPartError,
    PartBuffer,
    create_payload_cipher,
    decrypt_part,
    encrypt_part,
    open_payload_cipher,
)
from pqtransfer.crypto.secret import SecretBytes
from tests.containers import (
    ONE_MEBIBYTE,
    OTHER_TRANSFER_ID,
    TRANSFER_ID,
    cut_slices,
    make_bytes,
    make_container,
    make_identity,
    open_container,
)

CAPACITY = ONE_MEBIBYTE - 32
BOB = make_identity("bob").kem
KEY = SecretBytes(bytes(32))
NAMES = {"suite_id": "PQT-1", "transfer_id": TRANSFER_ID, "sender": "alice"}
MODEL = make_bytes("model", 3 * CAPACITY + 5)  # four segments: three full ones and a short final one
SHORT = make_container(b"a short model")
LONG = make_container(MODEL)
LONG_ONE_PART = make_container(MODEL, part_size_bytes=4 * ONE_MEBIBYTE)
LONG_TWO_SEGMENT_PARTS = make_container(MODEL, part_size_bytes=2 * ONE_MEBIBYTE)


@pytest.mark.parametrize("part_size_mib", [1, 2])
@pytest.mark.parametrize("segments", [0, 1, 2, 3])
@pytest.mark.parametrize("difference", [-1, 0, 1])
def test_lengths_around_every_border_round_trip(segments: int, difference: int, part_size_mib: int) -> None:
    """Empty, one byte, and one byte less and more than whole segments and whole parts."""
    length = segments * CAPACITY + difference
    if length < 0:
        return
    plaintext = MODEL[:length]
    container = make_container(plaintext, part_size_bytes=part_size_mib * ONE_MEBIBYTE)
    assert len(container.payload) == length + 32 * max(1, -(-length // CAPACITY))
    assert open_container(container, BOB) == plaintext


def exchange_segments(payload: bytes) -> bytes:
    return payload[ONE_MEBIBYTE : 2 * ONE_MEBIBYTE] + payload[:ONE_MEBIBYTE] + payload[2 * ONE_MEBIBYTE :]


PAYLOAD_CHANGES = {
    "nothing left": lambda payload: payload[:0],
    "one byte short": lambda payload: payload[:-1],
    "one byte more": lambda payload: payload + b"\0",
    "final segment gone": lambda payload: payload[: 3 * ONE_MEBIBYTE],
    "an inner segment gone": lambda payload: payload[:ONE_MEBIBYTE] + payload[2 * ONE_MEBIBYTE :],
    "an empty final segment more": lambda payload: payload + payload[-32:],
    "segments exchanged": exchange_segments,
    "a segment twice": lambda payload: payload[:ONE_MEBIBYTE] + payload[:ONE_MEBIBYTE] + payload[2 * ONE_MEBIBYTE :],
    "first byte": lambda payload: bytes([payload[0] ^ 1]) + payload[1:],
    "last byte": lambda payload: payload[:-1] + bytes([payload[-1] ^ 1]),
    "zeros": lambda payload: bytes(len(payload)),
}


@pytest.mark.parametrize("container", [LONG, LONG_TWO_SEGMENT_PARTS], ids=["part=1MiB", "part=2MiB"])
@pytest.mark.parametrize("change", PAYLOAD_CHANGES)
def test_a_changed_payload_is_refused(change: str, container: object) -> None:
    """Tampered, truncated, extended, reordered: the digest of a part says so."""
    assert open_container(container, BOB) == MODEL
    with pytest.raises(DamagedPartError):
        open_container(container.with_payload(PAYLOAD_CHANGES[change]), BOB)


@pytest.mark.parametrize("change", PAYLOAD_CHANGES)
def test_a_changed_payload_is_refused_even_where_digests_are_not_looked_at(change: str) -> None:
    """FLOE alone finds every one of them, too, segment by segment: a range read relies on it."""
    payload = PAYLOAD_CHANGES[change](LONG.payload)
    manifest = SignedManifest.from_json(LONG.manifest_json).body
    data_key = open_envelope(Envelope.from_json(LONG.envelope_json), manifest, [BOB])
    cipher = open_payload_cipher(data_key, header=manifest.floe_header, **NAMES)
    geometry = manifest.geometry

    def read_segments() -> None:
        for index in range(geometry.segment_count):
            where = geometry.segment_ciphertext(index)
            end = None if geometry.is_final(index) else where.end
            out = memoryview(bytearray(ONE_MEBIBYTE))
            cipher.decrypt_segment_into(index, payload[where.start : end], out, final=geometry.is_final(index))

    with pytest.raises(DamagedSegmentError):
        read_segments()


@settings(max_examples=200)
@given(st.data())
def test_any_changed_bit_of_the_payload_is_refused(data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(SHORT.payload) * 8 - 1))
    changed = bytearray(SHORT.payload)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedPartError):
        open_container(replace(SHORT, payload=bytes(changed)), BOB)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_other_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(DamagedPartError):
        open_container(replace(SHORT, payload=payload), BOB)


def test_a_part_of_another_transfer_is_refused() -> None:
    """Spliced: same sender, same recipient, same length, same data key even; another transfer id."""
    one, other = (
        make_container(MODEL[:100], transfer_id=transfer_id, data_key=KEY)
        for transfer_id in (TRANSFER_ID, OTHER_TRANSFER_ID)
    )
    with pytest.raises(DamagedPartError):
        open_container(replace(one, payload=other.payload), BOB)
    cipher = create_payload_cipher(KEY, **NAMES)
    with pytest.raises(DamagedSegmentError):
        cipher.decrypt_segment_into(0, other.payload, memoryview(bytearray(200)), final=True)


def test_a_part_of_the_same_transfer_encrypted_again_is_refused() -> None:
    """An upload that started over leaves two authentic versions of a part; the manifest says which is real."""
    iv = make_bytes("iv", 32)
    containers = []
    for plaintext in (b"the version that was signed", b"what stood there one day be"):
        draws = iter([iv, make_bytes(plaintext.hex(), 12)])
        with patch.object(floe.os, "urandom", lambda _length, draws=draws: next(draws)):
            containers.append(make_container(plaintext, data_key=KEY))
    signed, older = containers
    header = SignedManifest.from_json(signed.manifest_json).body.floe_header
    assert header == SignedManifest.from_json(older.manifest_json).body.floe_header
    with pytest.raises(DamagedPartError):
        open_container(replace(signed, payload=older.payload), BOB)


@pytest.mark.parametrize(
    "change",
    [{"suite_id": "PQT-2"}, {"transfer_id": OTHER_TRANSFER_ID}, {"sender": "mallory"}],
    ids=["suite", "transfer", "sender"],
)
def test_the_header_belongs_to_suite_transfer_and_sender(change: dict[str, str]) -> None:
    """The associated data binds them: a payload cannot be given to another sender's name."""
    header = create_payload_cipher(KEY, **NAMES).header
    assert open_payload_cipher(KEY, header=header, **NAMES).header == header
    with pytest.raises(WrongDataKeyError):
        open_payload_cipher(KEY, header=header, **(NAMES | change))


@pytest.mark.parametrize("length", [0, 9, 11])
@pytest.mark.parametrize("planned", [0, 10])
def test_a_source_of_another_length_than_planned_gives_no_payload(planned: int, length: int) -> None:
    """A source that ends early, or goes on, must not be cut or shortened in silence."""
    if planned == length:
        return
    cipher, room = create_payload_cipher(KEY, **NAMES), PartBuffer(bytearray(planned + 32)).take
    with pytest.raises(ValueError, match=r"bytes of plaintext|zip\(\) argument 2"):
        encrypt_part(cipher, plan_payload(planned), 0, [bytes(length)] if length else [], room)


def test_a_source_that_goes_on_after_the_last_segment_gives_no_payload() -> None:
    """Neither does one that ends with a segment too few."""
    cipher, geometry = create_payload_cipher(KEY, **NAMES), plan_payload(CAPACITY + 5)
    for slices in ([bytes(CAPACITY)], [bytes(CAPACITY), bytes(5), bytes(5)]):
        with pytest.raises(ValueError, match="argument 2 is"):
            encrypt_part(cipher, geometry, 0, slices, PartBuffer(bytearray(2 * ONE_MEBIBYTE)).take)
        room = PartBuffer(bytearray(2 * ONE_MEBIBYTE)).take
        with pytest.raises(ValueError, match="argument 2 is"):
            decrypt_part(cipher, geometry, 0, slices, room, expected_sha256=bytes(32))


def test_slices_may_hold_numbers() -> None:
    """A model read as an array of 4-byte numbers is as good as bytes."""
    cipher, geometry = create_payload_cipher(KEY, **NAMES), plan_payload(400)
    numbers = memoryview(bytes(range(200)) * 2).cast("I")
    sealed, opened = bytearray(432), bytearray(400)
    digest = encrypt_part(cipher, geometry, 0, [numbers], PartBuffer(sealed).take)
    assert digest == hashlib.sha256(sealed).digest()
    decrypt_part(cipher, geometry, 0, [sealed], PartBuffer(opened).take, expected_sha256=digest)
    assert bytes(opened) == bytes(numbers)


@pytest.mark.parametrize("segment", range(4))
def test_a_part_whose_segment_was_never_authentic_is_named_by_it(segment: int) -> None:
    """The manifest names these very bytes, and one segment of them is bad: the sender made it so."""
    payload = bytearray(LONG_ONE_PART.payload)
    payload[segment * ONE_MEBIBYTE + 20] ^= 1
    opened = bytearray(len(MODEL))
    with pytest.raises(DamagedSegmentError, match=f"segment {segment}"):
        decrypt_long(payload, opened, digest=hashlib.sha256(payload).digest())
    assert bytes(opened[segment * CAPACITY : (segment + 1) * CAPACITY]) == bytes(
        min(CAPACITY, len(MODEL) - segment * CAPACITY)
    )


@pytest.mark.parametrize("segment", range(4))
def test_a_part_is_refused_whichever_of_its_segments_is_another(segment: int) -> None:
    """Also where each segment is authentic, as one that a recipient has made with the data key: the digest tells."""
    payload = bytearray(LONG_ONE_PART.payload)
    manifest, cipher = open_long()
    where = manifest.geometry.segment_ciphertext(segment)
    other = bytes(manifest.geometry.segment_plaintext(segment).length)
    final = manifest.geometry.is_final(segment)
    cipher.encrypt_segment_into(segment, other, memoryview(payload)[where.start : where.end], final=final)
    with pytest.raises(DamagedPartError):
        decrypt_long(payload, bytearray(len(MODEL)), digest=manifest.part_sha256[0])


@pytest.mark.parametrize(("taken", "error"), [([3, 3], "no room for 6"), ([3], "ended after 3"), ([], "ended after 0")])
def test_a_buffer_takes_exactly_a_part(taken: list[int], error: str) -> None:
    """Nothing is written beside it, and nothing of an earlier part passes for this one."""
    buffer = PartBuffer(bytearray(5))

    def use() -> None:
        for length in taken:
            assert len(buffer.take(length)) == length
        buffer.require_full()

    with pytest.raises(ValueError, match=error):
        use()


def open_long() -> tuple[Manifest, FloeCipher]:
    manifest = SignedManifest.from_json(LONG_ONE_PART.manifest_json).body
    data_key = open_envelope(Envelope.from_json(LONG_ONE_PART.envelope_json), manifest, [BOB])
    return manifest, open_payload_cipher(data_key, header=manifest.floe_header, **NAMES)


def decrypt_long(payload: bytearray, out: bytearray, *, digest: bytes) -> None:
    manifest, cipher = open_long()
    slices = cut_slices(bytes(payload), manifest.geometry.part_ciphertext(0), ONE_MEBIBYTE)
    decrypt_part(cipher, manifest.geometry, 0, slices, PartBuffer(out).take, expected_sha256=digest)
