"""Read one state of an S3 object in ranges, by many threads, into buffers that are used again.

Bodies are read from the socket into one buffer of each reading thread, in chunks: this takes less than half of the CPU
of a client that returns each range in new memory (docs/benchmarks.md). botocore retries requests, but not bodies that
break off, so that is done here: the next request asks for the bytes that are missing.

Memory: one buffer of the largest range for each reading thread, and one chunk.
"""

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import urllib3
from cryptography.utils import Buffer

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
CHUNK_SIZE_BYTES = 512 << 10
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
        self._thread = threading.local()
        self._sleep = sleep

    def read(self, byte_range: ByteRange) -> Buffer:
        """Exactly the bytes of the range, in a buffer that this thread's next read overwrites.

        Raises:
            SourceChangedError: the object is no longer the one that was opened.
            ObjectMissingError: it is gone.
            CloudAccessDeniedError, CloudUnavailableError: it cannot be read, or not now.
        """
        view = memoryview(self._take_buffer(byte_range.length))[: byte_range.length]
        filled = bodies = 0
        while filled < byte_range.length:
            body = self._open(ByteRange(byte_range.start + filled, byte_range.end))
            with closing(body):
                count, failure = self._fill(view[filled:], body)
            filled += count
            bodies += 1
            if failure is not None:
                if bodies == MAXIMUM_BODIES:
                    raise failure
                self._sleep(random.uniform(0, FIRST_WAIT_SECONDS * 2.0**bodies))  # noqa: S311 - jitter
        return view

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

    def _fill(self, view: memoryview, body: "StreamingBody") -> tuple[int, CloudUnavailableError | None]:
        """Read a body to its end; how many bytes came, and why no more."""
        filled = 0
        try:
            with translated(action=f"read {self._uri}"):
                while filled < len(view):
                    # `readinto` passes a chunk through a `bytes` of its own: small enough to stay in the cache.
                    chunk: Any = view[filled : filled + CHUNK_SIZE_BYTES]  # the stubs want a file here
                    count = body.readinto(chunk)
                    if count == 0:
                        return filled, self._broken("the body ended early")
                    filled += count
        except CloudUnavailableError as error:
            return filled, error
        except urllib3.exceptions.HTTPError as error:  # of TLS: the one that botocore does not make its own
            return filled, self._broken(error)
        return filled, None

    def _broken(self, reason: object) -> CloudUnavailableError:
        return CloudUnavailableError(f"could not read {self._uri}: {reason}; try again later", aws_code="BrokenBody")

    def _take_buffer(self, length: int) -> bytearray:
        buffer: bytearray | None = getattr(self._thread, "buffer", None)
        if buffer is None or len(buffer) < length:
            buffer = self._thread.buffer = bytearray(length)
        return buffer
