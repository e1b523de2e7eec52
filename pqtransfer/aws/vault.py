"""Private keys in Secrets Manager, readable by the participant's own role and nobody else.

A secret is made in three steps: empty, then its resource policy, then its value. So there is no moment in which a value
lies there without the policy, and a secret that has a value is complete.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pqtransfer.aws.clients import client_config, make_role_session
from pqtransfer.aws.failures import CloudAccessDeniedError, translated
from pqtransfer.aws.roles import secret_prefix
from pqtransfer.crypto.keypairs import PrivateKey, PublicKey
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import IntegrityError, UnavailableError
from pqtransfer.keys.custody import KeyNotStoredError, StoredKeyMismatchError
from pqtransfer.keys.participant import KeyVersion

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import CredentialsTypeDef

    SecretsConnector = Callable[[CredentialsTypeDef], SecretsManagerClient]

KEY_ID_DIGITS_IN_NAME = 16
CURRENT_STAGE = "AWSCURRENT"
SESSION_SECONDS = 900
"""The shortest session STS gives: long enough for one read."""
PROPAGATION_SECONDS = 60
"""A new role, its policy and that of a secret are not known everywhere at once; usually it takes some seconds."""


class RoleNotKnownYetError(UnavailableError):
    """A participant's role and secrets were made a moment ago, and could not be used yet."""

    def __init__(self, participant: str, cause: CloudAccessDeniedError) -> None:
        super().__init__(
            f"{participant} was registered a moment ago, and what its role may do is not known everywhere yet: {cause}"
        )


class KeyEmptyError(IntegrityError):
    """A secret is there, and nothing is in it."""

    def __init__(self, secret_id: str) -> None:
        super().__init__(
            f"the secret {secret_id} is empty: storing the key was interrupted. A rotation goes on by itself; if this "
            "is a key in use, restore it from its backup"
        )


class SecretsManagerVault:
    """A `PrivateKeyVault` in Secrets Manager. It can write and delete; it has no way to read."""

    def __init__(
        self, client: "SecretsManagerClient", *, environment: str, encryption_key_arn: str | None = None
    ) -> None:
        self._client = client
        self._environment = environment
        self._encryption_key_arn = encryption_key_arn

    def name_secret(self, participant: str, public_key: PublicKey) -> str:
        prefix = secret_prefix(self._environment, participant)
        return f"{prefix}{public_key.purpose}/{public_key.key_id[:KEY_ID_DIGITS_IN_NAME]}"

    def store(self, key: KeyVersion, private_key: PrivateKey, *, role_arn: str) -> None:
        if private_key.public_key.key_id != key.key_id:
            raise StoredKeyMismatchError(key)
        secret_id = _require_secret_id(key)
        with translated(action=f"store the private key {secret_id}"):
            self._create_empty(key, secret_id)
            self._client.put_resource_policy(SecretId=secret_id, ResourcePolicy=json.dumps(_only_readable_by(role_arn)))
            self._client.put_secret_value(
                SecretId=secret_id,
                ClientRequestToken=key.key_id,
                SecretString=private_key.to_json().reveal().decode("ascii"),
            )

    def holds(self, key: KeyVersion) -> bool:
        secret_id = _require_secret_id(key)
        with translated(action=f"look for the private key {secret_id}"):
            try:
                secret = self._client.describe_secret(SecretId=secret_id)
            except self._client.exceptions.ResourceNotFoundException:
                return False
        # Its own version, by the token that it was stored under: a secret that is still empty may have one, too.
        stages = (secret.get("VersionIdsToStages") or {}).get(key.key_id, [])
        return "DeletedDate" not in secret and CURRENT_STAGE in stages

    def discard(self, key: KeyVersion) -> None:
        secret_id = _require_secret_id(key)
        with translated(action=f"delete the private key {secret_id}"):
            try:
                self._client.delete_secret(SecretId=secret_id, ForceDeleteWithoutRecovery=True)
            except self._client.exceptions.ResourceNotFoundException:
                return

    def _create_empty(self, key: KeyVersion, secret_id: str) -> None:
        encrypted = {"KmsKeyId": self._encryption_key_arn} if self._encryption_key_arn else {}
        try:
            self._client.create_secret(
                Name=secret_id,
                Description=f"The private {key.purpose} key {key.key_id[:KEY_ID_DIGITS_IN_NAME]} of {key.participant}",
                Tags=[{"Key": "participant", "Value": key.participant}],
                **encrypted,  # type: ignore[arg-type]  # mypy takes the values for every keyword's type
            )
        except self._client.exceptions.ResourceExistsException:
            return


class RoleKeyReader:
    """A `PrivateKeyReader` that takes the participant's role in STS for each read."""

    def __init__(
        self,
        sts: "STSClient",
        *,
        connect: "SecretsConnector | None" = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            sts: the caller's own STS client.
            connect: makes a Secrets Manager client from the role's credentials; by default in the region of `sts`.
            now: tells whether a key is so new that its role may not be known everywhere yet.
        """
        self._sts = sts
        self._now = now
        self._connect = connect or self._connect_in_region

    def read(self, key: KeyVersion, *, role_arn: str, session_name: str) -> PrivateKey:
        secret_id = _require_secret_id(key)
        try:
            stored = self._read_secret(secret_id, key.participant, role_arn=role_arn, session_name=session_name)
        except CloudAccessDeniedError as error:
            if self._now() - key.created_at < timedelta(seconds=PROPAGATION_SECONDS):
                raise RoleNotKnownYetError(key.participant, error) from None
            raise
        private_key = PrivateKey.from_json(stored)
        if private_key.public_key.key_id != key.key_id:
            raise StoredKeyMismatchError(key)
        return private_key

    def _read_secret(self, secret_id: str, participant: str, *, role_arn: str, session_name: str) -> SecretBytes:
        with translated(action=f"act as {participant} ({role_arn})"):
            credentials = self._sts.assume_role(
                RoleArn=role_arn, RoleSessionName=session_name, DurationSeconds=SESSION_SECONDS
            )["Credentials"]
        with translated(action=f"read the private key {secret_id} as {role_arn}"):
            answer = self._connect(credentials).get_secret_value(SecretId=secret_id)
        if "SecretString" not in answer:
            raise KeyEmptyError(secret_id)
        return SecretBytes(answer["SecretString"].encode())

    def _connect_in_region(self, credentials: "CredentialsTypeDef") -> "SecretsManagerClient":
        session = make_role_session(credentials, region=self._sts.meta.region_name)
        return session.client("secretsmanager", config=client_config())


def _only_readable_by(role_arn: str) -> dict[str, Any]:
    # AWS compares the role's ARN whoever took it; emulators compare the ARN of the session.
    account_part, _, role_path = role_arn.partition(":role/")
    sessions_arn = f"{account_part.replace(':iam:', ':sts:')}:assumed-role/{role_path.rpartition('/')[2]}/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyTheParticipantReads",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": "*",
                "Condition": {"ArnNotLike": {"aws:PrincipalArn": [role_arn, sessions_arn]}},
            }
        ],
    }


def _require_secret_id(key: KeyVersion) -> str:
    if key.secret_id is None:
        raise KeyNotStoredError(key)
    return key.secret_id
