"""Evidence of tampering: every version of an object, copied under `evidence/` with a legal hold, which no lifecycle and
no retention period ends: somebody has to lift it.
"""

from typing import TYPE_CHECKING, Any

from pqtransfer.aws.failures import CloudError, CloudNotFoundError, translated
from pqtransfer.crypto.canonical_json import write_canonical_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVIDENCE_PREFIX = "evidence/"
VERSIONS_AT_MOST = 100
"""Of one object, the newest: a checkpoint has one for each batch that was ever appended."""


class S3EvidenceStore:
    """Keeps evidence beside the log. The same evidence again is no error, and is kept once."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def preserve(self, path: str) -> list[str]:
        """Copy the versions of an object; a deletion is noted as one. The keys of the copies, newest version first.

        Raises:
            CloudError: a version could not be copied; all others were.
        """
        with translated(action=f"list the versions of s3://{self._bucket}/{path}"):
            answer: Any = self._client.list_object_versions(Bucket=self._bucket, Prefix=path, MaxKeys=1000)
        versions = [(each, False) for each in answer.get("Versions", []) if each["Key"] == path]
        versions += [(each, True) for each in answer.get("DeleteMarkers", []) if each["Key"] == path]
        versions.sort(key=lambda each: each[0]["LastModified"], reverse=True)
        kept, failures = list[str](), list[CloudError]()
        for version, is_deletion in versions[:VERSIONS_AT_MOST]:
            key = f"{EVIDENCE_PREFIX}{path}/{version['VersionId']}"
            try:
                if is_deletion:
                    at = version["LastModified"].isoformat()
                    self._put(key, write_canonical_json({"deleted": path, "deleted_at": at}))
                else:
                    self._copy(path, version["VersionId"], key)
            except CloudError as error:  # whoever changed it may have made it unreadable; what was there before is not
                failures.append(error)
            else:
                kept.append(key)
        if failures:
            raise failures[0]
        return kept

    def place_report(self, name: str) -> str:
        """The key that a report of this name stands at."""
        return f"{EVIDENCE_PREFIX}reports/{name}"

    def keep_report(self, name: str, data: bytes) -> None:
        """Keep what the check has found."""
        self._put(self.place_report(name), data)

    def _copy(self, path: str, version_id: str, key: str) -> None:
        """Copy it where that was not done, and hold it in any case: a run may have died in between."""
        is_kept = self._find(key) == self._find(path, version_id)
        with translated(action=f"preserve s3://{self._bucket}/{path}?versionId={version_id}"):
            if not is_kept:
                source: Any = {"Bucket": self._bucket, "Key": path, "VersionId": version_id}
                self._client.copy_object(Bucket=self._bucket, Key=key, CopySource=source, ChecksumAlgorithm="SHA256")
            self._client.put_object_legal_hold(Bucket=self._bucket, Key=key, LegalHold={"Status": "ON"})

    def _put(self, key: str, data: bytes) -> None:
        if self._find(key) != data:
            with translated(action=f"write s3://{self._bucket}/{key}"):
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    ObjectLockLegalHoldStatus="ON",
                    ChecksumAlgorithm="SHA256",
                )

    def _find(self, key: str, version_id: str | None = None) -> bytes | None:
        """The bytes themselves: whoever changed the log may have put something else where evidence goes."""
        version: Any = {"VersionId": version_id} if version_id else {}
        try:
            with translated(action=f"read s3://{self._bucket}/{key}"):
                return self._client.get_object(Bucket=self._bucket, Key=key, **version)["Body"].read()
        except CloudNotFoundError:
            return None
