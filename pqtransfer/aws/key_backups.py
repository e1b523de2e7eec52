"""Backups of private keys in S3, and the copy that KMS seals."""

import base64
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pqtransfer.aws.clients import Session, client_config
from pqtransfer.aws.failures import CloudNotFoundError, CloudRequestError, ConditionFailedError, translated
from pqtransfer.aws.folder import S3Connection
from pqtransfer.crypto.key_backup import require_recovery_key
from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.crypto.sealing import UnsealError
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.keys.backups import KeyBackups

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

BACKUPS_PREFIX = "backups/"
BROKEN_SEAL_CODES = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class S3BackupStore:
    """A `BackupStore` in a bucket under Object Lock: what is written stays for as long as the bucket says."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def create(self, name: str, data: bytes) -> None:
        try:
            self._put(name, data, IfNoneMatch="*")
        except ConditionFailedError:
            return

    def replace(self, name: str, data: bytes) -> None:
        self._put(name, data)  # the versions before stay, as long as they are locked

    def _put(self, name: str, data: bytes, **condition: str) -> None:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode("ascii")
        with translated(action=f"write the backup {self._locate(name)}"):
            self._client.put_object(
                Bucket=self._bucket,
                Key=BACKUPS_PREFIX + name,
                Body=data,
                ContentType="application/json",
                ChecksumSHA256=digest,
                **condition,  # type: ignore[arg-type]
            )

    def read(self, name: str, *, limit_bytes: int) -> bytes | None:
        try:
            with translated(action=f"read the backup {self._locate(name)}"):
                answer = self._client.get_object(Bucket=self._bucket, Key=BACKUPS_PREFIX + name)
                return answer["Body"].read(limit_bytes + 1)
        except CloudNotFoundError:
            return None

    def holds(self, name: str) -> bool:
        # Listing needs no right to read: whoever makes backups cannot open them.
        return name in self.list_names(prefix=name)

    def remove(self, name: str) -> None:
        # A delete marker: the locked version stays until its time is over, and the bucket's lifecycle takes it.
        with translated(action=f"remove the backup {self._locate(name)}"):
            self._client.delete_object(Bucket=self._bucket, Key=BACKUPS_PREFIX + name)

    def list_names(self, *, prefix: str = "") -> Iterator[str]:
        with translated(action=f"list the backups {self._locate(prefix)}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=BACKUPS_PREFIX + prefix
            )
            for page in pages:
                for found in page.get("Contents", []):
                    yield found["Key"].removeprefix(BACKUPS_PREFIX)

    def _locate(self, name: str) -> str:
        return f"s3://{self._bucket}/{BACKUPS_PREFIX}{name}"


class KmsBackupSealer:
    """A `BackupSealer` under one KMS key. The context is authenticated, and stands in the cloud's own trail."""

    def __init__(self, client: "KMSClient", *, key_arn: str) -> None:
        self._client = client
        self._key_arn = key_arn

    @property
    def key_name(self) -> str:
        return self._key_arn

    def seal(self, secret: SecretBytes, *, context: dict[str, str]) -> bytes:
        with translated(action=f"seal the backup of key {context.get('pqtransfer:key_id', '')[:16]}"):
            answer = self._client.encrypt(KeyId=self._key_arn, Plaintext=secret.reveal(), EncryptionContext=context)
        return answer["CiphertextBlob"]

    def unseal(self, sealed: bytes, *, context: dict[str, str]) -> SecretBytes:
        try:
            with translated(action=f"open the backup of key {context.get('pqtransfer:key_id', '')[:16]}"):
                answer = self._client.decrypt(KeyId=self._key_arn, CiphertextBlob=sealed, EncryptionContext=context)
        except CloudRequestError as error:
            if error.aws_code in BROKEN_SEAL_CODES:
                raise UnsealError from None
            raise
        return SecretBytes(answer["Plaintext"])


def connect_key_backups(
    session: Session, *, environment: str, bucket: str, key_arn: str, recovery_public_key: str
) -> KeyBackups:
    """The backups of an environment.

    Args:
        recovery_public_key: the document of the public key that backups are sealed to.

    Raises:
        MalformedDocumentError, InvalidKeyError, NotARecoveryKeyError: it is not such a key.
    """
    return KeyBackups(
        environment=environment,
        store=S3BackupStore(S3Connection.open(session).client, bucket=bucket),
        sealer=KmsBackupSealer(session.client("kms", config=client_config()), key_arn=key_arn),
        recovery_key=require_recovery_key(PublicKey.from_json(recovery_public_key.encode())),
    )
