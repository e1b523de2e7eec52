"""What the audit log in S3 proves of when manifests were signed.

The log keeps every checkpoint that its witness has cosigned, as versions of one object. The newest that was cosigned
before a loss shows which entries were there by then; the entries are looked through once, for all manifests.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from pqtransfer.audit.checking import read_purged
from pqtransfer.audit.checkpoints import CHECKPOINT_PATH, SignedCheckpoint, TrustPolicy, open_checkpoint
from pqtransfer.audit.events import AuditEvent
from pqtransfer.audit.log_files import read_log
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES
from pqtransfer.audit.proofs import prove_entry
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_trust import KeysNotPublishedError, S3TrustBucket
from pqtransfer.aws.failures import translated
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.errors import IntegrityError
from pqtransfer.protection.signature_trust import MANIFEST_DIGEST, SIGNED_ACTION, digest_manifest, is_proven_older

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class AuditLogEvidence:
    """Evidence from one log. What was looked through is remembered for as long as the object lives."""

    def __init__(self, client: "S3Client", *, bucket: str, trust: S3TrustBucket, origin: str) -> None:
        self._client = client
        self._bucket = bucket
        self._trust = trust
        self._origin = origin
        self._looked: dict[datetime, _SignedBefore | None] = {}

    def proves_older(self, manifest: SignedManifest, *, than: datetime) -> bool:
        """True when a checkpoint that was witnessed before `than` commits to the signing of this very manifest.

        Raises:
            CloudError: the log does not answer.
        """
        if than not in self._looked:
            self._looked[than] = self._look(than)
        found = self._looked[than]
        return found is not None and found.proves(manifest, than=than)

    def _look(self, than: datetime) -> "_SignedBefore | None":
        try:
            policy = self._trust.load_keys(self._origin).to_policy()
            signed = self._find_checkpoint(policy, than)
            if signed is None:
                return None
            return _SignedBefore(S3LogFiles(self._client, bucket=self._bucket), policy, signed)
        except (KeysNotPublishedError, IntegrityError):  # nothing is believed of a log that is not what it was
            return None

    def _find_checkpoint(self, policy: TrustPolicy, than: datetime) -> SignedCheckpoint | None:
        """The newest checkpoint that its witnesses have signed before `than`."""
        with translated(action=f"list the checkpoints in s3://{self._bucket}"):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=CHECKPOINT_PATH
            )
            versions = [each for page in pages for each in page.get("Versions", []) if each["Key"] == CHECKPOINT_PATH]
        best: SignedCheckpoint | None = None
        for version in sorted(versions, key=lambda each: each["LastModified"], reverse=True):
            if best is not None:
                break
            signed = self._read(version["VersionId"], policy)
            if signed is not None and signed.witness_times and max(signed.witness_times.values()) < than.timestamp():
                best = signed
        return best

    def _read(self, version_id: str, policy: TrustPolicy) -> SignedCheckpoint | None:
        with translated(action=f"read a checkpoint of s3://{self._bucket}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=CHECKPOINT_PATH, VersionId=version_id)
            data = answer["Body"].read(NOTE_LIMIT_BYTES + 1)
        try:
            return open_checkpoint(data, policy)
        except IntegrityError:
            return None


class _SignedBefore:
    """Which manifests were signed by the time of one checkpoint: where their events stand, by key and digest."""

    def __init__(self, files: S3LogFiles, policy: TrustPolicy, signed: SignedCheckpoint) -> None:
        self._policy = policy
        self._signed = signed
        self._tree = TiledTree(signed.checkpoint, files.read_tile)
        purged = read_purged(files)
        first = 0 if purged is None else purged.next_index
        self._entries: dict[tuple[str, str], tuple[int, bytes]] = {}
        for index, entry in read_log(self._tree, files.read_tile, first=first):
            if SIGNED_ACTION.encode() in entry:
                self._remember(index, entry)

    def proves(self, manifest: SignedManifest, *, than: datetime) -> bool:
        found = self._entries.get((manifest.signing_key.key_id, digest_manifest(manifest)))
        if found is None:
            return False
        index, entry = found
        note = self._signed.note.to_bytes()
        proof = prove_entry(entry, index, tree=self._tree, checkpoint_note=note)
        return is_proven_older(manifest, proof, policy=self._policy, than=than)

    def _remember(self, index: int, entry: bytes) -> None:
        event = AuditEvent.from_json(entry)
        digest = event.details.get(MANIFEST_DIGEST)
        if event.action == SIGNED_ACTION and event.key_id is not None and digest is not None:
            self._entries.setdefault((event.key_id, digest), (index, entry))
