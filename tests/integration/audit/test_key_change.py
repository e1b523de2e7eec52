"""The functions that sign get new secrets: what they publish, sign and record, and what readers make of it."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from functions.sequence_audit_log import handler as sequencer
from functions.witness_checkpoint import handler as witness
from pqtransfer.audit.checking import check_log
from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.events import AuditEvent
from pqtransfer.audit.messages import pack_messages, unpack_message
from pqtransfer.audit.trusted_log import TrustedLog
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_trust import PublishedKeysDifferError, S3TrustBucket
from tests.integration.audit.conftest import BUCKET, TABLE, AuditCloud
from tests.integration.audit_readers.test_archive_audit_log import Context
from tests.unit.audit.keys import ORIGIN, WITNESS
from tests.unit.audit.samples import make_event

TRUST = "audit-trust"
ARN = "arn:aws:sqs:us-east-1:123456789012:system.fifo"


class Deployed:
    """The two functions on moto, as their environment says; `deploy` changes that."""

    def __init__(self, cloud: AuditCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._number = 0
        self.s3 = cloud.s3
        self.s3.create_bucket(Bucket=TRUST)
        self.trust = S3TrustBucket(self.s3, bucket=TRUST)
        self.sqs, self.secrets = boto3.client("sqs"), boto3.client("secretsmanager")
        self.queue_url = self.sqs.create_queue(QueueName="system.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        for name in ("log-1", "log-2", "log-3", "witness-1", "witness-2"):
            self.secrets.create_secret(Name=name, SecretString=name * 16)
        boto3.client("events").create_event_bus(Name="bus")
        for name, value in {
            "ORIGIN": ORIGIN, "WITNESS_NAME": WITNESS, "AUDIT_BUCKET": BUCKET, "AUDIT_TRUST_BUCKET": TRUST,
            "AUDIT_STATE_TABLE": TABLE, "AUDIT_QUEUE_URL": self.queue_url, "AUDIT_QUEUE_ARN": ARN,
            "SITE_AUDIT_QUEUE_ARN": "arn:aws:sqs:us-east-1:123456789012:sites.fifo", "EVENT_BUS": "bus",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"PQTRANSFER_{name}", value)

    def deploy(self, *, log: int, witness: int) -> None:
        """So many times were new keys asked for. Instances start anew."""
        for name, number in (("LOG", log), ("WITNESS", witness)):
            self._monkeypatch.setenv(f"PQTRANSFER_{name}_KEYS_ID", f"{name.lower()}-{number}")
            if number > 1:
                self._monkeypatch.setenv(f"PQTRANSFER_FORMER_{name}_KEYS_ID", f"{name.lower()}-{number - 1}")
        self.restart()

    def restart(self) -> None:
        sequencer.load_keys.cache_clear()
        witness.load_keys.cache_clear()

    def append(self) -> None:
        """One more event, signed and witnessed."""
        self._number += 1
        (body,) = pack_messages([make_event(sequence=self._number).to_json()])
        record = {"messageId": "m", "body": body, "eventSourceARN": ARN}
        assert sequencer.handler({"Records": [record]}, Context()) == {"batchItemFailures": []}
        assert witness.handler({}, Context()) == {"size": self._number}

    def revoke(self, keys: tuple[Any, ...]) -> None:
        self.trust.replace("keys/revoked", "".join(f"{key}\n" for key in keys).encode(), etag=None)
        self.restart()

    def policy(self) -> TrustPolicy:
        return self.trust.load_keys(ORIGIN).to_policy()

    def check(self, policy: TrustPolicy, since: TrustedLog | None = None) -> TrustedLog | None:
        return check_log(S3LogFiles(self.s3, bucket=BUCKET), policy, since=since).trusted

    def take_recorded(self) -> list[AuditEvent]:
        messages = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages", [])
        for each in messages:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=each["ReceiptHandle"])
        return [AuditEvent.from_json(entry) for each in messages for entry in unpack_message(each["Body"])]


@pytest.fixture
def deployed(audit_cloud: AuditCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made = Deployed(audit_cloud, monkeypatch)
    made.deploy(log=1, witness=1)
    yield made
    made.restart()


@pytest.mark.requirement("D7.3", "D7.5", "N6")
@pytest.mark.parametrize(("log", "witness"), [(2, 1), (1, 2)])
def test_new_keys_take_over_and_nobody_loses_the_log(deployed: Deployed, log: int, witness: int) -> None:
    """Readers with the former keys, with the new ones, with a checkpoint from before; then the former are revoked."""
    deployed.append()
    before = deployed.policy()
    trusted = deployed.check(before)
    assert trusted is not None
    deployed.deploy(log=log, witness=witness)
    deployed.append()
    changed = deployed.policy()
    replaced = [*before.log_keys * (log == 2), *before.witness_keys * (witness == 2)]
    former = (*changed.former_log_keys, *changed.former_witness_keys)
    assert [key for keys in former for key in keys] == replaced
    assert not set(replaced) & {*changed.log_keys, *changed.witness_keys}
    for policy in (before, changed):
        assert deployed.check(policy, trusted) is not None
    told = deployed.take_recorded()
    assert [each.action for each in told] == ["audit.keys.replace"] * ((log == 2) + (witness == 2))
    named = json.dumps([each.details for each in told])
    assert all(str(key) in named for key in replaced)
    deployed.revoke(tuple(replaced))
    deployed.append()
    assert deployed.check(before) is None
    newest = deployed.check(deployed.policy())
    assert newest is not None
    assert newest.next_index == 3


@pytest.mark.requirement("D7.5", "N6")
def test_keys_that_nobody_held_before_take_no_place(deployed: Deployed) -> None:
    """A secret that somebody has put in the place of another, or a generation that was left out: nothing is signed."""
    deployed.append()
    deployed.deploy(log=3, witness=1)
    with pytest.raises(PublishedKeysDifferError):
        deployed.append()


@pytest.mark.requirement("D7.5")
def test_a_change_that_dies_half_way_is_finished(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The former keys are kept, the new ones are not published yet: readers see the log in between, and afterwards."""
    deployed.append()
    before = deployed.policy()
    deployed.deploy(log=2, witness=1)
    replace = S3TrustBucket.replace

    def die(self: S3TrustBucket, path: str, data: bytes, *, etag: str | None) -> None:
        if path == "keys/log":
            raise MemoryError
        replace(self, path, data, etag=etag)

    with monkeypatch.context() as patch:
        patch.setattr(S3TrustBucket, "replace", die)
        with pytest.raises(MemoryError):
            deployed.append()
    assert deployed.policy() == before
    deployed._number -= 1
    deployed.append()
    assert deployed.policy().former_log_keys == (before.log_keys,)
    assert deployed.check(deployed.policy()) is not None
    assert len(deployed.take_recorded()) == 2  # once for each try
