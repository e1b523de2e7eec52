"""Keys: one purpose, one suite, a seed; whatever is not a key is refused by name before it is used."""

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.crypto.canonical_json import MalformedDocumentError, encode_base64, write_canonical_json
from pqtransfer.crypto.keypairs import InvalidKeyError, KeyPurpose, PrivateKey, PublicKey, generate_private_key
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import UnknownSuiteError
from pqtransfer.errors import PqtransferError
from tests.containers import make_bytes, make_identity

KEM, SIGNING = KeyPurpose.KEM, KeyPurpose.SIGNING
each_kind = pytest.mark.parametrize(
    ("purpose", "suite_id", "length"),
    [(KEM, "PQT-1", 1216), (KEM, "PQT-2", 1665), (SIGNING, "PQT-1", 1952), (SIGNING, "PQT-2", 2592)],
)
SMALL_ORDER_POINTS = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


@each_kind
def test_both_halves_survive_their_documents(purpose: KeyPurpose, suite_id: str, length: int) -> None:
    key = generate_private_key(purpose, suite_id)
    assert len(key.public_key.raw) == length
    assert PublicKey.from_json(key.public_key.to_json()) == key.public_key
    again = PrivateKey.from_json(key.to_json())
    assert again.public_key == key.public_key
    assert again.to_json() == key.to_json()


def test_a_key_id_is_the_digest_of_the_whole_document() -> None:
    """Purpose and suite are in it: the same bytes for another purpose are another key."""
    key = make_identity("bob").kem.public_key
    assert key.key_id == "e6762ee91e9a1380f3d4612a23a99ee8299cdc314d27ad92a986088982326314"
    assert key.model_copy(update={"suite_id": "PQT-2"}).key_id != key.key_id
    assert key.model_copy(update={"purpose": KeyPurpose.SIGNING}).key_id != key.key_id


@each_kind
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_public_key_of_another_length_is_refused(
    purpose: KeyPurpose, suite_id: str, length: int, difference: int
) -> None:
    key = PublicKey(purpose=purpose, suite_id=suite_id, raw=bytes(length + difference))
    with pytest.raises(InvalidKeyError, match=f"has {length} bytes"):
        key.require_valid()


def change_kem_key(suite_id: str, start: int, value: bytes) -> PublicKey:
    raw = make_identity("bob", suite_id).kem.public_key.raw
    return PublicKey(purpose=KEM, suite_id=suite_id, raw=raw[:start] + value + raw[start + len(value) :])


@pytest.mark.parametrize(
    "key",
    [
        *(change_kem_key("PQT-1", 1184, point) for point in SMALL_ORDER_POINTS),
        change_kem_key("PQT-1", 0, b"\xff" * 1152),  # ML-KEM coefficients above the modulus (FIPS 203, 7.2)
        change_kem_key("PQT-2", 0, b"\xff" * 1536),
        change_kem_key("PQT-2", 1568 + 96, b"\0"),  # not on the curve
        change_kem_key("PQT-2", 1568, b"\2"),  # a compressed point's mark
        change_kem_key("PQT-2", 1568, b"\6"),  # a hybrid point's mark
        change_kem_key("PQT-2", 1568, bytes(97)),  # the point at infinity
    ],
)
def test_bytes_that_are_no_key_are_refused_on_reading(key: PublicKey) -> None:
    """Otherwise they would be registered, and every later seal to them would fail."""
    with pytest.raises(InvalidKeyError, match="not a valid"):
        PublicKey.from_json(key.to_json())


def test_a_key_serves_one_purpose() -> None:
    bob = make_identity("bob")
    for misuse in (
        bob.kem.public_key.to_mldsa,
        bob.signing.public_key.to_hpke,
        bob.kem.to_mldsa,
        bob.signing.to_hpke,
        lambda: bob.kem.sign(b"", context=b""),
        lambda: bob.kem.public_key.verifies(b"", b"", context=b""),
    ):
        with pytest.raises(InvalidKeyError):
            misuse()


@pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
def test_a_signature_holds_for_its_key_message_and_context_only(suite_id: str) -> None:
    bob, eve = make_identity("bob", suite_id).signing, make_identity("eve", suite_id).signing
    signature = bob.sign(b"message", context=b"context")
    changed = signature[:-1] + bytes([signature[-1] ^ 1])
    assert bob.public_key.verifies(signature, b"message", context=b"context")
    assert not eve.public_key.verifies(signature, b"message", context=b"context")
    assert not bob.public_key.verifies(signature, b"Message", context=b"context")
    assert not bob.public_key.verifies(signature, b"message", context=b"contex")
    for other in (changed, b"", signature[:-1], signature + b"\0"):
        assert not bob.public_key.verifies(other, b"message", context=b"context")


def test_verifies_does_not_hide_a_programming_error() -> None:
    """A context that FIPS 204 does not allow is not an invalid signature."""
    with pytest.raises(ValueError, match=r"."):
        make_identity("bob").signing.public_key.verifies(b"", b"", context=bytes(256))


def test_a_signing_seed_is_the_xi_of_fips_204() -> None:
    seed = make_bytes("xi", 32)
    expected = mldsa.MLDSA65PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()
    assert PrivateKey(SIGNING, "PQT-1", SecretBytes(seed)).public_key.raw == expected


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(length: int) -> None:
    with pytest.raises(InvalidKeyError, match="32 bytes"):
        PrivateKey(KEM, "PQT-1", SecretBytes(bytes(length)))


GOOD = {"format": "pqtransfer-private-key/1", "purpose": "kem", "seed": encode_base64(bytes(32)), "suite_id": "PQT-1"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": "pqtransfer-private-key/2"}, MalformedDocumentError),
        ({"purpose": "both"}, MalformedDocumentError),
        ({"seed": encode_base64(bytes(31))}, MalformedDocumentError),
        ({"seed": "?"}, MalformedDocumentError),
        ({"extra": 1}, MalformedDocumentError),
        ({"suite_id": "PQT-9"}, UnknownSuiteError),
    ],
)
def test_a_private_key_document_that_is_not_one(change: dict[str, object], error: type[PqtransferError]) -> None:
    assert PrivateKey.from_json(SecretBytes(write_canonical_json(GOOD)))
    with pytest.raises(error):
        PrivateKey.from_json(SecretBytes(write_canonical_json(GOOD | change)))


@settings(max_examples=150)
@given(st.data())
def test_any_changed_bit_gives_another_key_or_a_named_error(data: st.DataObject) -> None:
    """No changed document passes for the key it was."""
    suite_id = data.draw(st.sampled_from(["PQT-1", "PQT-2"]))
    key = make_identity("bob", suite_id).kem.public_key
    document = bytearray(key.to_json())
    bit = data.draw(st.integers(0, len(document) * 8 - 1))
    document[bit // 8] ^= 1 << bit % 8
    try:
        read = PublicKey.from_json(bytes(document))
    except PqtransferError:
        return
    assert read.key_id != key.key_id
