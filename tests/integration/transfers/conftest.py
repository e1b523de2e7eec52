"""A cloud in memory with the tables, queues, buckets and keys that a worker needs; faults on demand."""

import io
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
import pytest

from pqtransfer.aws.checkpoints import DynamoCheckpointStore, KmsDataKeySealer
from pqtransfer.aws.clients import client_config
from pqtransfer.aws.folder import S3Connection, S3Folder
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.queue import TransferQueue
from pqtransfer.aws.transfer_items import LISTED_ATTRIBUTES, LIVE_ATTRIBUTES, LIVE_INDEX, SENDER_INDEX, STATE_INDEX
from tests.fakes.cloud_server import CloudServer

REGION = "eu-central-1"
ACCOUNT_ID = "123456789012"
DATA_BUCKET = "models"
SITE_BUCKET = "site"
TABLE_KEYS = {
    "transfers": ("transfer_id",),
    "checkpoints": ("transfer_id", "item"),
    "participants": ("participant", "item"),
}


@dataclass(frozen=True)
class Cloud:
    """Clients and adapters on one server."""

    server: CloudServer
    session: boto3.Session
    queue_url: str
    dead_letter_queue_url: str
    checkpoint_key_arn: str

    @property
    def endpoint_url(self) -> str:
        return self.server.url

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint_url, config=client_config())

    def table(self, name: str) -> Any:
        return self.session.resource("dynamodb", endpoint_url=self.endpoint_url, config=client_config()).Table(name)

    @cached_property
    def s3(self) -> S3Connection:
        return S3Connection.open(self.session, endpoint_url=self.endpoint_url)

    @cached_property
    def ledger(self) -> DynamoTransferLedger:
        return DynamoTransferLedger(self.table("transfers"))

    @cached_property
    def checkpoints(self) -> DynamoCheckpointStore:
        return DynamoCheckpointStore(self.table("checkpoints"))

    @cached_property
    def sealer(self) -> KmsDataKeySealer:
        return KmsDataKeySealer(self.client("kms"), key_id=self.checkpoint_key_arn)

    @cached_property
    def queue(self) -> TransferQueue:
        return TransferQueue(
            self.client("sqs"), queue_url=self.queue_url, dead_letter_queue_url=self.dead_letter_queue_url
        )

    @cached_property
    def registry(self) -> DynamoKeyRegistry:
        return DynamoKeyRegistry(self.client("dynamodb"), table_name="participants")

    def folder(self, bucket: str = DATA_BUCKET, prefix: str = "") -> S3Folder:
        return S3Folder(self.s3, bucket=bucket, prefix=prefix)

    def put(self, key: str, data: bytes, *, bucket: str = SITE_BUCKET) -> str:
        """Make or overwrite an object; returns its URI."""
        self.s3.client.upload_fileobj(io.BytesIO(data), bucket, key)
        return f"s3://{bucket}/{key}"

    def get(self, key: str, *, bucket: str = DATA_BUCKET) -> bytes:
        return self.s3.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def keys(self, bucket: str = DATA_BUCKET) -> set[str]:
        """What stands in the bucket."""
        return {item["Key"] for item in self.s3.client.list_objects_v2(Bucket=bucket).get("Contents", [])}

    def uploads(self, bucket: str = DATA_BUCKET) -> list[str]:
        """Multipart uploads that were neither completed nor aborted."""
        return [
            upload["UploadId"] for upload in self.s3.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        ]


@pytest.fixture(scope="session")
def cloud_server() -> Iterator[CloudServer]:
    with CloudServer() as server:
        yield server


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> int:
    """As many attempts as are made in these tests, with next to no waiting between them."""
    attempts = 3
    monkeypatch.setattr("pqtransfer.aws.clients.MAXIMUM_ATTEMPTS", attempts)
    monkeypatch.setattr("pqtransfer.aws.range_source.FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_args: 0.01)
    return attempts


@pytest.fixture
def cloud(cloud_server: CloudServer, quick_retries: int, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An empty cloud: what the stacks make, without their policies. No setting of this machine gets into it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    cloud_server.faults.clear()
    urllib.request.urlopen(f"{cloud_server.url}/moto-api/reset", data=b"").close()  # noqa: S310
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
    s3, sqs, dynamodb, kms = (
        session.client(name, endpoint_url=cloud_server.url) for name in ("s3", "sqs", "dynamodb", "kms")
    )
    for bucket in (DATA_BUCKET, SITE_BUCKET):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=DATA_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for table in TABLE_KEYS:
        make_table(dynamodb, table)
    cloud = Cloud(
        server=cloud_server,
        session=session,
        queue_url=sqs.create_queue(QueueName="transfers")["QueueUrl"],
        dead_letter_queue_url=sqs.create_queue(QueueName="dead")["QueueUrl"],
        checkpoint_key_arn=kms.create_key()["KeyMetadata"]["Arn"],
    )
    cloud_server.uploaded.clear()
    cloud_server.requests.clear()
    return cloud


def make_table(dynamodb: Any, name: str) -> None:
    """A table as the storage stack makes it."""
    indexes = {"sender": SENDER_INDEX, "state": STATE_INDEX, "live": LIVE_INDEX} if name == "transfers" else {}
    attributes = {*TABLE_KEYS[name], *indexes, *(["submitted_at"] if indexes else [])}
    listed = [
        {
            "IndexName": index,
            "KeySchema": [_key(attribute, "HASH"), _key("submitted_at", "RANGE")],
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": list(LIVE_ATTRIBUTES if index == LIVE_INDEX else LISTED_ATTRIBUTES),
            },
        }
        for attribute, index in indexes.items()
    ]
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": "S"} for attribute in sorted(attributes)],
        KeySchema=[_key(*each) for each in zip(TABLE_KEYS[name], ("HASH", "RANGE"), strict=False)],
        **({"GlobalSecondaryIndexes": listed} if listed else {}),
    )


def _key(attribute: str, kind: str) -> dict[str, str]:
    return {"AttributeName": attribute, "KeyType": kind}
