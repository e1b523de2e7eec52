"""A folder in an S3 bucket: conditional writes and resumable multipart uploads; see `range_source` for ranged reads."""

import base64
import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3

from pqtransfer.aws.clients import make_object_client
from pqtransfer.aws.failures import (
    CloudNotFoundError,
    CloudRequestError,
    ConditionFailedError,
    translated,
)
from pqtransfer.aws.range_source import S3RangeSource
from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.crypto.payload import PartBuffer
from pqtransfer.transfers.folder import (
    Document,
    DocumentChangedError,
    FillPart,
    ObjectExistsError,
    ObjectMissingError,
    PartsChangedError,
    RangeSource,
    StoredObject,
    StoredPart,
)
from pqtransfer.transfers.request import S3Location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TAG_METADATA_NAME = "pqtransfer-tag"
_PARTS_GONE_CODES = frozenset({"InvalidPart", "InvalidPartOrder", "NoSuchUpload"})
_COMPOSITE_SHA256 = re.compile(r"([A-Za-z0-9+/]{43}=)-[0-9]+")


@dataclass(frozen=True)
class S3Connection:
    """One S3 endpoint with one session's credentials. Made once; its clients are shared by threads."""

    client: "S3Client"

    @classmethod
    def open(cls, session: boto3.Session, *, endpoint_url: str | None = None) -> "S3Connection":
        """Connect to AWS, or to the endpoint given here or in the session's profile."""
        return cls(make_object_client(session, endpoint_url=endpoint_url))


class S3Folder:
    """`Folder` on a bucket and a key prefix (which ends in `/`, or is empty)."""

    def __init__(self, connection: S3Connection, *, bucket: str, prefix: str = "") -> None:
        self._client = connection.client
        self._bucket = bucket
        self._prefix = prefix
        self._thread = threading.local()

    def locate(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"

    def find(self, name: str, *, version_id: str | None = None) -> StoredObject:
        version: Any = {"VersionId": version_id} if version_id else {}
        try:
            with translated(action=f"look at {self.locate(name)}"):
                answer = self._client.head_object(
                    Bucket=self._bucket, Key=self._key(name), ChecksumMode="ENABLED", **version
                )
        except CloudNotFoundError:
            raise ObjectMissingError(self.locate(name)) from None
        except CloudRequestError as error:
            if version_id and error.aws_code in ("400", "InvalidArgument"):  # what S3 says of an id that is none
                raise ObjectMissingError(f"{self.locate(name)}?versionId={version_id}") from None
            raise
        return StoredObject(
            name=name,
            size_bytes=answer["ContentLength"],
            etag=answer["ETag"],
            version_id=_read_version(answer.get("VersionId")),
            tag=answer.get("Metadata", {}).get(TAG_METADATA_NAME),
            composite_sha256=_read_composite(answer.get("ChecksumSHA256")),
        )

    def open(self, stored: StoredObject) -> RangeSource:
        return S3RangeSource(
            self._client,
            bucket=self._bucket,
            key=self._key(stored.name),
            stored=stored,
            uri=self.locate(stored.name),
        )

    def read_document(self, name: str, *, limit_bytes: int) -> Document:
        try:
            with translated(action=f"read {self.locate(name)}"):
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
                return Document(data=answer["Body"].read(limit_bytes + 1), etag=answer["ETag"])
        except CloudNotFoundError:
            raise ObjectMissingError(self.locate(name)) from None

    def create_document(self, name: str, data: bytes) -> None:
        try:
            self._put(name, data, IfNoneMatch="*")
        except ConditionFailedError:
            raise ObjectExistsError(self.locate(name)) from None

    def replace_document(self, name: str, data: bytes, *, etag: str) -> None:
        try:
            self._put(name, data, IfMatch=etag)
        except ConditionFailedError:
            raise DocumentChangedError(self.locate(name)) from None
        except CloudNotFoundError:
            raise DocumentChangedError(self.locate(name)) from None

    def start_upload(self, name: str, *, tag: str, size_bytes: int) -> str:  # noqa: ARG002 - S3 needs no size
        with translated(action=f"start the upload of {self.locate(name)}"):
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=self._key(name),
                ChecksumAlgorithm="SHA256",
                ContentType="application/octet-stream",
                Metadata={TAG_METADATA_NAME: tag},
            )
        return answer["UploadId"]

    def list_parts(self, name: str, upload_id: str) -> Mapping[int, StoredPart] | None:
        parts: dict[int, StoredPart] = {}
        try:
            with translated(action=f"list the parts of {self.locate(name)}"):
                pages = self._client.get_paginator("list_parts").paginate(
                    Bucket=self._bucket, Key=self._key(name), UploadId=upload_id
                )
                for page in pages:
                    for part in page.get("Parts", []):
                        index = part["PartNumber"] - 1
                        checksum = part.get("ChecksumSHA256")
                        parts[index] = StoredPart(
                            index=index,
                            etag=part["ETag"],
                            size_bytes=part["Size"],
                            sha256=base64.b64decode(checksum) if checksum else None,
                        )
        except CloudNotFoundError:
            return None
        return parts

    def write_part(
        self,
        name: str,
        upload_id: str,
        *,
        index: int,
        byte_range: ByteRange,
        fill: FillPart,
    ) -> StoredPart:
        """Make the part, then upload it with its SHA-256, which the store checks.

        Memory: a part for each thread, used again. The `bytearray` itself goes out: nothing copies it.
        """
        body = self._take_buffer(byte_range.length)
        buffer = PartBuffer(body)
        sha256 = fill(buffer.take) or hashlib.sha256(body).digest()
        buffer.require_full()
        try:
            with translated(action=f"write part {index} of {self.locate(name)}"):
                answer = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=self._key(name),
                    UploadId=upload_id,
                    PartNumber=index + 1,
                    Body=cast(Any, body),  # the stubs know no bytearray
                    ChecksumSHA256=base64.b64encode(sha256).decode("ascii"),
                )
        except CloudNotFoundError as error:
            if error.aws_code in _PARTS_GONE_CODES:
                raise PartsChangedError(self.locate(name)) from None
            raise
        return StoredPart(index=index, etag=answer["ETag"], size_bytes=len(body), sha256=sha256)

    def complete_upload(self, name: str, upload_id: str, parts: Mapping[int, StoredPart]) -> StoredObject:
        listed: list[Any] = []
        for index in sorted(parts):
            part = parts[index]
            entry = {"PartNumber": index + 1, "ETag": part.etag}
            if part.sha256 is not None:
                entry["ChecksumSHA256"] = base64.b64encode(part.sha256).decode("ascii")
            listed.append(entry)
        uri = self.locate(name)
        try:
            with translated(action=f"complete the upload of {uri}"):
                answer = self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=self._key(name),
                    UploadId=upload_id,
                    MultipartUpload={"Parts": listed},
                    IfNoneMatch="*",
                )
        except ConditionFailedError:
            raise ObjectExistsError(uri) from None
        except (CloudNotFoundError, CloudRequestError) as error:
            if error.aws_code in _PARTS_GONE_CODES:
                raise PartsChangedError(uri) from None
            raise
        return self.find(name, version_id=_read_version(answer.get("VersionId")))

    def abort_upload(self, name: str, upload_id: str) -> None:
        try:
            with translated(action=f"abort the upload of {self.locate(name)}"):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key(name), UploadId=upload_id)
        except CloudNotFoundError:
            return

    def abort_stray_uploads(self, name: str) -> None:
        key = self._key(name)
        with translated(action=f"list the uploads of {self.locate(name)}"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=key)
            upload_ids = [
                upload["UploadId"] for page in pages for upload in page.get("Uploads", []) if upload["Key"] == key
            ]
        for upload_id in upload_ids:
            self.abort_upload(name, upload_id)

    def _take_buffer(self, length: int) -> bytearray:
        buffer: bytearray | None = getattr(self._thread, "buffer", None)
        if buffer is None or len(buffer) != length:
            buffer = self._thread.buffer = bytearray(length)
        return buffer

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _put(self, name: str, data: bytes, **condition: Any) -> None:
        with translated(action=f"write {self.locate(name)}"):
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(name),
                Body=data,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
                **condition,
            )


def open_location(connection: S3Connection, location: S3Location) -> tuple[S3Folder, str]:
    """The folder and the name of one object."""
    return S3Folder(connection, bucket=location.bucket), location.key


def _read_composite(checksum: str | None) -> bytes | None:
    """S3 writes the digest of an object of N parts as `BASE64-N`."""
    match = _COMPOSITE_SHA256.fullmatch(checksum or "")
    return None if match is None else base64.b64decode(match.group(1))


def _read_version(version_id: str | None) -> str | None:
    return None if version_id in (None, "null") else version_id
