"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from typing import Literal

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class RegisterParticipantSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    environment: Literal["local", "dev", "staging", "production"] = Field(
        description="the name of the environment the function belongs to", examples=["local"]
    )
    participants_table: str = Field(description="the DynamoDB table of the key registry", examples=["participants"])
    participant_role_prefix: str = Field(
        pattern=r"^arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]+$",
        description="the ARN of a managed participant's role, up to the participant's name",
        examples=["arn:aws:iam::123456789012:role/pqtransfer/dev/participants/pqtransfer-dev-participant-"],
    )
    task_role_arn: str = Field(
        description="the role of the transfer workers, which may act as every managed participant",
        examples=["arn:aws:iam::123456789012:role/pqtransfer-dev-task"],
    )
    key_service_role_arn: str = Field(
        description="the role of the function that rotates keys, which may act as every managed participant",
        examples=["arn:aws:iam::123456789012:role/pqtransfer-dev-key-service"],
    )
    protection_role_arn: str = Field(
        description="the role of the function that renews envelopes, which may act as every managed participant",
        examples=["arn:aws:iam::123456789012:role/pqtransfer-dev-protection"],
    )
    incident_response_role_arn: str = Field(
        description="the role of the function that answers a compromise, which may act as every managed participant",
        examples=["arn:aws:iam::123456789012:role/pqtransfer-dev-incident-response"],
    )
    permissions_boundary_arn: str | None = Field(
        default=None,
        description="the policy that bounds what a participant's role can ever be granted",
        examples=["arn:aws:iam::123456789012:policy/pqtransfer-dev-participant-boundary"],
    )
    secrets_key_arn: str | None = Field(
        default=None,
        description="the KMS key that encrypts private keys (without it: the account's key of Secrets Manager)",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/..."],
    )
    key_backups_bucket: str = Field(
        description="the bucket of the backups of private keys", examples=["pqtransfer-dev-key-backups"]
    )
    key_backups_key_arn: str = Field(
        description="the KMS key that seals backups", examples=["arn:aws:kms:eu-central-1:123456789012:key/..."]
    )
    recovery_public_key: str = Field(
        description="the public key, as a document, whose private half opens backups offline",
        examples=['{"format":"pqtransfer-public-key/1",...}'],
    )
    audit_queue_url: str = Field(description="the SQS queue of the audit log", examples=["https://..."])
    minimum_suite: str = Field(default="PQT-1", description="the weakest suite that keys may have", examples=["PQT-1"])
