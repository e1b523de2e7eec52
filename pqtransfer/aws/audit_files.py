"""The files of an audit log in S3, for reading: the port `LogFiles`. It needs `s3:GetObject` on the bucket, no more."""

from typing import TYPE_CHECKING

from pqtransfer.audit.checking import PURGED_PATH
from pqtransfer.audit.checkpoints import CHECKPOINT_PATH
from pqtransfer.audit.errors import DamagedTileError, TileMissingError
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.tiles import BUNDLE_LIMIT_BYTES, BUNDLES, TILE_LENGTH_BYTES, Tile
from pqtransfer.audit.trusted_log import TRUSTED_LIMIT_BYTES
from pqtransfer.aws.failures import CloudAccessDeniedError, CloudNotFoundError, CloudRequestError, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MISSING_BUCKET_CODE = "NoSuchBucket"
REFUSED_CODES = ("403", "AccessDenied", "InvalidObjectState")


class S3LogFiles:
    """Reads a log's objects, of each no more than a file of its kind may have."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read_tile(self, path: str) -> bytes:
        """
        Raises:
            TileMissingError: there is no such object.
            DamagedTileError: it has more bytes than any tile, or it is there and is refused.
            CloudError: it cannot be read now.
        """
        tile = Tile.from_path(path)
        limit = BUNDLE_LIMIT_BYTES if tile.level == BUNDLES else TILE_LENGTH_BYTES
        found = self._read(path, limit)
        if found is None:
            raise TileMissingError(path)
        if len(found[0]) > limit:
            raise DamagedTileError(path, f"it has more than {limit} bytes")
        return found[0]

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        found = self._find(CHECKPOINT_PATH, NOTE_LIMIT_BYTES)
        return None if found is None else PublishedCheckpoint(*found)

    def find_purged(self) -> bytes | None:
        found = self._read(PURGED_PATH, TRUSTED_LIMIT_BYTES)
        return None if found is None else found[0]

    def _read(self, key: str, limit_bytes: int) -> tuple[bytes, str] | None:
        """As `_find`. A store that keeps an object and refuses it keeps another one than the log has written there.

        It was overwritten under a key of somebody's own (SSE-C, or another KMS key), or moved to a class that has to be
        restored first.

        Raises:
            DamagedTileError: the object is there, and is refused.
        """
        try:
            return self._find(key, limit_bytes)
        except (CloudAccessDeniedError, CloudRequestError) as error:
            if isinstance(error, CloudAccessDeniedError) and error.aws_code not in REFUSED_CODES:
                raise  # the caller's credentials, not the object
            raise DamagedTileError(key, f"it is there and cannot be read ({error})") from error

    def _find(self, key: str, limit_bytes: int) -> tuple[bytes, str] | None:
        """The object, cut off one byte after the limit, and its ETag."""
        try:
            with translated(action=f"read s3://{self._bucket}/{key}"):
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
                with answer["Body"] as body:
                    return body.read(limit_bytes + 1), answer["ETag"]
        except CloudNotFoundError as error:
            if error.aws_code == MISSING_BUCKET_CODE:
                raise
            return None
