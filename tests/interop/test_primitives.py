"""Keys, ML-KEM, ML-DSA and canonical JSON against @noble/post-quantum and liboqs (WebAssembly), both ways."""

from typing import TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem

from pqtransfer.crypto.canonical_json import read_canonical_json, write_canonical_json
from pqtransfer.crypto.keypairs import KeyPurpose, PublicKey
from pqtransfer.crypto.manifest import MANIFEST_CONTEXT
from pqtransfer.crypto.suites import get_suite
from tests.containers import make_bytes, make_identity
from tests.interop.javascript import Ask

MESSAGE = make_bytes("a message", 100)
KemType: TypeAlias = type[mlkem.MLKEM768PrivateKey] | type[mlkem.MLKEM1024PrivateKey]

each_suite = pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
each_kem = pytest.mark.parametrize(
    ("algorithm", "key_type"), [("ML-KEM-768", mlkem.MLKEM768PrivateKey), ("ML-KEM-1024", mlkem.MLKEM1024PrivateKey)]
)


@each_suite
def test_our_seeds_give_the_same_public_keys_elsewhere(ask: Ask, suite_id: str) -> None:
    """A stored seed is enough to use the key with another library: X-Wing's expansion, and FIPS 204's xi."""
    suite = get_suite(suite_id)
    seeds = {purpose: make_bytes(f"pqtransfer test {suite_id} {purpose} dora", 32).hex() for purpose in KeyPurpose}
    kem, signing = ask(
        {"op": "nobleKeys", "algorithm": suite.kem_name, "seed": seeds[KeyPurpose.KEM]},
        {"op": "nobleKeys", "algorithm": suite.signature_name, "seed": seeds[KeyPurpose.SIGNING]},
    )
    dora = make_identity("dora", suite_id)
    assert kem["publicKey"] == dora.kem.public_key.raw.hex()
    assert signing["publicKey"] == dora.signing.public_key.raw.hex()


@each_suite
def test_noble_verifies_our_signatures_under_their_context_only(ask: Ask, suite_id: str) -> None:
    """The context string is FIPS 204's: the same signature is not valid for another kind of document."""
    signing = make_identity("dora", suite_id).signing
    question = {
        "op": "nobleVerify",
        "algorithm": get_suite(suite_id).signature_name,
        "publicKey": signing.public_key.raw.hex(),
        "message": MESSAGE.hex(),
        "signature": signing.sign(MESSAGE, context=MANIFEST_CONTEXT).hex(),
    }
    answers = ask(
        question | {"context": MANIFEST_CONTEXT.hex()}, question | {"context": b"pqtransfer/v1/envelope".hex()}
    )
    assert answers == [{"valid": True}, {"valid": False}]


@each_suite
def test_we_verify_the_signatures_of_noble(ask: Ask, suite_id: str) -> None:
    dora = make_identity("dora", suite_id).signing.public_key
    (answer,) = ask(
        {
            "op": "nobleSign",
            "algorithm": get_suite(suite_id).signature_name,
            "seed": make_bytes(f"pqtransfer test {suite_id} signing dora", 32).hex(),
            "message": MESSAGE.hex(),
            "context": MANIFEST_CONTEXT.hex(),
        }
    )
    signature = bytes.fromhex(answer["signature"])
    assert dora.verifies(signature, MESSAGE, context=MANIFEST_CONTEXT)
    assert not dora.verifies(signature, MESSAGE, context=b"")


@each_suite
def test_liboqs_verifies_our_signatures_and_we_its(ask: Ask, suite_id: str) -> None:
    """With the empty context: the WebAssembly build offers no other."""
    algorithm = get_suite(suite_id).signature_name
    signing = make_identity("dora", suite_id).signing
    verified, signed = ask(
        {
            "op": "liboqsVerify",
            "algorithm": algorithm,
            "publicKey": signing.public_key.raw.hex(),
            "message": MESSAGE.hex(),
            "signature": signing.sign(MESSAGE, context=b"").hex(),
        },
        {"op": "liboqsSign", "algorithm": algorithm, "message": MESSAGE.hex()},
    )
    theirs = PublicKey(purpose=KeyPurpose.SIGNING, suite_id=suite_id, raw=bytes.fromhex(signed["publicKey"]))
    assert verified == {"valid": True}
    assert theirs.verifies(bytes.fromhex(signed["signature"]), MESSAGE, context=b"")


@each_kem
@pytest.mark.parametrize("stack", ["noble", "liboqs"])
def test_mlkem_agrees_both_ways(ask: Ask, algorithm: str, key_type: KemType, stack: str) -> None:
    """What they encapsulate we decapsulate, and the other way round, to the same 32 bytes."""
    seed = make_bytes(f"{algorithm} seed", 64)
    key = key_type.from_seed_bytes(seed)
    secret, ciphertext = key.public_key().encapsulate()
    theirs, ours = ask(
        {"op": f"{stack}Encapsulate", "algorithm": algorithm, "publicKey": key.public_key().public_bytes_raw().hex()},
        {"op": f"{stack}Decapsulate", "algorithm": algorithm, "seed": seed.hex(), "ciphertext": ciphertext.hex()},
    )
    assert key.decapsulate(bytes.fromhex(theirs["ciphertext"])).hex() == theirs["sharedSecret"]
    assert ours == {"sharedSecret": secret.hex()}


def test_javascript_writes_the_same_canonical_json(ask: Ask) -> None:
    """RFC 8785 sorts names by UTF-16 code units and escapes as ECMAScript does: the emoji comes before U+FB33."""
    document = {
        "\ufb33": 1,
        "\U0001f600": 2,
        "\u20ac": '\u20ac$\u000f\nA\'B"\\"/',
        "a": {"z": [], "b": -5},
        "1": "\x7f",
    }
    (answer,) = ask({"op": "canonical", "document": document})
    assert answer["text"].encode() == write_canonical_json(document)
    assert read_canonical_json(answer["text"].encode(), name="document", limit_bytes=1000) == document
