"""The closed registry of cipher suites. A suite is a whole: nothing in it is chosen by itself.

| id    | KEM (HPKE)                    | KDF         | AEAD        | signature | hash    |
|-------|-------------------------------|-------------|-------------|-----------|---------|
| PQT-1 | MLKEM768-X25519 (0x647a)      | HKDF-SHA256 | AES-256-GCM | ML-DSA-65 | SHA-256 |
| PQT-2 | MLKEM1024-P384 (0x0051)       | HKDF-SHA384 | AES-256-GCM | ML-DSA-87 | SHA-384 |

The payload is FLOE (AES-256-GCM, HKDF-SHA-384) in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import mldsa

from pqtransfer.errors import InputError

KEM_SEED_LENGTH_BYTES = 32
SIGNING_SEED_LENGTH_BYTES = 32

SigningPrivateKey: TypeAlias = mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
SigningPublicKey: TypeAlias = mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey


class UnknownSuiteError(InputError):
    """The suite is not in the registry."""

    def __init__(self, suite_id: str) -> None:
        super().__init__(f"suite {suite_id[:40]!r} is not known; this version knows {', '.join(SUITES)}")


class WeakSuiteError(InputError):
    """The suite is weaker than the policy allows."""

    def __init__(self, suite_id: str, minimum_suite_id: str) -> None:
        super().__init__(
            f"suite {suite_id} is under the minimum {minimum_suite_id}; "
            f"the sender has to use {minimum_suite_id} or better"
        )


@dataclass(frozen=True)
class Suite:
    """One row of the registry. `strength` orders suites for the minimum-suite policy."""

    id: str
    strength: int
    kem: hpke.KEM
    kem_id: int
    kdf: hpke.KDF
    kem_name: Literal["MLKEM768-X25519", "MLKEM1024-P384"]
    kem_public_key_length_bytes: int
    encapsulation_length_bytes: int
    signature_name: Literal["ML-DSA-65", "ML-DSA-87"]
    signing_private_key_type: type[SigningPrivateKey]
    signing_public_key_type: type[SigningPublicKey]
    signing_public_key_length_bytes: int
    signature_length_bytes: int
    hash_name: Literal["sha256", "sha384"]
    hash: hashes.HashAlgorithm

    def hpke_suite(self) -> hpke.Suite:
        """The HPKE suite (RFC 9180, draft-ietf-hpke-pq) that wraps data keys."""
        return hpke.Suite(self.kem, self.kdf, hpke.AEAD.AES_256_GCM)


PQT_1 = Suite(
    id="PQT-1",
    strength=1,
    kem=hpke.KEM.MLKEM768_X25519,
    kem_id=0x647A,
    kdf=hpke.KDF.HKDF_SHA256,
    kem_name="MLKEM768-X25519",
    kem_public_key_length_bytes=1184 + 32,
    encapsulation_length_bytes=1088 + 32,
    signature_name="ML-DSA-65",
    signing_private_key_type=mldsa.MLDSA65PrivateKey,
    signing_public_key_type=mldsa.MLDSA65PublicKey,
    signing_public_key_length_bytes=1952,
    signature_length_bytes=3309,
    hash_name="sha256",
    hash=hashes.SHA256(),
)
PQT_2 = Suite(
    id="PQT-2",
    strength=2,
    kem=hpke.KEM.MLKEM1024_P384,
    kem_id=0x0051,
    kdf=hpke.KDF.HKDF_SHA384,
    kem_name="MLKEM1024-P384",
    kem_public_key_length_bytes=1568 + 97,
    encapsulation_length_bytes=1568 + 97,
    signature_name="ML-DSA-87",
    signing_private_key_type=mldsa.MLDSA87PrivateKey,
    signing_public_key_type=mldsa.MLDSA87PublicKey,
    signing_public_key_length_bytes=2592,
    signature_length_bytes=4627,
    hash_name="sha384",
    hash=hashes.SHA384(),
)
SUITES: Mapping[str, Suite] = MappingProxyType({suite.id: suite for suite in (PQT_1, PQT_2)})
DEFAULT_SUITE_ID = PQT_1.id


def get_suite(suite_id: str) -> Suite:
    """The suite with this id.

    Raises:
        UnknownSuiteError: it is not in the registry.
    """
    suite = SUITES.get(suite_id)
    if suite is None:
        raise UnknownSuiteError(suite_id)
    return suite


def require_minimum_suite(suite_id: str, *, minimum_suite_id: str) -> Suite:
    """The suite, if it is at least as strong as the minimum.

    Raises:
        UnknownSuiteError: one of the two is not in the registry.
        WeakSuiteError: the suite is weaker than the minimum.
    """
    suite = get_suite(suite_id)
    if suite.strength < get_suite(minimum_suite_id).strength:
        raise WeakSuiteError(suite_id, minimum_suite_id)
    return suite
