"""The files of the audit log in a bucket that keeps every version, read by everyone and written by the sequencer.

unwitnessed        the newest checkpoint that the log has signed
checkpoint         the newest one that the witness has cosigned too: the one that readers take
tile/...           tiles and bundles
staged/SIZE-ROOT   the files of a batch, before its state is committed
refused/SHA-256    what came, and is not in the log, with the reason
"""

from typing import TYPE_CHECKING, Any

from pqtransfer.audit.checkpoints import CHECKPOINT_PATH
from pqtransfer.audit.errors import LogMovedError, TileMissingError
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.tiles import BUNDLE_LIMIT_BYTES
from pqtransfer.aws.failures import CloudNotFoundError, ConditionFailedError, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNWITNESSED_PATH = "unwitnessed"
PURGED_PATH = "purged"
PURGED_LIMIT_BYTES = 64 << 20
STAGED_LIMIT_BYTES = 256 << 20


class S3LogFiles:
    """The log as readers see it: the newest version of every file. Nothing that is read is trusted yet."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read_tile(self, path: str) -> bytes:
        """
        Raises:
            TileMissingError: nothing is there.
        """
        return self._read(path, BUNDLE_LIMIT_BYTES).data

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        """What stands at `checkpoint`: what the witness has cosigned last."""
        return self.find(CHECKPOINT_PATH)

    def find_unwitnessed(self) -> PublishedCheckpoint | None:
        """What stands at `unwitnessed`: what the log has signed last."""
        return self.find(UNWITNESSED_PATH)

    def find_purged(self) -> bytes | None:
        """What stands at `purged`; None when nothing does: nothing was purged."""
        try:
            return self._read(PURGED_PATH, PURGED_LIMIT_BYTES).data
        except TileMissingError:
            return None

    def find(self, path: str) -> PublishedCheckpoint | None:
        """What stands at a checkpoint's path, with the tag of its object."""
        try:
            return self._read(path, NOTE_LIMIT_BYTES)
        except TileMissingError:
            return None

    def publish(self, path: str, data: bytes, *, etag: str | None) -> None:
        """Replace the checkpoint that has this tag; None: there is none.

        Raises:
            LogMovedError: another one is there.
        """
        condition: Any = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            self._put(path, data, **condition)
        except (ConditionFailedError, CloudNotFoundError):
            raise LogMovedError from None

    def _read(self, path: str, limit_bytes: int) -> PublishedCheckpoint:
        try:
            with translated(action=f"read s3://{self._bucket}/{path}"):
                answer = self._client.get_object(Bucket=self._bucket, Key=path)
                return PublishedCheckpoint(answer["Body"].read(limit_bytes + 1), answer["ETag"])
        except CloudNotFoundError:
            raise TileMissingError(path) from None

    def _put(self, path: str, data: bytes, **condition: Any) -> None:
        with translated(action=f"write s3://{self._bucket}/{path}"):
            self._client.put_object(Bucket=self._bucket, Key=path, Body=data, ChecksumAlgorithm="SHA256", **condition)


class S3LogStore(S3LogFiles):
    """`LogStore` of the sequencer.

    A file is written once. Where other bytes stand already, somebody else wrote them: the right ones become the newest
    version, the others stay below them, and `replaced` names the path, so that somebody is told.
    """

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        super().__init__(client, bucket=bucket)
        self.replaced: list[str] = []

    def write_tile(self, path: str, data: bytes) -> None:
        self._write_once(path, data)

    def stage(self, name: str, data: bytes) -> None:
        self._write_once(name, data)

    def read_staged(self, name: str) -> bytes:
        return self._read(name, STAGED_LIMIT_BYTES).data

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        return self.find_unwitnessed()

    def publish_checkpoint(self, data: bytes, *, etag: str | None) -> None:
        self.publish(UNWITNESSED_PATH, data, etag=etag)

    def keep_refused(self, name: str, data: bytes) -> None:
        """Keep what is not in the log under `refused/`. The same again is no error."""
        self._write_once(f"refused/{name}", data)

    def _write_once(self, path: str, data: bytes) -> None:
        try:
            self._put(path, data, IfNoneMatch="*")
        except ConditionFailedError:
            if self._read(path, max(len(data), 1)).data != data:
                self._put(path, data)
                self.replaced.append(path)
