"""Read one state of an S3 object in ranges, by many threads, in slices that are worked on while the rest comes in.

botocore retries requests, but not bodies that break off, so that is done here: the next request asks for the slices
that are missing. A slice that came in part is asked for again.

Memory: one slice for each thread that reads.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import urllib3

from pqtransfer.aws.failures import (
    CloudNotFoundError,
    CloudRequestError,
    CloudUnavailableError,
    ConditionFailedError,
    translated,
)
from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.transfers.folder import ObjectMissingError, SourceChangedError, StoredObject

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

MAXIMUM_BODIES = 5
"""How many bodies of one range may break off before the read is given up."""
FIRST_WAIT_SECONDS = 0.2
_RANGE_GONE_CODES = frozenset({"416", "InvalidRange"})


class S3RangeSource:
    """`RangeSource` on one state of an object.

    Every read asks for the ETag under `If-Match`. When a newer state has taken its place, reads go on by version id
    where the bucket has versions. (Not by version from the start: some stores ignore the range of such a read.)
    """

    def __init__(
        self,
        client: "S3Client",
        *,
        bucket: str,
        key: str,
        stored: StoredObject,
        uri: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._uri = uri
        self._etag = stored.etag
        self._version_id = stored.version_id
        self._superseded = False
        self._sleep = sleep

    def read(self, byte_range: ByteRange, *, slice_size_bytes: int) -> Iterator[bytes]:
        """Exactly the bytes of the range, in slices of that size; the last one is what is left.

        Raises:
            SourceChangedError: the object is no longer the one that was opened.
            ObjectMissingError: it is gone.
            CloudAccessDeniedError, CloudUnavailableError: it cannot be read, or not now.
        """
        position = byte_range.start
        bodies = 0
        while position < byte_range.end:
            with closing(self._open(ByteRange(position, byte_range.end))) as body:
                bodies += 1
                try:
                    while position < byte_range.end:
                        data = self._read_slice(body, min(slice_size_bytes, byte_range.end - position))
                        position += len(data)
                        yield data
                except CloudUnavailableError:
                    if bodies == MAXIMUM_BODIES:
                        raise
            if position < byte_range.end:
                self._sleep(random.uniform(0, FIRST_WAIT_SECONDS * 2.0**bodies))  # noqa: S311 - jitter

    def _open(self, byte_range: ByteRange) -> "StreamingBody":
        """The body of one request for a range; requests are retried by botocore."""
        if not self._superseded:
            try:
                return self._get(byte_range, {"IfMatch": self._etag})
            except SourceChangedError:
                if self._version_id is None:
                    raise
                self._superseded = True
        return self._get(byte_range, {"VersionId": self._version_id})

    def _get(self, byte_range: ByteRange, state: dict[str, Any]) -> "StreamingBody":
        try:
            with translated(action=f"read {self._uri}"):
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=self._key, Range=f"bytes={byte_range.start}-{byte_range.end - 1}", **state
                )
        except ConditionFailedError:
            raise SourceChangedError(self._uri) from None
        except CloudNotFoundError:
            raise ObjectMissingError(self._uri) from None
        except CloudRequestError as error:
            if error.aws_code in _RANGE_GONE_CODES:
                raise SourceChangedError(self._uri) from None
            raise
        body = answer["Body"]
        if answer["ContentLength"] != byte_range.length:
            body.close()
            raise SourceChangedError(self._uri)
        return body

    def _read_slice(self, body: "StreamingBody", length: int) -> bytes:
        """The next bytes of a body, as many as that.

        Raises:
            CloudUnavailableError: it broke off before.
        """
        try:
            with translated(action=f"read {self._uri}"):
                data: bytes = body.read(length)
        except urllib3.exceptions.HTTPError as error:  # of TLS: the one that botocore does not make its own
            raise self._broken(error) from error
        if len(data) < length:
            raise self._broken("the body ended early")
        return data

    def _broken(self, reason: object) -> CloudUnavailableError:
        return CloudUnavailableError(f"could not read {self._uri}: {reason}; try again later", aws_code="BrokenBody")
