"""What sites do in the deployed cloud before and after one of their keys is lost: for the tests of this folder."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pqtransfer.aws.audit_trust import S3TrustBucket
from pqtransfer.aws.dependency_index import (
    COMPLETE_KEY,
    PASS_KEY,
    POSITION_KEY,
    REREAD_KEY,
    DynamoDependencyIndex,
)
from pqtransfer.aws.incidents import DynamoIncidentStore
from pqtransfer.aws.invocation import LambdaFunction
from pqtransfer.aws.key_orders import SqsKeyOrders
from pqtransfer.aws.signature_evidence import AuditLogEvidence
from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.keys.holder import KeyHolder
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.protection.incidents import COMPROMISE_REPORTED_SOURCE
from pqtransfer.sdk.incidents import Incidents
from pqtransfer.transfers.dependencies import Dependency
from pqtransfer.transfers.ledger import TransferRecord
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.transfers.stage import SOURCE_BUCKET, Finished, Stage, wait_for


class _Heard(list[dict[str, Any]]):
    """Events, fetched from their queue when they are looked at."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        super().__init__()
        self._sqs = sqs
        self._queue_url = queue_url

    def __reversed__(self) -> Iterator[dict[str, Any]]:
        answer = self._sqs.receive_message(QueueUrl=self._queue_url, MaxNumberOfMessages=10)
        self.extend(json.loads(message["Body"]) for message in answer.get("Messages", []))
        return super().__reversed__()


class Sites(Stage):
    """A stage whose participants are made by the tests that need them, under names of their own."""

    def __init__(
        self, cloud: EmbeddedCloud, deployment: object, act_as: Callable[[str | None], CloudSession], folder: Path
    ) -> None:
        super().__init__(cloud, deployment, act_as, folder)  # type: ignore[arg-type]
        self._envelopes = act_as(None).resource("dynamodb").Table(self.deployment.envelopes_table)
        self._events = act_as(None).client("events")
        self.index = DynamoDependencyIndex(self._envelopes)
        self._managed: set[str] = set()

    def add_managed(self, *names: str) -> None:
        """Register managed participants that may read from the source bucket, as an operator."""
        principals = [each for role in ("recipient", "submitter") for each in ("--principal", role_arn(role))]
        for name in names:
            self.require("participants", "add", name, "--managed", *principals, "--bucket", SOURCE_BUCKET)
        self._managed.update(names)

    def add_external(self, name: str) -> None:
        """Register a participant that keeps its keys."""
        self.require("keygen", "--out", self.key_folder(name), "--name", name)
        self.require("participants", "add", name, "--public-keys", self.key_folder(name))

    def require(self, *arguments: object, role: str = "operator") -> Finished:
        """Run a command that has to succeed."""
        finished = self.pqtransfer(*arguments, role=role)
        assert finished.exit_code == 0, finished.stderr
        return finished

    def holder(self, participant: str, *, role: str) -> KeyHolder:
        client = self.client(role)
        if participant in self._managed:
            return client.managed_holder(participant)
        return super().holder(participant, role=role)

    def registered(self, name: str) -> RegisteredParticipant:
        """What the registry says of a participant."""
        return self.client("recipient").registry.load(name)

    def send(
        self, label: str, *, sender: str, recipients: tuple[str, ...], size_bytes: int = 3 << 20
    ) -> TransferRecord:
        """Send a model through the worker, and wait until it is there."""
        data = hashlib.shake_256(label.encode()).digest(size_bytes)
        model = self.put_model(f"models/{label}", data)
        return self.wait_for_completion(self.submit(model, sender=sender, recipients=recipients))

    def sha256_of(self, label: str, *, size_bytes: int = 3 << 20) -> str:
        """The digest of the model of this label."""
        return hashlib.sha256(hashlib.shake_256(label.encode()).digest(size_bytes)).hexdigest()

    def rows(self, transfer_id: str) -> set[Dependency]:
        """What the index says a container needs."""
        return set(self.index.find_of(transfer_id))

    def rotate(self, name: str, purpose: KeyPurpose, *, replaces: str) -> None:
        """Have the key service rotate one key, by an order in its queue."""
        order = KeyOrder(
            action=KeyAction.ROTATE,
            participant=name,
            purpose=purpose,
            replaces=replaces,
            asked_by="e2e",
            correlation_id="e2e-rotation",
        )
        SqsKeyOrders(self.owner_sqs, queue_url=self.deployment.key_orders_queue_url).send([order])

    def opens(self, transfer_id: str, key: PrivateKey) -> bool:
        """Whether the envelope of a container has a stanza for this key."""
        envelope = Envelope.from_json(self.objects(transfer_id)["envelope.json"])
        return key.public_key.key_id in envelope.recipient_key_ids

    def versions(self, transfer_id: str) -> set[str]:
        """The names in a container of which any version is left."""
        prefix = f"transfers/{transfer_id}/"
        found = self.owner_s3.list_object_versions(Bucket=self.deployment.data_bucket, Prefix=prefix)
        listed = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
        return {each["Key"].removeprefix(prefix) for each in listed}

    def versions_of_payload(self, transfer_id: str) -> list[str]:
        """The versions of a container's payload."""
        key = f"transfers/{transfer_id}/payload"
        found = self.owner_s3.list_object_versions(Bucket=self.deployment.data_bucket, Prefix=key)
        return [each["VersionId"] for each in found["Versions"]]

    def incidents(self) -> Incidents:
        """The incidents, as an operator. The function is awake, as its schedule keeps it."""
        functions = self._act_as("operator").client("lambda")
        name = self.deployment.functions.respond_to_compromise
        functions.invoke(FunctionName=name, Payload=b'{"action": "resume"}')
        store = DynamoIncidentStore(
            self._act_as("operator").resource("dynamodb").Table(self.deployment.incidents_table)
        )
        return Incidents(
            store=store,
            respond=LambdaFunction(functions, function_name=name),
            name_caller=lambda: "soc@example.org",
        )

    def witness(self) -> None:
        """Have the witness look at the log now; it does so by the minute."""
        functions = self.cloud.session().client("lambda")
        (name,) = [
            each["FunctionName"]
            for each in functions.list_functions()["Functions"]
            if "WitnessCheckpoint" in each["FunctionName"]
        ]
        functions.invoke(FunctionName=name, Payload=b"{}")

    def evidence(self) -> AuditLogEvidence:
        """What the audit log proves, read as the account's owner."""
        trust = S3TrustBucket(self.owner_s3, bucket=self.deployment.audit_trust_bucket)
        return AuditLogEvidence(
            self.owner_s3, bucket=self.deployment.audit_bucket, trust=trust, origin=self.deployment.audit_origin
        )

    def find_proof_time(self, evidence: AuditLogEvidence, manifest: SignedManifest) -> datetime | None:
        """The next second, when a witnessed checkpoint proves the manifest older than that."""
        self.witness()
        time.sleep(1.0)
        now = datetime.now(UTC).replace(microsecond=0)
        return now if evidence.proves_older(manifest, than=now) else None

    def put_event(self, detail_type: str, detail: dict[str, Any]) -> None:
        """Put an event on the bus."""
        answer = self._events.put_events(
            Entries=[
                {
                    "EventBusName": self.deployment.event_bus,
                    "Source": COMPROMISE_REPORTED_SOURCE,
                    "DetailType": detail_type,
                    "Detail": json.dumps(detail),
                }
            ]
        )
        assert answer["FailedEntryCount"] == 0, answer

    @contextmanager
    def listen(self) -> Iterator[list[dict[str, Any]]]:
        """What is told on the bus meanwhile: a list that grows whenever it is looked at."""
        queue_url = self.owner_sqs.create_queue(QueueName="e2e-incidents-heard")["QueueUrl"]
        attributes = self.owner_sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
        bus = {"EventBusName": self.deployment.event_bus}
        pattern = json.dumps({"detail-type": ["AlertRaised", "ParticipantCredentialsRevoked"]})
        self._events.put_rule(Name="e2e-incidents-heard", EventPattern=pattern, **bus)
        target = {"Id": "heard", "Arn": attributes["QueueArn"]}
        self._events.put_targets(Rule="e2e-incidents-heard", Targets=[target], **bus)
        try:
            yield _Heard(self.owner_sqs, queue_url)
        finally:
            self._events.remove_targets(Rule="e2e-incidents-heard", Ids=["heard"], **bus)
            self._events.delete_rule(Name="e2e-incidents-heard", **bus)
            self.owner_sqs.delete_queue(QueueUrl=queue_url)

    def forget_backfill(self) -> None:
        """Let the index be as it was before older containers were read."""
        for key in (COMPLETE_KEY, POSITION_KEY):
            self._envelopes.delete_item(Key=key)

    def index_older_containers(self) -> dict[str, Any]:
        """Call the function that reads containers, as its schedule does."""
        functions = self.cloud.session().client("lambda")
        (name,) = [
            each["FunctionName"]
            for each in functions.list_functions()["Functions"]
            if "IndexEnvelopes" in each["FunctionName"]
        ]
        answer: dict[str, Any] = json.loads(functions.invoke(FunctionName=name, Payload=b"{}")["Payload"].read())
        return answer

    def forget_rereading(self) -> None:
        """Let it be as if the containers had never been read again."""
        for key in (REREAD_KEY, PASS_KEY):
            self._envelopes.delete_item(Key=key)

    def wait_until_reread(self, *, since: datetime) -> None:
        """Have the containers read again, as the schedule does, until a pass has ended that began after `since`."""

        def look() -> bool | None:
            self.index_older_containers()
            reread = self.index.read_reread()
            return True if reread is not None and reread > since else None

        wait_for("the containers to be read again", look)

    @contextmanager
    def stopped_rereading(self) -> Iterator[None]:
        """The schedule that has the containers read again sleeps meanwhile."""
        rules = [each["Name"] for each in self._events.list_rules()["Rules"] if "Backfill" in each["Name"]]
        assert len(rules) == 1
        self._events.disable_rule(Name=rules[0])
        try:
            yield
        finally:
            self._events.enable_rule(Name=rules[0])

    def wait_for_rows(self, transfer_id: str, *, epoch: int) -> set[Dependency]:
        """Wait until the index knows the envelope of this epoch and no other."""

        def look() -> set[Dependency] | None:
            rows = self.rows(transfer_id)
            return rows if {row.epoch for row in rows} == {epoch} else None

        return wait_for(f"rows of epoch {epoch} of {transfer_id}", look)
