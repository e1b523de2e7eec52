"""What a site does in the deployed cloud, and what somebody sees who looks behind it: for the tests of this folder."""

import base64
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import boto3
from uuid6 import uuid7

from pqtransfer.aws.checkpoints import DynamoCheckpointStore
from pqtransfer.aws.vault import PROPAGATION_SECONDS
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.keys.holder import KeyHolder
from pqtransfer.sdk import load_private_identity
from pqtransfer.sdk.client import Client
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.transfers.folder import StoredPart
from pqtransfer.transfers.ledger import FINAL_STATES, TransferRecord, TransferState
from pqtransfer.transfers.request import TransferRequest
from pqtransfer.transfers.signed_request import sign_request
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.sessions import CloudSession

SOURCE_BUCKET = "pqtransfer-local-source"
DESTINATION_BUCKET = "pqtransfer-local-results"
SENDER, MANAGED, EXTERNAL, STRANGER = "site-a", "site-b", "site-c", "site-d"
PART_BYTES = 32 << 20
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """A model in the source bucket."""

    uri: str
    size_bytes: int
    sha256: str
    part_count: int


@dataclass(frozen=True)
class Finished:
    """What a command printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON on stdout."""
        answer: dict[str, Any] = json.loads(self.stdout)
        return answer

    @property
    def error(self) -> dict[str, str]:
        """The error that `--json` prints as the last line of stderr."""
        error: dict[str, str] = json.loads(self.stderr.splitlines()[-1])["error"]
        return error


class Stage:
    """The deployed cloud with four participants: SENDER and MANAGED are managed, EXTERNAL and STRANGER keep their keys.

    Tests send from SENDER to MANAGED and EXTERNAL; STRANGER is somebody else.
    """

    def __init__(
        self, cloud: EmbeddedCloud, deployment: Deployment, act_as: Callable[[str | None], CloudSession], folder: Path
    ) -> None:
        self.cloud = cloud
        self.deployment = deployment
        self.folder = folder
        self._act_as = act_as
        self._clients: dict[str, Client] = {}
        self.owner_s3 = act_as(None).client("s3")
        self.owner_sqs = act_as(None).client("sqs")
        tables = act_as(None).resource("dynamodb")
        self._checkpoints = DynamoCheckpointStore(tables.Table(deployment.checkpoints_table))
        self._transfers = tables.Table(deployment.transfers_table)

    # --- acting as a site

    def key_folder(self, participant: str) -> Path:
        """Where an external participant keeps its keys."""
        return self.folder / f"keys-{participant}"

    def start_pqtransfer(
        self, *arguments: object, role: str, deployment: Path | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start the command under a role."""
        variables = self.cloud.variables(role)
        variables["PQTRANSFER_DEPLOYMENT"] = str(deployment or self.cloud.deployment_file)
        variables["HOME"] = str(self.folder)
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "pqtransfer"), *map(str, arguments)],
            env=variables,
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pqtransfer(
        self, *arguments: object, role: str, deployment: Path | None = None, cwd: Path | None = None
    ) -> Finished:
        """Run the command under a role to its end."""
        process = self.start_pqtransfer(*arguments, role=role, deployment=deployment, cwd=cwd)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        return Finished(process.returncode, stdout, stderr)

    def client(self, role: str) -> Client:
        """The SDK under a role; the same client each time."""
        if role not in self._clients:
            self._clients[role] = self._connect(role)
        return self._clients[role]

    def _connect(self, role: str) -> Client:
        keys = self._act_as(role)
        session = boto3.Session(
            aws_access_key_id=keys.aws_access_key_id,
            aws_secret_access_key=keys.aws_secret_access_key,
            aws_session_token=keys.aws_session_token,
            region_name=self.deployment.region,
        )
        return Client(self.deployment, session, self.folder / "state")

    def put_model(self, key: str, data: bytes) -> Model:
        """Put a model into the source bucket."""
        self.owner_s3.put_object(Bucket=SOURCE_BUCKET, Key=key, Body=data)
        return describe_model(f"s3://{SOURCE_BUCKET}/{key}", data)

    def request(self, model: Model | str, **fields: Any) -> TransferRequest:
        """A request of SENDER for MANAGED and EXTERNAL."""
        transfer_id = str(uuid7())
        known = {
            "transfer_id": transfer_id,
            "kind": "encrypt",
            "source": model.uri if isinstance(model, Model) else model,
            "sender": SENDER,
            "recipients": (MANAGED, EXTERNAL),
            "correlation_id": f"e2e-{transfer_id}",
        }
        return TransferRequest.model_validate({**known, **fields})

    def submit(self, model: Model | str, **fields: Any) -> str:
        """Submit such a request as a submitter; return its id."""
        return self.submit_request(self.request(model, **fields)).transfer_id

    def submit_request(self, request: TransferRequest) -> TransferRecord:
        """Submit a request as a submitter, signed by its sender."""
        return self.client("submitter").submit(request, signer=self.holder(request.sender, role="submitter"))

    def sign(self, request: TransferRequest, *, by: str | None = None) -> str:
        """The message for the queue, signed by the request's sender, or by somebody else."""
        return sign_request(request, self.holder(by or request.sender, role="submitter").signing_key())

    def send_message(self, body: str) -> None:
        """Put a message on the queue as a submitter, without recording anything first."""
        queue = self.cloud.session("submitter").client("sqs")
        queue.send_message(QueueUrl=self.deployment.queue_url, MessageBody=body)

    def holder(self, participant: str, *, role: str) -> KeyHolder:
        """Whoever can use a participant's keys, under a role."""
        client = self.client(role)
        if participant in (SENDER, MANAGED):
            return client.managed_holder(participant)
        return client.local_holder(load_private_identity(self.key_folder(participant)))

    def receive_sha256(self, transfer_id: str, *, reader: str = EXTERNAL) -> str:
        """Receive as a recipient; the SHA-256 of what came."""
        client = self.client("recipient")
        out = self.folder / f"{transfer_id}.{reader}"
        try:
            client.receive(transfer_id, reader=self.holder(reader, role="recipient"), out=out)
            with out.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        finally:
            out.unlink(missing_ok=True)

    # --- looking behind it

    def status(self, transfer_id: str) -> TransferRecord:
        """The transfer's record."""
        return self.client("recipient").status(transfer_id)

    def wait_for_end(self, transfer_id: str) -> TransferRecord:
        """Wait until the transfer has ended, well or not."""
        return wait_for(
            f"the end of {transfer_id}",
            lambda: record if (record := self.status(transfer_id)).state in FINAL_STATES else None,
        )

    def wait_for_completion(self, transfer_id: str) -> TransferRecord:
        """Wait until the transfer is complete; any other end is a failure of the test."""
        record = self.wait_for_end(transfer_id)
        assert record.state is TransferState.COMPLETED, record.failure
        return record

    def wait_for_parts(self, transfer_id: str, count: int) -> Mapping[int, StoredPart]:
        """Wait until that many parts stand in the checkpoint."""
        return wait_for(
            f"{count} parts of {transfer_id}",
            lambda: parts if len(parts := self.recorded_parts(transfer_id)) >= count else None,
        )

    def recorded_parts(self, transfer_id: str) -> Mapping[int, StoredPart]:
        """The parts in the checkpoint."""
        return self._checkpoints.load_parts(transfer_id)

    def has_checkpoint(self, transfer_id: str) -> bool:
        """Whether the transfer has a checkpoint."""
        return self._checkpoints.load(transfer_id) is not None

    def uploads(self, bucket: str | None = None) -> list[str]:
        """The keys of the multipart uploads that are open in a bucket (by default the data bucket)."""
        answer = self.owner_s3.list_multipart_uploads(Bucket=bucket or self.deployment.data_bucket)
        return [upload["Key"] for upload in answer.get("Uploads", [])]

    def objects(self, transfer_id: str) -> dict[str, bytes]:
        """The objects of a container, by name."""
        prefix = f"transfers/{transfer_id}/"
        bucket = self.deployment.data_bucket
        found = self.owner_s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {
            each["Key"].removeprefix(prefix): self.owner_s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            for each in found
        }

    def manifest(self, transfer_id: str) -> SignedManifest:
        """The manifest of a container."""
        key = f"transfers/{transfer_id}/manifest.json"
        answer = self.owner_s3.get_object(Bucket=self.deployment.data_bucket, Key=key)
        return SignedManifest.from_json(answer["Body"].read())

    def queue_length(self, url: str | None = None) -> tuple[int, int]:
        """How many messages of a queue (by default that of requests) are visible, and how many in somebody's hands."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.owner_sqs.get_queue_attributes(QueueUrl=url or self.deployment.queue_url, AttributeNames=names)
        visible, held = (int(answer["Attributes"][name]) for name in names)
        return visible, held

    def wait_until_roles_are_old(self) -> None:
        """Wait until a refusal is no longer taken for one of a role that is not known everywhere yet."""
        (created_at,) = {key.created_at for key in self.client("operator").registry.load(MANAGED).keys}
        wait_for("the end of the first minute", lambda: _seconds_since(created_at) > PROPAGATION_SECONDS or None)

    def wait_for_empty_queue(self) -> None:
        """Wait until no message is left, in nobody's hands either."""
        wait_for("an empty queue", lambda: self.queue_length() == (0, 0) or None)

    def wait_for_dead_letter(self, matches: Callable[[str], bool]) -> dict[str, str]:
        """Wait for a message with such a body in the dead-letter queue; its attributes. It is removed."""

        def look() -> dict[str, str] | None:
            url = self.deployment.dead_letter_queue_url
            answer = self.owner_sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=1
            )
            for message in answer.get("Messages", []):
                if matches(message["Body"]):
                    self.owner_sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    attributes = message.get("MessageAttributes", {})
                    return {name: attribute["StringValue"] for name, attribute in attributes.items()}
            return None

        return wait_for("the dead letter", look)

    def expire_lease(self, transfer_id: str) -> None:
        """Let the minute pass after which a transfer of a dead process is free."""
        self._transfers.update_item(
            Key={"transfer_id": transfer_id},
            UpdateExpression="SET lease_expires_at_ms = :past",
            ExpressionAttributeValues={":past": 0},
        )

    @contextmanager
    def record_replaced(self, transfer_id: str, **fields: str) -> Iterator[None]:
        """Somebody who can write to the ledger changes what a transfer was asked to be; undone at the end."""
        key = {"transfer_id": transfer_id}
        item = self._transfers.get_item(Key=key)["Item"]
        self._transfers.put_item(Item={**item, "request": json.dumps({**json.loads(item["request"]), **fields})})
        try:
            yield
        finally:
            self._transfers.put_item(Item=item)

    # --- clearing up

    def clear(self) -> None:
        """Empty queues and data bucket: the embedded S3 keeps objects in memory."""
        for url in (self.deployment.queue_url, self.deployment.dead_letter_queue_url):
            self.owner_sqs.purge_queue(QueueUrl=url)
        for bucket in (self.deployment.data_bucket, DESTINATION_BUCKET):
            for upload in self.owner_s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                self.owner_s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            versions = self.owner_s3.list_object_versions(Bucket=bucket)
            for version in [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]:
                self.owner_s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


def _seconds_since(at: datetime) -> float:
    return (datetime.now(UTC) - at).total_seconds()


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """Look until there is something to see; fail the test when there is not within the patience of this folder."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := look()) is None:
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS:.0f} s"
        time.sleep(POLL_SECONDS)
    return seen


def describe_model(uri: str, data: bytes) -> Model:
    """The model that these bytes are."""
    return Model(uri, len(data), hashlib.sha256(data).hexdigest(), max(1, -(-len(data) // (PART_BYTES - 1024))))


def to_base64(sha256_hex: str) -> str:
    """A digest as requests carry it."""
    return base64.b64encode(bytes.fromhex(sha256_hex)).decode()
