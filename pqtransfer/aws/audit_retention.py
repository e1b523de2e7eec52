"""The objects of the audit log in S3, for whoever archives and purges. The bucket's locks and holds have the last word.

A bundle is archived by a tag, which a lifecycle rule of the bucket moves to the storage class of archives: tags can be
set on locked objects, and the bytes are not written again. Deleting names each version; nothing bypasses a lock.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pqtransfer.audit.checking import PURGED_PATH
from pqtransfer.audit.errors import BundleLockedError, TileMissingError
from pqtransfer.audit.retention_store import RETENTION_PATH, STATE_LIMIT_BYTES, StoredBundle
from pqtransfer.aws.failures import CloudAccessDeniedError, CloudNotFoundError, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARCHIVE_TAG = ("retention", "archive")
"""The lifecycle rule of the bucket filters by it."""


class S3RetentionStore:
    """`RetentionStore` on the bucket of the log."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def describe_bundle(self, path: str) -> StoredBundle:
        try:
            with translated(action=f"look at s3://{self._bucket}/{path}"):
                answer = self._client.head_object(Bucket=self._bucket, Key=path)
        except CloudNotFoundError:
            raise TileMissingError(path) from None
        return StoredBundle(
            completed_at=answer["LastModified"], is_held=answer.get("ObjectLockLegalHoldStatus") == "ON"
        )

    def archive_bundle(self, path: str) -> None:
        key, value = ARCHIVE_TAG
        with translated(action=f"tag s3://{self._bucket}/{path}"):
            self._client.put_object_tagging(
                Bucket=self._bucket, Key=path, Tagging={"TagSet": [{"Key": key, "Value": value}]}
            )

    def delete_bundle(self, path: str) -> None:
        for key, version_id in self._list_versions(path):
            try:
                with translated(action=f"delete s3://{self._bucket}/{key}"):
                    self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version_id)
            except CloudAccessDeniedError:
                raise BundleLockedError(key) from None

    def find_retention(self) -> bytes | None:
        try:
            with translated(action=f"read s3://{self._bucket}/{RETENTION_PATH}"):
                answer = self._client.get_object(Bucket=self._bucket, Key=RETENTION_PATH)
                with answer["Body"] as body:
                    return body.read(STATE_LIMIT_BYTES + 1)
        except CloudNotFoundError:
            return None

    def write_retention(self, data: bytes) -> None:
        self._write(RETENTION_PATH, data)

    def write_purged(self, data: bytes) -> None:
        self._write(PURGED_PATH, data)

    def _list_versions(self, path: str) -> Iterator[tuple[str, str]]:
        """Each version of the bundle and of its partial ones, with what marks them as deleted."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=path)
        with translated(action=f"list the versions of s3://{self._bucket}/{path}"):
            found = [
                (each["Key"], each["VersionId"])
                for page in pages
                for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            ]
        return ((key, version) for key, version in found if key == path or key.startswith(f"{path}.p/"))

    def _write(self, key: str, data: bytes) -> None:
        with translated(action=f"write s3://{self._bucket}/{key}"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ChecksumAlgorithm="SHA256")
