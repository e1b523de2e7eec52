"""The containers of a data bucket: which there are, a folder for each, and removing one for good."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pqtransfer.aws.clients import Session
from pqtransfer.aws.failures import translated
from pqtransfer.aws.folder import S3Connection, S3Folder
from pqtransfer.transfers.folder import ENVELOPE_NAME, PAYLOAD_NAME

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTAINERS_PREFIX = "transfers/"
AFTER_SLASH = "0"
"""The character after `/`: keys that begin with a container's folder come before a name that ends so."""
_ID = re.compile(rf"{CONTAINERS_PREFIX}([0-9a-f-]{{36}})/")


class S3Containers:
    """The containers of one bucket."""

    def __init__(self, connection: S3Connection, *, bucket: str) -> None:
        self._connection = connection
        self._client: S3Client = connection.client
        self.bucket = bucket

    @classmethod
    def open(cls, session: Session, *, bucket: str, endpoint_url: str | None = None) -> "S3Containers":
        """Connect to a bucket."""
        return cls(S3Connection.open(session, endpoint_url=endpoint_url), bucket=bucket)

    def container(self, prefix: str) -> S3Folder:
        """The folder `transfers/ID/` of one."""
        return S3Folder(self._connection, bucket=self.bucket, prefix=prefix)

    def list_ids(self, *, after: str | None) -> Iterator[str]:
        """The transfer ids of those with something in them, in order; those after `after` alone, when it is given."""
        more: dict[str, Any] = {} if after is None else {"StartAfter": f"{CONTAINERS_PREFIX}{after}{AFTER_SLASH}"}
        with translated(action=f"list the containers in s3://{self.bucket}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=CONTAINERS_PREFIX, Delimiter="/", **more
            )
            for page in pages:
                for common in page.get("CommonPrefixes", []):
                    found = _ID.fullmatch(common["Prefix"])
                    if found is not None and (after is None or found.group(1) > after):
                        yield found.group(1)

    def remove_model(self, transfer_id: str) -> int:
        """Delete payload and envelope in every version, for good, and return how many versions these were.

        The manifest stays, as a record of what was there. The oldest versions go first, so that none that was replaced
        stands there again when this ends half-way.

        Raises:
            CloudError: some may remain; the same call goes on.
        """
        prefix = f"{CONTAINERS_PREFIX}{transfer_id}/"
        found: list[tuple[str, str, Any]] = []
        names = {f"{prefix}{name}" for name in (PAYLOAD_NAME, ENVELOPE_NAME)}
        with translated(action=f"remove s3://{self.bucket}/{prefix}"):
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
            for page in pages:
                for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    if each["Key"] in names:
                        found.append((each["Key"], each["VersionId"], (each["IsLatest"], each["LastModified"])))
            found.reverse()  # what is newer is listed first, also of versions of one second
            for key, version_id, _ in sorted(found, key=lambda version: version[2]):
                self._client.delete_object(Bucket=self.bucket, Key=key, VersionId=version_id)
        return len(found)
