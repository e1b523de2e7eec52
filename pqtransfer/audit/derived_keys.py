"""The keys of a log or of a witness, derived from one secret that a secret service has drawn.

So there is nothing to make at a first run, and nothing that could be made twice: the same secret is the same keys.
"""

from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pqtransfer.audit.note_keys import SEED_LENGTH_BYTES, LocalNoteSigner, SignatureKind
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import InputError

LOG_KINDS = (SignatureKind.ED25519, SignatureKind.MLDSA44_COSIGNATURE)
WITNESS_KINDS = (SignatureKind.ED25519_COSIGNATURE, SignatureKind.MLDSA44_COSIGNATURE)
SECRET_LENGTH_BYTES_AT_LEAST = 43
"""256 bits in letters and digits."""


class ShortSecretError(InputError):
    """A secret has too few characters to derive keys from."""

    def __init__(self) -> None:
        super().__init__(
            f"the secret of the audit log's keys has less than {SECRET_LENGTH_BYTES_AT_LEAST} characters; "
            "deploy the stack that holds it, and let nobody else write it"
        )


def derive_signers(name: str, kinds: Sequence[SignatureKind], secret: SecretBytes) -> list[LocalNoteSigner]:
    """One signer of each kind. HKDF-SHA-256, `info` = what it is for, the kind, and the name of the log or witness.

    Raises:
        ShortSecretError: the secret is none that this could be safe with.
        InvalidNoteKeyError: the name is none.
    """
    if len(secret) < SECRET_LENGTH_BYTES_AT_LEAST:
        raise ShortSecretError
    return [LocalNoteSigner(name, kind, _derive_seed(name, kind, secret)) for kind in kinds]


def _derive_seed(name: str, kind: SignatureKind, secret: SecretBytes) -> SecretBytes:
    info = b"pqtransfer-audit-key/1\n" + bytes([kind]) + name.encode()
    return SecretBytes(HKDF(SHA256(), SEED_LENGTH_BYTES, salt=None, info=info).derive(secret.reveal()))
