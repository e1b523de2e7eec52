"""An audit log in S3 with Object Lock, its public keys in the trust bucket, and the queue that events are sent to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pqtransfer.audit.events import AuditEvent
from pqtransfer.audit.messages import unpack_message
from pqtransfer.aws.audit_trust import LOG_KEYS_PATH, WITNESS_KEYS_PATH, S3TrustBucket
from tests.unit.audit.keys import ORIGIN, POLICY
from tests.unit.audit.log_directories import sign
from tests.unit.audit.trees import hash_tree, make_log

BUCKET, TRUST_BUCKET = "audit", "audit-trust"
REGION = "eu-central-1"


@dataclass
class CloudLog:
    """The log of a deployment on moto. What was recorded comes into it when `publish` is called."""

    s3: Any
    sqs: Any
    queue_url: str
    events: list[AuditEvent]

    def publish(self) -> None:
        """Write the files that are not there, and a checkpoint: the part of sequencer and witness."""
        entries = [event.to_json() for event in self.events]
        known = set(self.list_keys())
        for path, data in make_log(entries).items():
            if path not in known:
                self.s3.put_object(Bucket=BUCKET, Key=path, Body=data)
        self.s3.put_object(Bucket=BUCKET, Key="checkpoint", Body=sign(len(entries), hash_tree(entries)))

    def take_recorded(self) -> list[AuditEvent]:
        """The events that were sent to the queue."""
        answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        found = [
            AuditEvent.from_json(entry)
            for message in answer.get("Messages", [])
            for entry in unpack_message(message["Body"])
        ]
        for message in answer.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def list_keys(self, prefix: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def list_versions(self, prefix: str) -> list[str]:
        answer = self.s3.list_object_versions(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for each in (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ()))]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudLog]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        s3, sqs = boto3.client("s3"), boto3.client("sqs")
        place: Any = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
        s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True, **place)
        s3.create_bucket(Bucket=TRUST_BUCKET, **place)
        trust = S3TrustBucket(s3, bucket=TRUST_BUCKET)
        trust.publish_keys(LOG_KEYS_PATH, POLICY.log_keys)
        trust.publish_keys(WITNESS_KEYS_PATH, POLICY.witness_keys)
        queue = sqs.create_queue(QueueName="audit.fifo", Attributes={"FifoQueue": "true"})
        for name, value in {
            "ORIGIN": ORIGIN,
            "AUDIT_BUCKET": BUCKET,
            "AUDIT_TRUST_BUCKET": TRUST_BUCKET,
            "AUDIT_QUEUE_URL": queue["QueueUrl"],
            "AUDIT_RETENTION_RULES": "default=1:1",
            "EVENT_BUS": "default",
        }.items():
            monkeypatch.setenv(f"PQTRANSFER_{name}", value)
        yield CloudLog(s3, sqs, queue["QueueUrl"], [])
