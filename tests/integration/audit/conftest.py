"""The bucket and the table of an audit log, in memory behind the real clients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.sequence_audit_log.delivery import Delivery
from pqtransfer.audit.checking import check_log
from pqtransfer.audit.checkpoints import Checkpoint
from pqtransfer.audit.findings import Report
from pqtransfer.audit.log_files import read_log
from pqtransfer.audit.origins import Origin
from pqtransfer.audit.sequencer import Sequencer
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.aws.audit_log import S3LogStore
from pqtransfer.aws.audit_state import DynamoStateStore
from tests.fakes.alerts import InMemoryAlerts
from tests.fakes.folders import FaultPlan, Faulty
from tests.unit.audit.keys import LOG_POLICY, LOG_SIGNERS, ORIGIN

BUCKET, TABLE = "audit", "audit-state"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class AuditCloud:
    """The log on moto, with sequencers on it that can be killed at any call."""

    s3: Any
    dynamodb: Any

    def __post_init__(self) -> None:
        self.alerts = InMemoryAlerts()
        self.waits = list[int]()
        self.store = S3LogStore(self.s3, bucket=BUCKET)
        self.states = DynamoStateStore(self.dynamodb, table=TABLE)

    def make_delivery(self, plan: FaultPlan | None = None, *, origin: Origin = Origin.SYSTEM) -> Delivery:
        plan = plan or FaultPlan()
        store = S3LogStore(self.s3, bucket=BUCKET)
        sequencer = Sequencer(ORIGIN, log=Faulty(store, plan), states=Faulty(self.states, plan), signers=LOG_SIGNERS)
        return Delivery(
            sequencer=sequencer, store=store, alerts=self.alerts, origin=origin, now=NOW, wait=self.waits.append
        )

    def read_entries(self) -> Sequence[bytes]:
        """What is in the log, each entry checked."""
        read_tile = self.store.read_tile
        return [entry for _, entry in read_log(TiledTree(self.read_checkpoint(), read_tile), read_tile)]

    def check(self) -> Report:
        return check_log(self.store, LOG_POLICY).report

    def read_checkpoint(self) -> Checkpoint:
        checkpoint = self.check().checkpoint
        assert checkpoint is not None
        return checkpoint


@pytest.fixture
def audit_cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditCloud]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        s3, dynamodb = session.client("s3"), session.client("dynamodb")
        s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "item", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "item", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield AuditCloud(s3, dynamodb)
