"""Sessions and client settings: retries with jitter and a bound, timeouts, and how S3 requests are signed."""

from dataclasses import dataclass

import boto3
from botocore.config import Config

MAXIMUM_ATTEMPTS = 8
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class CloudEndpoint:
    """Where a service answers when that is not AWS itself, and the profile with credentials for it."""

    url: str | None = None
    profile: str | None = None


def make_session(*, profile: str | None = None, region: str | None = None) -> boto3.Session:
    """A session with the given profile, or the default credentials of the process (task role, environment, profile)."""
    return boto3.Session(profile_name=profile, region_name=region)


def client_config(*, connections: int = 16) -> Config:
    """For control-plane clients: `standard` retries (exponential backoff with jitter, at most 8 attempts)."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": MAXIMUM_ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        max_pool_connections=connections,
    )


def object_client_config(*, path_style: bool, connections: int = 16) -> Config:
    """For S3: as above, and each part is hashed once.

    The SHA-256 of a part goes along as a signed header that the store checks, so the body needs no second hash for the
    signature (`payload_signing_enabled`), and no checksum that nobody asked for.
    """
    return client_config(connections=connections).merge(
        Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"payload_signing_enabled": False, "addressing_style": "path" if path_style else "auto"},
        )
    )
