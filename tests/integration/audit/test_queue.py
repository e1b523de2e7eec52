"""The sender on SQS FIFO, and evidence and trust on S3, behind the real clients."""

import json
from typing import Any

import boto3
import pytest

from pqtransfer.audit.errors import LogMovedError
from pqtransfer.audit.events import EVENT_LIMIT_BYTES
from pqtransfer.audit.messages import unpack_message
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.aws.audit_evidence import S3EvidenceStore
from pqtransfer.aws.audit_queue import SqsEventSink, connect_audit_trail
from pqtransfer.aws.audit_trust import (
    LOG_KEYS_PATH,
    REVOKED_KEYS_PATH,
    WITNESS_KEYS_PATH,
    KeysNotPublishedError,
    PublishedKeysDifferError,
    S3TrustBucket,
)
from tests.integration.audit.conftest import BUCKET, AuditCloud
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN, POLICY, WITNESS_SIGNERS, make_signer
from tests.unit.audit.test_producing import FACTS


@pytest.fixture
def queue(audit_cloud: AuditCloud) -> tuple[Any, str]:
    """A FIFO queue and its address."""
    sqs = boto3.Session(region_name="us-east-1").client("sqs")
    return sqs, sqs.create_queue(QueueName="audit.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]


def receive_all(queue: tuple[Any, str]) -> list[bytes]:
    sqs, url = queue
    entries: list[bytes] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            entries += unpack_message(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return entries


def test_events_arrive_in_order_and_once(queue: tuple[Any, str]) -> None:
    """Also when a send is repeated, because its answer was lost; and with signs that SQS does not take as text."""
    entries = [b"%d \xef\xbf\xbf" % number for number in range(120)] + [b"x" * EVENT_LIMIT_BYTES] * 9
    sink = SqsEventSink(queue[0], queue_url=queue[1])
    sink.send(entries)
    sink.send(entries)
    assert receive_all(queue) == entries


def test_a_trail_without_a_spool_is_durable_in_the_queue(queue: tuple[Any, str]) -> None:
    """Or it says that it is not: there is no such queue."""
    session = boto3.Session(region_name="us-east-1")
    trail = connect_audit_trail(session, queue_url=queue[1], service="rotate_keys", spool_directory=None)
    trail.record(FACTS)
    assert len(receive_all(queue)) == 1
    lost = connect_audit_trail(session, queue_url=f"{queue[1]}x", service="rotate_keys", spool_directory=None)
    with pytest.raises(AuditUnavailableError):
        lost.record(FACTS)


@pytest.mark.requirement("S4.7")
def test_every_version_is_preserved_once(audit_cloud: AuditCloud) -> None:
    """What was there, what somebody wrote over it, that somebody deleted it; a second look adds nothing.

    Also where somebody has put something else beforehand.
    """
    s3 = audit_cloud.s3
    for body in (b"signed", b"changed"):
        s3.put_object(Bucket=BUCKET, Key="tile/0/000", Body=body)
    s3.put_object(Bucket=BUCKET, Key="tile/0/000.p/7", Body=b"another file")
    s3.delete_object(Bucket=BUCKET, Key="tile/0/000")
    listed = s3.list_object_versions(Bucket=BUCKET, Prefix="tile/0/000")["Versions"]
    first = [each["VersionId"] for each in listed if each["Key"] == "tile/0/000"][-1]
    s3.put_object(Bucket=BUCKET, Key=f"evidence/tile/0/000/{first}", Body=b"put there by somebody else")
    evidence = S3EvidenceStore(s3, bucket=BUCKET)
    kept = evidence.preserve("tile/0/000")
    assert evidence.preserve("tile/0/000") == kept
    bodies = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in kept]
    assert {b"signed", b"changed"} < set(bodies)
    (deleted,) = set(bodies) - {b"signed", b"changed"}
    assert json.loads(deleted)["deleted"] == "tile/0/000"
    for key in kept:
        assert s3.get_object_legal_hold(Bucket=BUCKET, Key=key)["LegalHold"]["Status"] == "ON"
        versions = s3.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]
        assert len(versions) == (2 if key.endswith(first) else 1)


def test_keys_are_published_once_and_for_good(audit_cloud: AuditCloud) -> None:
    """The same ones again are no error, others are; and readers get all of them together."""
    trust = S3TrustBucket(audit_cloud.s3, bucket=BUCKET)
    with pytest.raises(KeysNotPublishedError):
        trust.load_keys(ORIGIN)
    for _ in range(2):
        trust.publish_keys(LOG_KEYS_PATH, [signer.key for signer in LOG_SIGNERS])
        trust.publish_keys(WITNESS_KEYS_PATH, [signer.key for signer in WITNESS_SIGNERS])
    assert trust.load_keys(ORIGIN).to_policy() == POLICY
    assert trust.load_log_policy(ORIGIN).log_keys == POLICY.log_keys
    others = [make_signer(ORIGIN, signer.key.kind, seed="other").key for signer in LOG_SIGNERS]
    with pytest.raises(PublishedKeysDifferError):
        trust.publish_keys(LOG_KEYS_PATH, others)
    audit_cloud.s3.put_object(Bucket=BUCKET, Key=REVOKED_KEYS_PATH, Body="".join(f"{key}\n" for key in others))
    assert trust.load_keys(ORIGIN).to_policy().revoked_keys == tuple(others)


def test_what_is_remembered_is_replaced_by_compare_and_swap(audit_cloud: AuditCloud) -> None:
    """Whoever is slower is told."""
    trust = S3TrustBucket(audit_cloud.s3, bucket=BUCKET)
    trust.replace("witness/last", b"one", etag=None)
    first = trust.find("witness/last", limit_bytes=10)
    assert first is not None
    trust.replace("witness/last", b"two", etag=first.etag)
    for etag in (None, first.etag):
        with pytest.raises(LogMovedError):
            trust.replace("witness/last", b"three", etag=etag)
