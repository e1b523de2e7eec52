"""The keys that a log or a witness signs with: made of its secrets, published, and replaced when there is a new secret.

A new secret is drawn by Secrets Manager when its stack is deployed, and nobody else ever holds it. Who signs is told of
the former one too, and by that can show that it may replace what was published under it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pqtransfer.audit.derived_keys import derive_signers
from pqtransfer.audit.key_changes import SigningKeys
from pqtransfer.audit.note_keys import NoteSigner, SignatureKind
from pqtransfer.aws.audit_kms import KmsNoteSigner
from pqtransfer.aws.audit_secrets import read_signing_secret
from pqtransfer.aws.audit_trust import S3TrustBucket

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient


KMS_PREFIX = "kms:"


@dataclass(frozen=True)
class SigningSecrets:
    """Whose keys they are, and what they are made of: what is in force, and what was before it, if anything.

    That is the name of a secret, or `kms:` and the ARNs of KMS keys, one for each kind, with a blank between them.
    """

    name: str
    kinds: Sequence[SignatureKind]
    current_id: str
    former_id: str | None = None


def publish_signing_keys(
    secrets: SigningSecrets,
    *,
    client: "SecretsManagerClient",
    kms: "KMSClient",
    trust: S3TrustBucket,
    path: str,
    announce: Callable[[SigningKeys], None],
) -> SigningKeys:
    """The keys, published at `path` of the trust bucket. `announce` is called before they take the place of others.

    Raises:
        PublishedKeysDifferError: others are published, and not those of the former secret.
        InvalidNoteKeyError: a key of KMS is of another algorithm.
        AuditUnavailableError: the change could not be recorded; it was not made.
        CloudError: a secret or the bucket cannot be read or written.
    """

    def derive(secret_id: str | None) -> tuple[NoteSigner, ...]:
        if secret_id is None:
            return ()
        if secret_id.startswith(KMS_PREFIX):
            arns = secret_id.removeprefix(KMS_PREFIX).split(" ")
            return tuple(
                KmsNoteSigner.connect(kms, key_id=arn, name=secrets.name, kind=kind)
                for arn, kind in zip(arns, secrets.kinds, strict=True)
            )
        return tuple(derive_signers(secrets.name, secrets.kinds, read_signing_secret(client, secret_id)))

    keys = SigningKeys(derive(secrets.current_id), derive(secrets.former_id))
    trust.publish_keys(
        path,
        [each.key for each in keys.current],
        former=[each.key for each in keys.former],
        before_replacing=lambda: announce(keys),
    )
    return keys.without_revoked(trust.find_revoked())
