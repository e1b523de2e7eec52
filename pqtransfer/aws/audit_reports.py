"""Where compliance reports are kept: `reports/` in the bucket of the log, whose lock they are under."""

from typing import TYPE_CHECKING

from pqtransfer.aws.failures import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REPORTS_PREFIX = "reports/"


class S3ReportShelf:
    """Writes reports. One of the same name becomes the newest version; the former stays."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, name: str, data: bytes, *, content_type: str) -> str:
        """Write a report's file; its address."""
        key = f"{REPORTS_PREFIX}{name}"
        with translated(action=f"write s3://{self._bucket}/{key}"):
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=data, ContentType=content_type, ChecksumAlgorithm="SHA256"
            )
        return f"s3://{self._bucket}/{key}"
