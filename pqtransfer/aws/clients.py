"""Sessions and client settings: retries with jitter and a bound, timeouts, and how S3 requests are signed."""

from typing import TYPE_CHECKING

from boto3 import Session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts.type_defs import CredentialsTypeDef

__all__ = [
    "Session",
    "client_config",
    "make_object_client",
    "make_role_session",
    "make_session",
    "object_client_config",
    "prompt_client_config",
]

MAXIMUM_ATTEMPTS = 8
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 10
OBJECT_READ_TIMEOUT_SECONDS = 60
WAITING_READ_TIMEOUT_SECONDS = 60
"""For calls that are answered late on purpose: long polls, and functions that are waited for."""


def make_session(*, profile: str | None = None, region: str | None = None) -> Session:
    """A session with the given profile, or the default credentials of the process (task role, environment, profile)."""
    return Session(profile_name=profile, region_name=region)


def make_role_session(credentials: "CredentialsTypeDef", *, region: str | None) -> Session:
    """A session with what `sts:AssumeRole` answered."""
    return Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=region,
    )


def client_config(
    *, connections: int = 16, attempts: int | None = None, read_timeout_seconds: float = READ_TIMEOUT_SECONDS
) -> Config:
    """For control-plane clients: `standard` retries (exponential backoff with jitter, 8 attempts unless told)."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts or MAXIMUM_ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout_seconds,
        max_pool_connections=connections,
    )


def prompt_client_config(*, within_seconds: float) -> Config:
    """For calls whose answer is of no use later: two attempts, which together take no longer than that."""
    timeouts = Config(connect_timeout=within_seconds / 4, read_timeout=within_seconds / 4)
    return client_config(attempts=2).merge(timeouts)


def object_client_config(*, path_style: bool, connections: int = 16) -> Config:
    """For S3: as above, and each part is hashed once.

    The SHA-256 of a part goes along as a signed header that the store checks, so the body needs no second hash for the
    signature (`payload_signing_enabled`), and no checksum that nobody asked for.
    """
    return client_config(connections=connections, read_timeout_seconds=OBJECT_READ_TIMEOUT_SECONDS).merge(
        Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"payload_signing_enabled": False, "addressing_style": "path" if path_style else "auto"},
        )
    )


def make_object_client(session: Session, *, endpoint_url: str | None = None) -> "S3Client":
    """An S3 client to AWS, or to the endpoint given here or in the session's profile."""
    client: S3Client = session.client("s3", endpoint_url=endpoint_url, config=object_client_config(path_style=False))
    if ".amazonaws.com" not in client.meta.endpoint_url:
        client = session.client("s3", endpoint_url=endpoint_url, config=object_client_config(path_style=True))
    return client
