"""The files of the audit log as the sequencer writes them, in a bucket that keeps every version.

unwitnessed        the newest checkpoint that the log has signed
checkpoint         the newest one that the witness has cosigned too: the one that readers take
tile/...           tiles and bundles
staged/SIZE-ROOT   the files of a batch, before its state is committed
refused/SHA-256    what came, and is not in the log, with the reason
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pqtransfer.audit.checkpoints import CHECKPOINT_PATH
from pqtransfer.audit.errors import DamagedTileError, LogMovedError, TileMissingError
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.failures import CloudNotFoundError, CloudUnavailableError, ConditionFailedError, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNWITNESSED_PATH = "unwitnessed"
REFUSED_PREFIX = "refused/"
CONFLICT_CODE = "ConditionalRequestConflict"
STAGED_LIMIT_BYTES = 256 << 20


class S3LogStore(S3LogFiles):
    """`LogStore` of the sequencer.

    A file is written once. Where other bytes stand already, somebody else wrote them: `on_replace` is told the path,
    and then the right ones become the newest version; the others stay below them. If nobody can be told, they are left,
    so that the next run finds them.
    """

    def __init__(
        self, client: "S3Client", *, bucket: str, on_replace: Callable[[str], None] = lambda _path: None
    ) -> None:
        super().__init__(client, bucket=bucket)
        self.on_replace = on_replace

    def write_tile(self, path: str, data: bytes) -> None:
        self._write_once(path, data)

    def stage(self, name: str, data: bytes) -> None:
        self._write_once(name, data)

    def read_staged(self, name: str) -> bytes:
        found = self._read(name, STAGED_LIMIT_BYTES)
        if found is None:
            raise TileMissingError(name)
        return found[0]

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        """What the log has signed last: the witness has not seen it yet, maybe."""
        found = self._read(UNWITNESSED_PATH, NOTE_LIMIT_BYTES)
        return None if found is None else PublishedCheckpoint(*found)

    def publish_checkpoint(self, data: bytes, *, etag: str | None) -> None:
        self.publish(UNWITNESSED_PATH, data, etag=etag)

    def find_witnessed(self) -> PublishedCheckpoint | None:
        """What the witness has cosigned last: what readers see."""
        return super().find_checkpoint()

    def publish_witnessed(self, data: bytes, *, etag: str | None) -> None:
        self.publish(CHECKPOINT_PATH, data, etag=etag)

    def keep_refused(self, name: str, data: bytes) -> None:
        """Keep what is not in the log under `refused/`. The same again is no error."""
        self._write_once(f"{REFUSED_PREFIX}{name}", data)

    def find_age(self, path: str) -> datetime | None:
        """When the file was written last; None when there is none."""
        try:
            with translated(action=f"look at s3://{self._bucket}/{path}"):
                return self._client.head_object(Bucket=self._bucket, Key=path)["LastModified"]
        except CloudNotFoundError:
            return None

    def find_age_before(self, path: str, moment: datetime) -> datetime | None:
        """When the newest version that was written before this moment was written; None when there is none."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=path)
        with translated(action=f"list the versions of s3://{self._bucket}/{path}"):
            for page in pages:
                for version in page.get("Versions", []):  # the newest first
                    if version["Key"] == path and version["LastModified"] < moment:
                        return version["LastModified"]
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

    def _write_once(self, path: str, data: bytes) -> None:
        try:
            self._put(path, data, IfNoneMatch="*")
        except ConditionFailedError:
            if not self._has(path, data):
                self.on_replace(path)
                self._put(path, data)

    def _has(self, path: str, data: bytes) -> bool:
        try:
            found = self._read(path, len(data))
        except DamagedTileError:
            return False
        return found is not None and found[0] == data

    def _put(self, path: str, data: bytes, **condition: Any) -> None:
        try:
            with translated(action=f"write s3://{self._bucket}/{path}"):
                self._client.put_object(
                    Bucket=self._bucket, Key=path, Body=data, ChecksumAlgorithm="SHA256", **condition
                )
        except CloudUnavailableError as error:
            if error.aws_code != CONFLICT_CODE:
                raise
            raise LogMovedError from error  # two sequencers at the same moment
