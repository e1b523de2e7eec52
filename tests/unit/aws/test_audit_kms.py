"""A log that signs with KMS is read like any other. The client is a fake: no emulator knows these key specs."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy, open_checkpoint, sign_checkpoint
from pqtransfer.audit.derived_keys import LOG_KINDS
from pqtransfer.audit.errors import InvalidNoteKeyError
from pqtransfer.audit.note_keys import SignatureKind
from pqtransfer.aws.audit_kms import KmsNoteSigner
from tests.unit.audit.keys import ORIGIN

ALGORITHMS = {"ed": "ED25519_SHA_512", "ml": "ML_DSA_SHAKE_256"}


class FakeKms:
    """Two keys, which sign raw messages of at most 4,096 bytes with their own algorithm."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {
            "ed": Ed25519PrivateKey.generate(),
            "ml": MLDSA44PrivateKey.generate(),
            "ec": generate_private_key(SECP256R1()),
        }

    def get_public_key(self, **asked: Any) -> dict[str, bytes]:
        public_key = self.keys[asked["KeyId"]].public_key()
        return {"PublicKey": public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}

    def sign(self, **asked: Any) -> dict[str, bytes]:
        assert (asked["MessageType"], asked["SigningAlgorithm"]) == ("RAW", ALGORITHMS[asked["KeyId"]])
        assert len(asked["Message"]) <= 4096
        return {"Signature": self.keys[asked["KeyId"]].sign(asked["Message"])}


def test_a_checkpoint_that_kms_has_signed_is_believed() -> None:
    """Under both keys, by the policy that any reader has."""
    client: Any = FakeKms()
    signers = [
        KmsNoteSigner.connect(client, key_id=key_id, name=ORIGIN, kind=kind)
        for key_id, kind in zip(("ed", "ml"), LOG_KINDS, strict=True)
    ]
    checkpoint = Checkpoint(ORIGIN, 7, bytes(32))
    note = sign_checkpoint(checkpoint, signers, time_seconds=1_780_000_000).to_bytes()
    policy = TrustPolicy(ORIGIN, log_keys=tuple(signer.key for signer in signers))
    assert open_checkpoint(note, policy).checkpoint == checkpoint


@pytest.mark.parametrize(
    ("key_id", "kind"),
    [("ed", SignatureKind.MLDSA44_COSIGNATURE), ("ml", SignatureKind.ED25519), ("ec", SignatureKind.ED25519)],
)
def test_a_key_of_another_algorithm_is_refused(key_id: str, kind: SignatureKind) -> None:
    """At the start, by name."""
    client: Any = FakeKms()
    with pytest.raises(InvalidNoteKeyError, match=key_id):
        KmsNoteSigner.connect(client, key_id=key_id, name=ORIGIN, kind=kind)
