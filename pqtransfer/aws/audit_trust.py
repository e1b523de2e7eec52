"""What is believed of the audit log, apart from the log: a bucket that whoever can change the log cannot write to.

keys/log       the log's public keys, which the sequencer publishes at its first run; NAME+ID+KEY, one a line
keys/witness   those of the witness, which it publishes at its first run
keys/former-log, keys/former-witness
               the keys of each time before, with blanks between them: one time a line. Who replaces keys writes them
keys/revoked   keys of either that are believed no more; written by whoever revokes one
witness/last   the checkpoint that the witness has cosigned last: its memory
checker/...    what the check of the log has verified last, and how far one of everything has come: its memory
reporter/...   what a report that takes several runs has added up so far
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.errors import LogMovedError
from pqtransfer.audit.note_keys import NoteKey
from pqtransfer.audit.published_keys import KEYS_FILE_LIMIT_BYTES, PublishedKeys
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.aws.failures import CloudNotFoundError, ConditionFailedError, translated
from pqtransfer.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOG_KEYS_PATH = "keys/log"
WITNESS_KEYS_PATH = "keys/witness"
REVOKED_KEYS_PATH = "keys/revoked"
TRIES = 5
FORMER_PATHS = {LOG_KEYS_PATH: "keys/former-log", WITNESS_KEYS_PATH: "keys/former-witness"}


class KeysNotPublishedError(UnavailableError):
    """The log or its witness has not published its keys yet."""

    def __init__(self, place: str) -> None:
        super().__init__(f"there are no keys at {place} yet: they are published within a minute of the first event")


class PublishedKeysDifferError(IntegrityError):
    """Other keys were published before."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"the keys at {place} are not those that would sign now: somebody has replaced the secret, or what was "
            "published; nothing is signed until they agree"
        )


class S3TrustBucket:
    """Small documents in the trust bucket."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def locate(self, path: str) -> str:
        return f"s3://{self._bucket}/{path}"

    def find(self, path: str, *, limit_bytes: int) -> PublishedCheckpoint | None:
        """What stands at the path, if anything does. One byte more than the limit is read, at most."""
        try:
            with translated(action=f"read {self.locate(path)}"):
                answer = self._client.get_object(Bucket=self._bucket, Key=path)
                return PublishedCheckpoint(answer["Body"].read(limit_bytes + 1), answer["ETag"])
        except CloudNotFoundError:
            return None

    def replace(self, path: str, data: bytes, *, etag: str | None) -> None:
        """Replace the document that has this tag; None: there is none.

        Raises:
            LogMovedError: another one is there.
        """
        condition: Any = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            with translated(action=f"write {self.locate(path)}"):
                self._client.put_object(
                    Bucket=self._bucket, Key=path, Body=data, ChecksumAlgorithm="SHA256", **condition
                )
        except (ConditionFailedError, CloudNotFoundError):
            raise LogMovedError from None

    def publish_keys(
        self,
        path: str,
        keys: Iterable[NoteKey],
        *,
        former: Iterable[NoteKey] = (),
        before_replacing: Callable[[], None] = lambda: None,
    ) -> None:
        """Publish keys once. The same again is no error.

        Whoever can sign with all of the keys that were published may replace them: they are kept as former ones, under
        which former checkpoints still verify. `before_replacing` is called first, and again if a run dies on the way.

        Raises:
            PublishedKeysDifferError: others were published, and they are not `former`.
        """
        data, replaced = _write_lines(keys), _write_lines(former)
        known = self.find(path, limit_bytes=KEYS_FILE_LIMIT_BYTES)
        if known is None:
            try:
                self.replace(path, data, etag=None)
            except LogMovedError:
                known = self.find(path, limit_bytes=KEYS_FILE_LIMIT_BYTES)
        if known is None or known.data == data:
            return
        if not replaced or known.data != replaced:
            raise PublishedKeysDifferError(self.locate(path))
        before_replacing()
        self._keep_former(FORMER_PATHS[path], replaced)
        try:
            self.replace(path, data, etag=known.etag)
        except LogMovedError:
            found = self.find(path, limit_bytes=KEYS_FILE_LIMIT_BYTES)
            if found is None or found.data != data:
                raise PublishedKeysDifferError(self.locate(path)) from None

    def _keep_former(self, path: str, lines: bytes) -> None:
        """Before they are replaced: a reader leaves out what is still published."""
        line = b" ".join(lines.split()) + b"\n"
        for _ in range(TRIES):
            known = self.find(path, limit_bytes=KEYS_FILE_LIMIT_BYTES)
            data = known.data if known else b""
            if line in data.splitlines(keepends=True):
                return
            try:
                self.replace(path, data + line, etag=known.etag if known else None)
            except LogMovedError:
                continue
            return
        raise LogMovedError

    def load_keys(self, origin: str) -> PublishedKeys:
        """The keys that a reader of the log checks with: all of the log's, and the witness's.

        Raises:
            KeysNotPublishedError: there are none yet.
        """
        log_keys, witness_keys = self._read_keys(LOG_KEYS_PATH), self._read_keys(WITNESS_KEYS_PATH)
        revoked = self.find_revoked()
        return PublishedKeys(
            origin=origin,
            log_keys=log_keys,
            witness_keys=witness_keys,
            witnesses_required=1,
            revoked_keys=revoked,
            former_log_keys=self._find_former(LOG_KEYS_PATH, log_keys, revoked),
            former_witness_keys=self._find_former(WITNESS_KEYS_PATH, witness_keys, revoked),
        )

    def find_revoked(self) -> tuple[str, ...]:
        """The keys that are believed no more."""
        return self._find_keys(REVOKED_KEYS_PATH) or ()

    def load_log_policy(self, origin: str) -> TrustPolicy:
        """The log's keys alone: what a witness checks before it signs.

        Raises:
            KeysNotPublishedError: there are none yet.
        """
        log_keys = self._read_keys(LOG_KEYS_PATH)
        former = self._find_former(LOG_KEYS_PATH, log_keys, self.find_revoked())
        return TrustPolicy(
            origin,
            log_keys=tuple(map(NoteKey.from_text, log_keys)),
            former_log_keys=tuple(tuple(map(NoteKey.from_text, keys)) for keys in former),
        )

    def _find_former(self, path: str, keys: tuple[str, ...], revoked: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """The keys of each time before, but for those times of which a key is published still, or was revoked."""
        times = [tuple(line.split(" ")) for line in self._find_keys(FORMER_PATHS[path]) or ()]
        return tuple(each for each in times if not {*each} & {*keys, *revoked})

    def _read_keys(self, path: str) -> tuple[str, ...]:
        keys = self._find_keys(path)
        if keys is None:
            raise KeysNotPublishedError(self.locate(path))
        return keys

    def _find_keys(self, path: str) -> tuple[str, ...] | None:
        document = self.find(path, limit_bytes=KEYS_FILE_LIMIT_BYTES)
        return None if document is None else tuple(document.data.decode("utf-8", "replace").split("\n")[:-1])


def _write_lines(keys: Iterable[NoteKey]) -> bytes:
    return "".join(f"{key}\n" for key in keys).encode()
