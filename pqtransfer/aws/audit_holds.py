"""Legal holds of S3 on the objects of the audit log."""

from typing import TYPE_CHECKING

from pqtransfer.audit.errors import TileMissingError
from pqtransfer.aws.failures import CloudNotFoundError, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import ObjectLockLegalHoldStatusType


class S3HoldStore:
    """`HoldStore` on the bucket of the log. It needs `s3:PutObjectLegalHold` and `s3:GetObjectLegalHold` on bundles."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def is_held(self, path: str) -> bool:
        try:
            with translated(action=f"look at s3://{self._bucket}/{path}"):
                answer = self._client.head_object(Bucket=self._bucket, Key=path)
        except CloudNotFoundError:
            raise TileMissingError(path) from None
        return answer.get("ObjectLockLegalHoldStatus") == "ON"

    def hold(self, path: str) -> None:
        self._put(path, "ON")

    def release(self, path: str) -> None:
        self._put(path, "OFF")

    def _put(self, path: str, status: "ObjectLockLegalHoldStatusType") -> None:
        try:
            with translated(action=f"change the legal hold of s3://{self._bucket}/{path}"):
                self._client.put_object_legal_hold(Bucket=self._bucket, Key=path, LegalHold={"Status": status})
        except CloudNotFoundError:
            raise TileMissingError(path) from None
