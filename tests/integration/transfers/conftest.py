"""A moto server with the tables, queues, buckets and keys that a worker needs, and a worker on top of it."""

import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from pqtransfer.aws.checkpoints import DynamoCheckpointStore, KmsDataKeySealer
from pqtransfer.aws.folder import S3Connection, S3Folder
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.queue import TransferQueue

REGION = "eu-central-1"
DATA_BUCKET = "models"
SITE_BUCKET = "site"


@dataclass(frozen=True)
class Cloud:
    """Clients and adapters on one moto server."""

    session: boto3.Session
    endpoint_url: str
    queue_url: str
    dead_letter_queue_url: str
    checkpoint_key_arn: str
    transfers_table: Any
    checkpoints_table: Any

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint_url)

    @property
    def s3(self) -> S3Connection:
        return S3Connection.open(self.session, endpoint_url=self.endpoint_url)

    @property
    def ledger(self) -> DynamoTransferLedger:
        return DynamoTransferLedger(self.transfers_table)

    @property
    def checkpoints(self) -> DynamoCheckpointStore:
        return DynamoCheckpointStore(self.checkpoints_table)

    @property
    def sealer(self) -> KmsDataKeySealer:
        return KmsDataKeySealer(self.client("kms"), key_id=self.checkpoint_key_arn)

    @property
    def queue(self) -> TransferQueue:
        return TransferQueue(
            self.client("sqs"), queue_url=self.queue_url, dead_letter_queue_url=self.dead_letter_queue_url
        )

    def folder(self, bucket: str = DATA_BUCKET, prefix: str = "") -> S3Folder:
        return S3Folder(self.s3, bucket=bucket, prefix=prefix)

    def put(self, key: str, data: bytes, *, bucket: str = SITE_BUCKET) -> str:
        self.client("s3").upload_fileobj(io.BytesIO(data), bucket, key)
        return f"s3://{bucket}/{key}"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(moto_url: str) -> Iterator[Cloud]:
    """An empty cloud: what the stacks make, without its policies."""
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")).read()
    client = lambda service: session.client(service, endpoint_url=moto_url)  # noqa: E731
    for bucket in (DATA_BUCKET, SITE_BUCKET):
        client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3").put_bucket_versioning(Bucket=DATA_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    dynamodb = client("dynamodb")
    attribute = lambda name: {"AttributeName": name, "AttributeType": "S"}  # noqa: E731
    key = lambda name, kind: {"AttributeName": name, "KeyType": kind}  # noqa: E731
    dynamodb.create_table(
        TableName="transfers",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[attribute(name) for name in ("transfer_id", "sender", "state", "submitted_at")],
        KeySchema=[key("transfer_id", "HASH")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": f"{name}-index",
                "KeySchema": [key(name, "HASH"), key("submitted_at", "RANGE")],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name in ("sender", "state")
        ],
    )
    dynamodb.create_table(
        TableName="checkpoints",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[attribute("transfer_id"), attribute("item")],
        KeySchema=[key("transfer_id", "HASH"), key("item", "RANGE")],
    )
    resource = session.resource("dynamodb", endpoint_url=moto_url)
    yield Cloud(
        session=session,
        endpoint_url=moto_url,
        queue_url=client("sqs").create_queue(QueueName="transfers")["QueueUrl"],
        dead_letter_queue_url=client("sqs").create_queue(QueueName="dead")["QueueUrl"],
        checkpoint_key_arn=client("kms").create_key()["KeyMetadata"]["Arn"],
        transfers_table=resource.Table("transfers"),
        checkpoints_table=resource.Table("checkpoints"),
    )


def read_clock() -> datetime:
    return datetime.now(UTC)


def random_bytes(count: int) -> bytes:
    return os.urandom(count)


monotonic = time.monotonic
