"""Containers that were written once stay readable, and FLOE gives the published answers."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from pqtransfer.crypto import floe
from pqtransfer.crypto.floe import DamagedSegmentError, FloeCipher, WrongDataKeyError
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.crypto.secret import SecretBytes
from tests.containers import Container, make_bytes, make_container, make_identity, open_container

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "floe"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "vectors.json").read_text(encoding="utf-8"))

each_vector = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
each_published = pytest.mark.parametrize(("name", "segment_size"), [("64", 64), ("4K", 4096)])


def replay(case: dict[str, Any]) -> Container:
    """The container of a case, its payload made again from the IV and the nonces that the case lists."""
    draws = [bytes.fromhex(draw) for draw in (case["floe_iv"], *case["segment_nonces"])]
    plaintext = case["plaintext"]
    with patch.object(floe.os, "urandom", lambda length: draws.pop(0)[:length]):
        return make_container(
            make_bytes(plaintext["shake256_of"], plaintext["length"]),
            suite_id=case["suite"],
            data_key=SecretBytes(bytes.fromhex(case["data_key"])),
        )


@each_vector
def test_every_recipient_opens_the_committed_container(case: dict[str, Any]) -> None:
    """Today's code reads what the first version wrote, for each recipient, from the seed in vectors.json."""
    directory = VECTORS / case["name"]
    payload = (directory / "payload").read_bytes() if case["payload_committed"] else replay(case).payload
    container = Container(
        payload, (directory / "manifest.json").read_bytes(), (directory / "envelope.json").read_bytes()
    )
    sender = make_identity("alice", case["suite"]).signing.public_key
    assert sender.key_id == case["sender_signing_key"]
    for recipient in case["recipients"]:
        key = make_identity(recipient["name"], case["suite"]).kem
        assert key.public_key.key_id == recipient["key_id"]
        plaintext = open_container(container, key, sender=sender)
        assert plaintext == make_bytes(case["plaintext"]["shake256_of"], case["plaintext"]["length"])


@each_vector
def test_encryption_with_the_listed_nonces_gives_the_same_payload(case: dict[str, Any]) -> None:
    """Nothing in the payload depends on anything but data key, names, IV, nonces and plaintext."""
    again = replay(case)
    committed = SignedManifest.from_json((VECTORS / case["name"] / "manifest.json").read_bytes()).body
    made = SignedManifest.from_json(again.manifest_json).body
    assert (made.floe_header, made.part_sha256) == (committed.floe_header, committed.part_sha256)
    if case["payload_committed"]:
        assert again.payload == (VECTORS / case["name"] / "payload").read_bytes()


def read_published(name: str) -> tuple[bytes, bytes]:
    plaintext = PUBLISHED / f"go_GCM256_IV256_{name}_pt.txt"
    if not plaintext.exists():
        pytest.skip("FLOE's published answers are not on this machine (shared/vectors/floe)")
    ciphertext = PUBLISHED / f"go_GCM256_IV256_{name}_ct.txt"
    return bytes.fromhex(plaintext.read_text()), bytes.fromhex(ciphertext.read_text())


@each_published
def test_floe_decrypts_the_published_ciphertext(name: str, segment_size: int) -> None:
    """Header tag, message key, segment keys, marks and AAD are FLOE's."""
    expected, ciphertext = read_published(name)
    header, body = ciphertext[:74], ciphertext[74:]
    cipher = FloeCipher.open(
        SecretBytes(bytes(32)), header=header, associated_data=b"This is AAD", segment_size_bytes=segment_size
    )
    segments = [body[start : start + segment_size] for start in range(0, len(body), segment_size)]
    plaintext = bytearray()
    for index, segment in enumerate(segments):
        out = memoryview(bytearray(segment_size))
        length = cipher.decrypt_segment_into(index, segment, out, final=index == len(segments) - 1)
        plaintext += out[:length]
    assert bytes(plaintext) == expected


@each_published
def test_floe_encrypts_to_the_published_ciphertext(name: str, segment_size: int) -> None:
    """With the published IV and nonces every byte is the published one."""
    plaintext, ciphertext = read_published(name)
    header, body = ciphertext[:74], ciphertext[74:]
    cipher = FloeCipher(
        SecretBytes(bytes(32)), associated_data=b"This is AAD", segment_size_bytes=segment_size, iv=header[10:42]
    )
    assert cipher.header == header
    segments = [body[start : start + segment_size] for start in range(0, len(body), segment_size)]
    for index, segment in enumerate(segments):
        chunk = plaintext[index * (segment_size - 32) : (index + 1) * (segment_size - 32)]
        out = memoryview(bytearray(segment_size))
        with patch.object(floe.os, "urandom", lambda _length, nonce=segment[4:16]: nonce):
            length = cipher.encrypt_segment_into(index, chunk, out, final=index == len(segments) - 1)
        assert bytes(out[:length]) == segment


@each_published
def test_floe_refuses_another_key_or_other_associated_data(name: str, segment_size: int) -> None:
    """The header tag commits to the data key and the associated data."""
    _, ciphertext = read_published(name)
    for key, associated_data in ((b"\1" * 32, b"This is AAD"), (bytes(32), b"this is AAD")):
        with pytest.raises(WrongDataKeyError):
            FloeCipher.open(
                SecretBytes(key),
                header=ciphertext[:74],
                associated_data=associated_data,
                segment_size_bytes=segment_size,
            )


@each_published
def test_floe_refuses_a_published_segment_out_of_its_place(name: str, segment_size: int) -> None:
    """Position and finality are authenticated."""
    _, ciphertext = read_published(name)
    cipher = FloeCipher.open(
        SecretBytes(bytes(32)), header=ciphertext[:74], associated_data=b"This is AAD", segment_size_bytes=segment_size
    )
    first = ciphertext[74 : 74 + segment_size]
    for index, final in ((1, False), (0, True), (1 << 20, False)):
        with pytest.raises(DamagedSegmentError):
            cipher.decrypt_segment_into(index, first, memoryview(bytearray(segment_size)), final=final)
