"""Evidence from a log in S3: the newest checkpoint that was witnessed before the loss decides."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pqtransfer.audit.checkpoints import CHECKPOINT_PATH, Checkpoint, sign_checkpoint
from pqtransfer.audit.events import EventKind, Target
from pqtransfer.aws.audit_trust import LOG_KEYS_PATH, WITNESS_KEYS_PATH, S3TrustBucket
from pqtransfer.aws.signature_evidence import AuditLogEvidence
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.protection.signature_trust import MANIFEST_DIGEST, digest_manifest
from tests.containers import make_container
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN, WITNESS_SIGNERS
from tests.unit.audit.samples import make_event
from tests.unit.audit.trees import hash_tree, make_log

EARLY, LATE = (SignedManifest.from_json(make_container(name).manifest_json) for name in (b"early", b"late"))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client(
            "s3", aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1"
        )
        for bucket in ("audit", "trust"):
            client.create_bucket(Bucket=bucket)
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield client


def signing(manifest: SignedManifest, sequence: int) -> bytes:
    return make_event(
        EventKind.CRYPTOGRAPHY,
        sequence=sequence,
        action="manifest.sign",
        target=Target(type="transfer", id=manifest.body.transfer_id),
        key_id=manifest.signing_key.key_id,
        details={MANIFEST_DIGEST: digest_manifest(manifest)},
    ).to_json()


def publish(s3: Any, entries: list[bytes], *, at: datetime) -> None:
    """The log as it stands with these entries, cosigned at that time."""
    for path, data in make_log(entries).items():
        s3.put_object(Bucket="audit", Key=path, Body=data)
    checkpoint, seconds = Checkpoint(ORIGIN, len(entries), hash_tree(entries)), int(at.timestamp())
    note = sign_checkpoint(checkpoint, [*LOG_SIGNERS, *WITNESS_SIGNERS], time_seconds=seconds)
    s3.put_object(Bucket="audit", Key=CHECKPOINT_PATH, Body=note.to_bytes())


def publish_keys(s3: Any) -> None:
    for path, signers in ((LOG_KEYS_PATH, LOG_SIGNERS), (WITNESS_KEYS_PATH, WITNESS_SIGNERS)):
        s3.put_object(Bucket="trust", Key=path, Body="".join(f"{signer.key}\n" for signer in signers).encode())


def evidence(s3: Any) -> AuditLogEvidence:
    return AuditLogEvidence(s3, bucket="audit", trust=S3TrustBucket(s3, bucket="trust"), origin=ORIGIN)


@pytest.mark.requirement("D4.4")
def test_what_stood_in_the_log_before_the_loss_is_proven(s3: Any) -> None:
    """And what came later is not, although the log has both by now."""
    publish_keys(s3)
    now = datetime.now(UTC)
    publish(s3, [make_event().to_json(), signing(EARLY, 2)], at=now - timedelta(hours=2))
    time.sleep(1.1)  # the object's versions are told apart by the second
    publish(s3, [make_event().to_json(), signing(EARLY, 2), signing(LATE, 3)], at=now)
    found = evidence(s3)
    lost = now - timedelta(hours=1)
    assert found.proves_older(EARLY, than=lost)
    assert not found.proves_older(LATE, than=lost)
    assert found.proves_older(LATE, than=now + timedelta(hours=1))
    assert not found.proves_older(EARLY, than=now - timedelta(hours=3))


def test_a_log_that_cannot_be_believed_proves_nothing(s3: Any) -> None:
    """No keys, no checkpoint, or entries that are not those of the checkpoint."""
    now = datetime.now(UTC)
    assert not evidence(s3).proves_older(EARLY, than=now)
    publish_keys(s3)
    assert not evidence(s3).proves_older(EARLY, than=now)
    publish(s3, [signing(EARLY, 1)], at=now - timedelta(hours=1))
    assert evidence(s3).proves_older(EARLY, than=now)
    for path, data in make_log([signing(LATE, 1)]).items():
        s3.put_object(Bucket="audit", Key=path, Body=data)
    assert not evidence(s3).proves_older(LATE, than=now)
