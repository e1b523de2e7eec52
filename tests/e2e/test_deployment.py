"""What a deployment leaves: everything provisioned, told where it is, and every role held to what it was granted."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from pqtransfer.aws.checkpoints import DynamoCheckpointStore
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.sdk.deployment import Deployment, load_deployment
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.folder import StoredPart
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.function_roles import act_as_function

pytestmark = pytest.mark.e2e

ActAs = Callable[[str | None], CloudSession]
STACKS = ("Network", "Storage", "Control", "Protection", "Fleet")
EVENT_PATIENCE_SECONDS = 20
CONTEXT = {"pqtransfer:transfer_id": "0190-test", "pqtransfer:purpose": "checkpoint"}


@pytest.fixture(scope="module")
def participants(act_as: ActAs, deployment: Deployment) -> dict[str, str]:
    """Two managed participants, registered by the deployed function: name -> role ARN."""
    functions = act_as("operator").client("lambda")
    names = ("e2e-first", "e2e-second")
    for name in names:
        request = {"name": name, "kind": "managed", "principals": ["arn:aws:iam::000000000000:root"]}
        answer = functions.invoke(
            FunctionName=deployment.functions.register_participant, Payload=json.dumps(request).encode()
        )
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        assert "error" not in payload, payload
    return {name: f"{deployment.participant_role_prefix}{name}" for name in names}


@pytest.fixture
def worker_health() -> Iterator[int]:
    """The port of something healthy on loopback, where a worker's health endpoint would be."""
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


class Healthy(BaseHTTPRequestHandler):
    """Answers 200 to /healthz, and 404 to everything else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def refused(call: Callable[..., Any], **arguments: Any) -> bool:
    """Whether the cloud refuses the call for want of a permission. Any other failure is an error of the test."""
    try:
        call(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"):
            return True
        raise
    return False


def secret_names(act_as: ActAs, participant: str) -> list[str]:
    """The secrets of a participant, as the account's owner sees them."""
    found = act_as(None).client("secretsmanager").list_secrets()["SecretList"]
    return [each["Name"] for each in found if f"/participants/{participant}/" in each["Name"]]


@pytest.mark.requirement("D1.1", "D1.2")
def test_one_command_provisions_every_stack(act_as: ActAs, deployment: Deployment) -> None:
    """Network, security groups, load balancer and storage are there, and no step was done by hand."""
    cloudformation = act_as(None).client("cloudformation")
    for stack in STACKS:
        found = cloudformation.describe_stacks(StackName=f"Pqtransfer{stack}-local")["Stacks"][0]
        assert found["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    kinds = {
        resource["ResourceType"]
        for stack in STACKS
        for resource in cloudformation.list_stack_resources(StackName=f"Pqtransfer{stack}-local")[
            "StackResourceSummaries"
        ]
    }
    assert kinds >= {
        "AWS::EC2::VPC",
        "AWS::EC2::Subnet",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::VPCEndpoint",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::S3::Bucket",
        "AWS::DynamoDB::Table",
        "AWS::SQS::Queue",
        "AWS::Lambda::Function",
        "AWS::ECS::Service",
    }


@pytest.mark.requirement("D1.3")
def test_a_deployment_tells_scripts_where_it_is(cloud: EmbeddedCloud, deployment: Deployment) -> None:
    """The file a script reads names endpoints and health checks, and loads to what the command returned."""
    written = load_deployment(cloud.deployment_file)
    assert written == deployment
    assert written.endpoints["api"] == cloud.endpoint_url
    assert [url for url in written.health_urls if url.endswith("/healthz")]
    assert written.minimum_suite == "PQT-1"


@pytest.mark.requirement("D1.3")
def test_the_health_url_leads_to_a_worker(act_as: ActAs, deployment: Deployment, worker_health: int) -> None:
    """Behind the health-check URL stands the load balancer, and behind it whichever worker is registered."""
    balancers = act_as(None).client("elbv2")
    target = {"Id": "127.0.0.1", "Port": worker_health}
    balancers.register_targets(TargetGroupArn=deployment.health_target_group_arn, Targets=[target])
    try:
        with urllib.request.urlopen(deployment.health_urls[0], timeout=10) as answer:  # noqa: S310
            assert answer.status == 200
    finally:
        balancers.deregister_targets(TargetGroupArn=deployment.health_target_group_arn, Targets=[target])


@pytest.mark.requirement("D1.5", "D5.2")
def test_the_environments_settings_are_what_is_deployed(act_as: ActAs, deployment: Deployment) -> None:
    """Sizes and limits of `local` stand in the running resources."""
    owner = act_as(None)
    attributes = owner.client("sqs").get_queue_attributes(QueueUrl=deployment.queue_url, AttributeNames=["All"])
    redrive = json.loads(attributes["Attributes"]["RedrivePolicy"])
    service = owner.client("ecs").describe_services(cluster=deployment.cluster, services=[deployment.service])
    task = owner.client("ecs").describe_task_definition(taskDefinition=service["services"][0]["taskDefinition"])
    container = task["taskDefinition"]["containerDefinitions"][0]
    variables = {each["name"]: each["value"] for each in container["environment"]}
    assert int(redrive["maxReceiveCount"]) == 20 * int(variables["PQTRANSFER_MAX_RECEIVES"]) == 100
    assert int(attributes["Attributes"]["VisibilityTimeout"]) == 2 * int(variables["PQTRANSFER_LEASE_SECONDS"]) == 120
    assert 1 <= service["services"][0]["desiredCount"] <= deployment.workers_maximum  # what waits decides
    assert task["taskDefinition"]["cpu"] == "1024"
    assert variables["PQTRANSFER_ENVIRONMENT"] == "local"
    assert variables["PQTRANSFER_QUEUE_URL"] == deployment.queue_url
    assert variables["PQTRANSFER_PARTICIPANT_ROLE_PREFIX"] == deployment.participant_role_prefix


def test_a_second_deployment_changes_nothing(cloud: EmbeddedCloud, act_as: ActAs, deployment: Deployment) -> None:
    """Deploying what is deployed already updates in place: the same resources, and not one event more."""
    cloudformation = act_as(None).client("cloudformation")

    def events() -> list[int]:
        return [
            len(cloudformation.describe_stack_events(StackName=f"Pqtransfer{stack}-local")["StackEvents"])
            for stack in STACKS
        ]

    before = events()
    assert cloud.deploy() == deployment
    assert events() == before


@pytest.mark.requirement("D5.3")
def test_an_override_updates_in_place(cloud: EmbeddedCloud, act_as: ActAs, deployment: Deployment) -> None:
    """A setting given on the command line changes the queue that is there; messages and rows stay where they are."""
    owner = act_as(None)
    queues, table = owner.client("sqs"), owner.resource("dynamodb").Table(deployment.transfers_table)
    row = {"transfer_id": "e2e-stays", "state": "SUBMITTED", "sender": "a", "submitted_at": "2026-01-01T00:00:00Z"}
    table.put_item(Item=row)
    queues.send_message(QueueUrl=deployment.dead_letter_queue_url, MessageBody="stays")

    def retention_days() -> int:
        answer = queues.get_queue_attributes(
            QueueUrl=deployment.dead_letter_queue_url, AttributeNames=["MessageRetentionPeriod"]
        )
        return int(answer["Attributes"]["MessageRetentionPeriod"]) // 86400

    before = retention_days()
    try:
        assert cloud.deploy(arguments=["--context", "message_retention_days=13"]) == deployment
        assert (before, retention_days()) == (14, 13)
        assert table.get_item(Key={"transfer_id": "e2e-stays"})["Item"] == row
        (message,) = queues.receive_message(QueueUrl=deployment.dead_letter_queue_url, WaitTimeSeconds=1)["Messages"]
        assert message["Body"] == "stays"
        queues.delete_message(QueueUrl=deployment.dead_letter_queue_url, ReceiptHandle=message["ReceiptHandle"])
    finally:
        table.delete_item(Key={"transfer_id": "e2e-stays"})
        cloud.deploy()
    assert retention_days() == before


def test_the_stack_that_holds_data_refuses_deletion(act_as: ActAs, deployment: Deployment) -> None:
    """Nobody deletes the storage stack by a slip."""
    cloudformation = act_as(None).client("cloudformation")
    with pytest.raises(ClientError, match=r"(?i)termination"):
        cloudformation.delete_stack(StackName="PqtransferStorage-local")


def test_a_change_of_state_reaches_the_bus(act_as: ActAs, deployment: Deployment) -> None:
    """The stream runs the function under its own role, and the event says what happened to which transfer.

    A row before it that tells nothing does not hold it up.
    """
    owner = act_as(None)
    events, queues = owner.client("events"), owner.client("sqs")
    url = queues.create_queue(QueueName="e2e-state-changes")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _let_events_send(arn)})
    pattern = json.dumps({"source": ["pqtransfer"], "detail-type": ["TransferStateChanged"]})
    events.put_rule(Name="e2e", EventBusName=deployment.event_bus, EventPattern=pattern)
    events.put_targets(Rule="e2e", EventBusName=deployment.event_bus, Targets=[{"Id": "queue", "Arn": arn}])
    row = {
        "transfer_id": "e2e-state-change",
        "state": "SUBMITTED",
        "sender": "a",
        "recipients": ["b"],
        "submitted_at": "2026-01-01T00:00:00Z",
        "changed_at": "2026-01-01T00:00:00Z",
        "correlation_id": "c-1",
    }
    transfers = act_as("submitter").resource("dynamodb").Table(deployment.transfers_table)
    transfers.put_item(Item={"transfer_id": "e2e-nonsense"})
    transfers.put_item(Item=row)
    try:
        detail = _wait_for_detail(queues, url, "e2e-state-change")
    finally:
        for name in ("e2e-state-change", "e2e-nonsense"):
            owner.resource("dynamodb").Table(deployment.transfers_table).delete_item(Key={"transfer_id": name})
        events.remove_targets(Rule="e2e", EventBusName=deployment.event_bus, Ids=["queue"])
        events.delete_rule(Name="e2e", EventBusName=deployment.event_bus)
    assert detail["state"] == "SUBMITTED"
    assert detail["sender"] == "a"
    assert detail["recipients"] == ["b"]
    assert detail["correlation_id"] == "c-1"


@pytest.mark.requirement("D4.5")
def test_a_participants_secret_is_read_by_its_own_role_alone(act_as: ActAs, participants: dict[str, str]) -> None:
    """The participant's role reads it; the other participant, the workers, the function and the operator do not."""
    first, second = participants
    own = secret_names(act_as, first)
    assert own
    for name in own:
        answer = act_as(participants[first]).client("secretsmanager").get_secret_value(SecretId=name)
        assert answer["SecretString"]
        for role in (participants[second], "worker", "submitter", "recipient", "operator"):
            assert refused(act_as(role).client("secretsmanager").get_secret_value, SecretId=name), role


@pytest.mark.requirement("D4.5")
def test_a_worker_does_its_work_and_no_more(act_as: ActAs, deployment: Deployment) -> None:
    """What a transfer needs is granted; deleting, other prefixes, other buckets and other people's tables are not."""
    worker = act_as("worker")
    s3, data = worker.client("s3"), deployment.data_bucket
    s3.put_object(Bucket=data, Key="transfers/e2e/payload", Body=b"x")
    s3.get_object(Bucket=data, Key="transfers/e2e/payload")
    assert refused(s3.delete_object, Bucket=data, Key="transfers/e2e/payload")
    assert refused(s3.put_object, Bucket=data, Key="elsewhere", Body=b"x")
    assert refused(s3.list_buckets)
    assert refused(s3.put_object, Bucket="pqtransfer-local-source", Key="x", Body=b"x")
    table = worker.resource("dynamodb").Table
    of_nobody = Key("participant").eq("nobody")
    table(deployment.participants_table).query(KeyConditionExpression=of_nobody, ConsistentRead=True)
    item = {"participant": "a", "item": "PARTICIPANT"}
    assert refused(table(deployment.participants_table).get_item, Key=item)
    assert refused(table(deployment.participants_table).put_item, Item=item)
    table(deployment.transfers_table).get_item(Key={"transfer_id": "e2e"})
    of_a = {"IndexName": "sender-index", "KeyConditionExpression": Key("sender").eq("a")}
    assert refused(table(deployment.transfers_table).query, **of_a)
    assert refused(table(deployment.transfers_table).scan)
    with pytest.raises(ClientError, match="AccessDenied"), table(deployment.transfers_table).batch_writer() as batch:
        batch.delete_item(Key={"transfer_id": "e2e"})
    assert refused(table(deployment.transfers_table).delete_item, Key={"transfer_id": "e2e"})
    queues = worker.client("sqs")
    queues.receive_message(QueueUrl=deployment.queue_url, WaitTimeSeconds=0)
    assert refused(queues.send_message, QueueUrl=deployment.queue_url, MessageBody="{}")
    assert refused(queues.receive_message, QueueUrl=deployment.dead_letter_queue_url, WaitTimeSeconds=0)
    name = deployment.functions.register_participant
    assert refused(worker.client("lambda").invoke, FunctionName=name, Payload=b"{}")
    assert refused(worker.client("iam").list_roles)


@pytest.mark.requirement("D4.5")
def test_a_worker_writes_reads_and_clears_checkpoints(act_as: ActAs, deployment: Deployment) -> None:
    """Every call of the adapter is granted, and a row is never changed in place."""
    table = act_as("worker").resource("dynamodb").Table(deployment.checkpoints_table)
    store = DynamoCheckpointStore(table)
    checkpoint = Checkpoint(
        transfer_id="e2e-checkpoint",
        upload_id="u",
        source_etag="e",
        source_version_id=None,
        source_size_bytes=1,
        part_size_bytes=1,
        floe_header=b"header",
    )
    store.create(checkpoint)
    part = StoredPart(index=0, etag="p", size_bytes=1, sha256=None)
    store.record_part("e2e-checkpoint", "u", part)
    assert store.load("e2e-checkpoint") == checkpoint
    assert store.load_parts("e2e-checkpoint") == {0: part}
    key = {"transfer_id": "e2e-checkpoint", "item": "HEAD"}
    assert refused(table.update_item, Key=key, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": 1})
    store.clear("e2e-checkpoint")
    assert store.load("e2e-checkpoint") is None


@pytest.mark.requirement("D4.5")
def test_operators_alone_list_the_participants(
    act_as: ActAs, deployment: Deployment, participants: dict[str, str]
) -> None:
    """Whoever registers participants sees the list; nobody else does, and nobody lists another table."""
    listed = DynamoKeyRegistry(act_as("operator").client("dynamodb"), table_name=deployment.participants_table)
    assert {each.name for each in listed.list_all()} >= set(participants)
    others = ["worker", "submitter", "recipient", *participants.values()]
    for role in others:
        assert refused(act_as(role).client("dynamodb").scan, TableName=deployment.participants_table), role
    for table in (deployment.transfers_table, deployment.checkpoints_table):
        assert refused(act_as("operator").client("dynamodb").scan, TableName=table), table


@pytest.mark.requirement("D4.5")
def test_a_worker_uses_the_checkpoint_key_and_does_not_manage_it(act_as: ActAs, deployment: Deployment) -> None:
    """What was sealed for one transfer opens for no other; nobody but a worker opens it; nobody there deletes the key.

    That the key is out of reach without the context is a condition of the policy, which the embedded cloud does not
    evaluate: the test of the template shows it.
    """
    kms, key = act_as("worker").client("kms"), deployment.checkpoint_key_arn
    sealed = kms.encrypt(KeyId=key, Plaintext=b"data key", EncryptionContext=CONTEXT)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed, EncryptionContext=CONTEXT)["Plaintext"] == b"data key"
    other_transfer = {**CONTEXT, "pqtransfer:transfer_id": "0190-other"}
    with pytest.raises(ClientError, match="InvalidCiphertext"):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext=other_transfer)
    assert refused(kms.schedule_key_deletion, KeyId=key)
    for role in ("submitter", "recipient", "operator"):
        assert refused(act_as(role).client("kms").decrypt, CiphertextBlob=sealed, EncryptionContext=CONTEXT), role


@pytest.mark.requirement("D4.5")
@pytest.mark.parametrize(
    "function",
    [
        "register_participant",
        "publish_transfer_events",
        "sequence_audit_log",
        "witness_checkpoint",
        "check_audit_integrity",
        "archive_audit_log",
        "report_compliance",
    ],
)
def test_a_function_is_held_to_its_own_role(act_as: ActAs, deployment: Deployment, function: str) -> None:
    """Neither function reads a secret, a model or another's queue, or makes a role outside the participants' path."""
    session = act_as_function(act_as, deployment, function)
    assert refused(session.client("secretsmanager").get_secret_value, SecretId="pqtransfer/local/participants/a/kem/0")
    assert refused(session.client("s3").get_object, Bucket=deployment.data_bucket, Key="transfers/e2e/payload")
    assert refused(session.client("sqs").receive_message, QueueUrl=deployment.queue_url, WaitTimeSeconds=0)
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    assert refused(session.client("iam").create_role, RoleName="e2e-escape", AssumeRolePolicyDocument=trust)
    item = {"transfer_id": "e2e", "state": "COMPLETED"}
    assert refused(session.resource("dynamodb").Table(deployment.transfers_table).put_item, Item=item)


@pytest.mark.requirement("D4.5")
def test_participants_roles_are_made_inside_the_boundary(act_as: ActAs, participants: dict[str, str]) -> None:
    """What a participant's role is given later can never be more than the boundary allows."""
    for arn in participants.values():
        role = act_as(None).client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
        boundary = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
        assert boundary.endswith(":policy/pqtransfer-local-participant-boundary")
        assert refused(act_as(arn).client("sqs").list_queues)


@pytest.mark.requirement("D4.5")
def test_a_submitter_submits_and_a_recipient_only_reads(act_as: ActAs, deployment: Deployment) -> None:
    """A submitter cannot drain the queue or register participants; a recipient cannot write anything."""
    submitter, recipient = act_as("submitter"), act_as("recipient")
    assert refused(submitter.client("sqs").receive_message, QueueUrl=deployment.queue_url, WaitTimeSeconds=0)
    name = deployment.functions.register_participant
    assert refused(submitter.client("lambda").invoke, FunctionName=name, Payload=b"{}")
    data = deployment.data_bucket
    submitter.client("s3").put_object(Bucket=data, Key="transfers/e2e-2/payload", Body=b"x")
    recipient.client("s3").get_object(Bucket=data, Key="transfers/e2e-2/payload")
    assert refused(recipient.client("s3").put_object, Bucket=data, Key="transfers/e2e-2/payload", Body=b"y")
    assert refused(recipient.client("sqs").send_message, QueueUrl=deployment.queue_url, MessageBody="{}")
    item = {"transfer_id": "e2e-3", "state": "SUBMITTED"}
    assert refused(recipient.resource("dynamodb").Table(deployment.transfers_table).put_item, Item=item)


def _let_events_send(queue_arn: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _wait_for_detail(queues: Any, url: str, transfer_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + EVENT_PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for message in queues.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
            detail: dict[str, Any] = json.loads(message["Body"])["detail"]
            if detail["transfer_id"] == transfer_id:
                return detail
    raise AssertionError(f"no event for {transfer_id} within {EVENT_PATIENCE_SECONDS} s")
