"""The keys of a log and of its witness, the same at every run."""

import hashlib

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.note_keys import LocalNoteSigner, SignatureKind
from pqtransfer.crypto.secret import SecretBytes

ORIGIN = "pqtransfer.example/audit"
WITNESS = "witness.example/w1"
TIME_SECONDS = 1_780_000_000


def make_signer(name: str, kind: SignatureKind, seed: str = "") -> LocalNoteSigner:
    return LocalNoteSigner(name, kind, SecretBytes(hashlib.sha256(f"{seed}{name}{kind}".encode()).digest()))


LOG_SIGNERS = [make_signer(ORIGIN, SignatureKind.ED25519), make_signer(ORIGIN, SignatureKind.MLDSA44_COSIGNATURE)]
WITNESS_SIGNERS = [
    make_signer(WITNESS, SignatureKind.ED25519_COSIGNATURE),
    make_signer(WITNESS, SignatureKind.MLDSA44_COSIGNATURE),
]
POLICY = TrustPolicy(
    ORIGIN,
    log_keys=tuple(signer.key for signer in LOG_SIGNERS),
    witness_keys=tuple(signer.key for signer in WITNESS_SIGNERS),
    witnesses_required=1,
)
LOG_POLICY = TrustPolicy(ORIGIN, log_keys=POLICY.log_keys)
