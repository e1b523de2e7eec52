"""The stage of the tests of keys: two managed participants of their own, workers as processes, a queue of events."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pqtransfer.keys.holder import KeyHolder
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.transfers.slow_link import SlowLink
from tests.e2e.transfers.stage import SOURCE_BUCKET, Stage, wait_for
from tests.e2e.workers import StartWorker, starting_workers

ROTATING_SENDER, ROTATING_READER = "rotating-sender", "rotating-reader"
EVENTS = ["KeyRotated", "AlertRaised"]


class KeyStage(Stage):
    """Both participants are managed."""

    def holder(self, participant: str, *, role: str) -> KeyHolder:
        return self.client(role).managed_holder(participant)

    def keys(self, name: str) -> list[dict[str, Any]]:
        """What the command line shows of a participant's keys."""
        shown = self.pqtransfer("keys", "list", name, "--json", role="operator")
        assert shown.exit_code == 0, shown.stderr
        found: list[dict[str, Any]] = json.loads(shown.stdout)
        return found

    def active(self, name: str, purpose: str) -> str:
        """The id of the key in use."""
        [key_id] = [
            each["key_id"] for each in self.keys(name) if (each["purpose"], each["state"]) == (purpose, "ACTIVE")
        ]
        return str(key_id)

    def set_key(self, name: str, key_id: str, **times: str) -> None:
        """Let a key be older than it is."""
        self.owner_dynamodb.update_item(
            TableName=self.deployment.participants_table,
            Key={"participant": {"S": name}, "item": {"S": f"KEY#{key_id}"}},
            UpdateExpression="SET " + ", ".join(f"{field} = :{field}" for field in times),
            ExpressionAttributeValues={f":{field}": {"S": value} for field, value in times.items()},
        )

    def call(self, function: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function as its schedule does."""
        client = self.cloud.session().client("lambda")
        name = getattr(self.deployment.functions, function)
        answer = client.invoke(FunctionName=name, Payload=json.dumps(request).encode())
        payload: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    @property
    def owner_dynamodb(self) -> Any:
        return self.cloud.session().client("dynamodb")


@pytest.fixture(scope="session")
def stage(
    cloud: EmbeddedCloud,
    deployment: Deployment,
    act_as: Callable[[str | None], CloudSession],
    tmp_path_factory: pytest.TempPathFactory,
) -> KeyStage:
    """The deployed cloud with its participants, added by the operator's command line."""
    made = KeyStage(cloud, deployment, act_as, tmp_path_factory.mktemp("sites"))
    principals = [each for role in ("recipient", "submitter") for each in ("--principal", role_arn(role))]
    for name in (ROTATING_SENDER, ROTATING_READER):
        added = made.pqtransfer(
            "participants", "add", name, "--managed", *principals, "--bucket", SOURCE_BUCKET, role="operator"
        )
        assert added.exit_code == 0, added.stderr
    return made


@pytest.fixture
def told(stage: KeyStage) -> Iterator[Callable[[str, Callable[[dict[str, Any]], bool]], dict[str, Any]]]:
    """Waits for an event on the deployment's bus, which a queue of the test's own is filled with."""
    owner = stage.cloud.session()
    events, queues = owner.client("events"), owner.client("sqs")
    url = queues.create_queue(QueueName="e2e-keys")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = stage.deployment.event_bus
    events.put_rule(Name="e2e-keys", EventBusName=bus, EventPattern=json.dumps({"detail-type": EVENTS}))
    events.put_targets(Rule="e2e-keys", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    seen: list[dict[str, Any]] = []

    def wait(detail_type: str, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            for message in answer.get("Messages", []):
                seen.append(json.loads(message["Body"]))
                queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return next(
                (each["detail"] for each in seen if each["detail-type"] == detail_type and matches(each["detail"])),
                None,
            )

        return wait_for(detail_type, look)

    yield wait
    events.remove_targets(Rule="e2e-keys", EventBusName=bus, Ids=["queue"])
    events.delete_rule(Name="e2e-keys", EventBusName=bus)
    queues.delete_queue(QueueUrl=url)


@pytest.fixture
def start_worker(stage: KeyStage, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers under the worker's role; stops those that still run when the test ends."""
    with starting_workers(stage.cloud, stage.deployment, logs=tmp_path) as start:
        yield start


@pytest.fixture
def slow_link(stage: KeyStage) -> Iterator[SlowLink]:
    """A link to the cloud that takes a second for some megabytes."""
    with SlowLink(stage.cloud.endpoint_url, bytes_per_second=24e6) as link:
        yield link
