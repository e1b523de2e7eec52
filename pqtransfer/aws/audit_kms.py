"""Signs the audit log's notes with keys that never leave KMS: `ECC_NIST_EDWARDS25519` and `ML_DSA_44`.

Not run against AWS: the embedded cloud's KMS knows neither key spec. It is tested against a fake client that signs with
the same algorithms, and holds to what AWS documents: `MessageType=RAW`, and SubjectPublicKeyInfo from `GetPublicKey`.
"""

from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from pqtransfer.audit.errors import InvalidNoteKeyError
from pqtransfer.audit.note_keys import NoteKey, SignatureKind
from pqtransfer.aws.failures import translated

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

ALGORITHMS = {
    SignatureKind.ED25519: "ED25519_SHA_512",
    SignatureKind.ED25519_COSIGNATURE: "ED25519_SHA_512",
    SignatureKind.MLDSA44_COSIGNATURE: "ML_DSA_SHAKE_256",
}


class KmsNoteSigner:
    """`NoteSigner` on one KMS key. A message of a checkpoint has less than the 4,096 bytes that KMS signs."""

    def __init__(self, client: "KMSClient", *, key_id: str, key: NoteKey) -> None:
        self._client = client
        self._key_id = key_id
        self._key = key

    @classmethod
    def connect(cls, client: "KMSClient", *, key_id: str, name: str, kind: SignatureKind) -> Self:
        """The signer with the public key that KMS says it has.

        Raises:
            InvalidNoteKeyError: it is of another algorithm.
            CloudError: KMS did not answer.
        """
        with translated(action=f"read the public key {key_id}"):
            public_key = load_der_public_key(client.get_public_key(KeyId=key_id)["PublicKey"])
        expected = MLDSA44PublicKey if kind is SignatureKind.MLDSA44_COSIGNATURE else Ed25519PublicKey
        if not isinstance(public_key, (MLDSA44PublicKey, Ed25519PublicKey)) or not isinstance(public_key, expected):
            raise InvalidNoteKeyError(f"the KMS key {key_id} does not sign as {kind.name}")
        return cls(client, key_id=key_id, key=NoteKey(name, kind, public_key.public_bytes_raw()))

    @property
    def key(self) -> NoteKey:
        return self._key

    def sign(self, message: bytes) -> bytes:
        algorithm: Any = ALGORITHMS[self._key.kind]
        with translated(action=f"sign with {self._key_id}"):
            answer = self._client.sign(
                KeyId=self._key_id, Message=message, MessageType="RAW", SigningAlgorithm=algorithm
            )
        return answer["Signature"]
