"""A folder in an S3 bucket: conditional writes, resumable multipart uploads, ranged reads of one state of an object.

Writes go through boto3, which retries and signs; reads of ranges go through obstore (Rust), which releases the GIL and
hands out its buffer without a copy. Both take their credentials from the same session.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import obstore
from cryptography.utils import Buffer
from obstore import exceptions as obstore_errors
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from pqtransfer.aws.clients import CONNECT_TIMEOUT_SECONDS, MAXIMUM_ATTEMPTS, READ_TIMEOUT_SECONDS, object_client_config
from pqtransfer.aws.failures import (
    CloudAccessDeniedError,
    CloudNotFoundError,
    CloudRequestError,
    CloudUnavailableError,
    ConditionFailedError,
    translated,
)
from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.transfers.folder import (
    Document,
    DocumentChangedError,
    ObjectExistsError,
    ObjectMissingError,
    PartsChangedError,
    RangeSource,
    SourceChangedError,
    StoredObject,
    StoredPart,
)
from pqtransfer.transfers.request import S3Location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TAG_METADATA_NAME = "pqtransfer-tag"
CREDENTIALS_KEPT_FOR = timedelta(minutes=5)
_PARTS_GONE_CODES = frozenset({"InvalidPart", "InvalidPartOrder", "NoSuchUpload", "EntityTooSmall"})


@dataclass(frozen=True)
class S3Connection:
    """One S3 endpoint with one session's credentials. Made once; its clients are shared by threads."""

    session: boto3.Session
    client: "S3Client"
    endpoint_url: str | None = None
    _stores: dict[str, S3Store] = field(default_factory=dict)

    @classmethod
    def open(cls, session: boto3.Session, *, endpoint_url: str | None = None) -> "S3Connection":
        """Connect to AWS, or to the endpoint given here or in the session's profile."""
        client: S3Client = session.client(
            "s3", endpoint_url=endpoint_url, config=object_client_config(path_style=False)
        )
        found_url = client.meta.endpoint_url
        if ".amazonaws.com" in found_url:
            return cls(session, client)
        client = session.client("s3", endpoint_url=endpoint_url, config=object_client_config(path_style=True))
        return cls(session, client, found_url)

    def store(self, bucket: str) -> S3Store:
        """The bucket for ranged reads."""
        store = self._stores.get(bucket)
        if store is None:
            with translated(action=f"find credentials for s3://{bucket}"):
                provider = Boto3CredentialProvider(self.session, ttl=CREDENTIALS_KEPT_FOR)
            endpoint: Any = {"endpoint": self.endpoint_url} if self.endpoint_url else {}
            store = S3Store(
                bucket,
                region=self.client.meta.region_name,
                credential_provider=provider,
                virtual_hosted_style_request=self.endpoint_url is None,
                client_options={
                    "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_SECONDS),
                    "timeout": timedelta(seconds=READ_TIMEOUT_SECONDS),
                    "allow_http": (self.endpoint_url or "").startswith("http://"),
                },
                retry_config={"max_retries": MAXIMUM_ATTEMPTS},
                **endpoint,
            )
            self._stores[bucket] = store
        return store


class S3Folder:
    """`Folder` on a bucket and a key prefix (which ends in `/`, or is empty)."""

    def __init__(self, connection: S3Connection, *, bucket: str, prefix: str = "") -> None:
        self._connection = connection
        self._client = connection.client
        self._bucket = bucket
        self._prefix = prefix

    def locate(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"

    def find(self, name: str, *, version_id: str | None = None) -> StoredObject:
        version: Any = {"VersionId": version_id} if version_id else {}
        try:
            with translated(action=f"look at {self.locate(name)}"):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._key(name), **version)
        except CloudNotFoundError:
            raise ObjectMissingError(self.locate(name)) from None
        return StoredObject(
            name=name,
            size_bytes=answer["ContentLength"],
            etag=answer["ETag"],
            version_id=_read_version(answer.get("VersionId")),
            tag=answer.get("Metadata", {}).get(TAG_METADATA_NAME),
        )

    def open(self, stored: StoredObject) -> RangeSource:
        return S3RangeSource(
            self._connection.store(self._bucket),
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
        offset: int,  # noqa: ARG002 - S3 places parts by their number
        data: memoryview,
        sha256: bytes | None,
    ) -> StoredPart:
        content: Any = {"Body": _whole_buffer(data)}
        if sha256 is not None:
            content["ChecksumSHA256"] = base64.b64encode(sha256).decode("ascii")
        try:
            with translated(action=f"write part {index} of {self.locate(name)}"):
                answer = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=self._key(name),
                    UploadId=upload_id,
                    PartNumber=index + 1,
                    **content,
                )
        except CloudNotFoundError as error:
            if error.aws_code in _PARTS_GONE_CODES:
                raise PartsChangedError(self.locate(name)) from None
            raise
        return StoredPart(index=index, etag=answer["ETag"], size_bytes=len(data), sha256=sha256)

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
                self._client.complete_multipart_upload(
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
        return self.find(name)

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


class S3RangeSource:
    """`RangeSource` on one state of an object.

    Every read asks for the ETag under `If-Match`. When a newer state has taken its place, reads go on by version id
    where the bucket has versions. (Not by version from the start: some stores ignore the range of such a read.)
    """

    def __init__(self, store: S3Store, *, key: str, stored: StoredObject, uri: str) -> None:
        self._store = store
        self._key = key
        self._uri = uri
        self._etag = stored.etag
        self._version_id = stored.version_id
        self._superseded = False

    def read(self, byte_range: ByteRange) -> Buffer:
        if byte_range.length == 0:
            return b""
        if not self._superseded:
            try:
                return self._get(byte_range, {"if_match": self._etag})
            except SourceChangedError:
                if self._version_id is None:
                    raise
                self._superseded = True
        return self._get(byte_range, {"version": self._version_id})

    def _get(self, byte_range: ByteRange, state: dict[str, Any]) -> Buffer:
        try:
            options: Any = {"range": (byte_range.start, byte_range.end), **state}
            data = memoryview(obstore.get(self._store, self._key, options=options).bytes())
        except obstore_errors.PreconditionError:
            raise SourceChangedError(self._uri) from None
        except (obstore_errors.NotFoundError, FileNotFoundError):
            raise ObjectMissingError(self._uri) from None
        except (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError) as error:
            raise CloudAccessDeniedError(
                f"could not read {self._uri}: access denied; use a role that is granted this",
                aws_code=type(error).__name__,
            ) from None
        except obstore_errors.BaseError as error:
            raise CloudUnavailableError(
                f"could not read {self._uri}: {_first_line(error)}; try again later", aws_code=type(error).__name__
            ) from None
        if len(data) != byte_range.length:
            raise SourceChangedError(self._uri)
        return data


def open_location(connection: S3Connection, location: S3Location) -> tuple[S3Folder, str]:
    """The folder and the name of one object."""
    return S3Folder(connection, bucket=location.bucket), location.key


def _whole_buffer(data: memoryview) -> bytearray:
    """The bytearray behind the view when it is the whole of it, which goes out without a copy; else a copy."""
    owner = data.obj
    if isinstance(owner, bytearray) and len(owner) == data.nbytes:
        return owner
    return bytearray(data)


def _read_version(version_id: str | None) -> str | None:
    return None if version_id in (None, "null") else version_id


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
