"""The secret that the keys of a log or a witness are derived from, in Secrets Manager."""

from typing import TYPE_CHECKING

from pqtransfer.aws.failures import translated
from pqtransfer.crypto.secret import SecretBytes

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def read_signing_secret(client: "SecretsManagerClient", secret_id: str) -> SecretBytes:
    """The secret. Only the one role that signs with it may read it.

    Raises:
        CloudError: it cannot be read.
    """
    with translated(action=f"read the signing secret {secret_id}"):
        return SecretBytes(client.get_secret_value(SecretId=secret_id)["SecretString"].encode())
