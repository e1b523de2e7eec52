"""Each part of the log is held to its own: the sequencer and the witness know nothing of each other's keys."""

import base64
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.sdk.audit_log import AuditLog
from pqtransfer.sdk.deployment import Deployment
from tests.e2e.audit.scene import Scene, make_facts
from tests.e2e.conftest import ActAs
from tests.e2e.function_roles import act_as_function

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("D4.5", "D7.5", "N6")]

SECRETS = {"sequence_audit_log": "log-keys", "witness_checkpoint": "witness-keys", "check_audit_integrity": ""}
DOCUMENTS = {
    "sequence_audit_log": {"keys/log"},
    "witness_checkpoint": {"keys/witness", "witness/last"},
    "check_audit_integrity": {"checker/trusted"},
}
FILES = {
    "sequence_audit_log": {"unwitnessed", "tile/0/000", "staged/x", "refused/x"},
    "witness_checkpoint": {"checkpoint"},
    "check_audit_integrity": {"evidence/x"},
}


def is_refused(call: Callable[..., Any], **arguments: Any) -> bool:
    """Whether the policy says no. What is asked for may be nonsense: the policy is asked first."""
    try:
        call(**arguments)
    except ClientError as error:
        return "AccessDenied" in error.response["Error"]["Code"]
    return False


@pytest.mark.parametrize("function", sorted(SECRETS))
def test_a_function_of_the_log_has_its_own_keys_memory_and_files(
    scene: Scene, act_as: ActAs, deployment: Deployment, function: str
) -> None:
    """And is refused those of the others."""
    role = act_as_function(act_as, deployment, function)
    secrets, s3 = role.client("secretsmanager"), role.client("s3")
    for name in ("log-keys", "witness-keys"):
        secret = f"pqtransfer/local/audit/{name}"
        assert is_refused(secrets.get_secret_value, SecretId=secret) == (name != SECRETS[function]), name
    for path in set().union(*DOCUMENTS.values()):
        refused = is_refused(s3.put_object, Bucket=deployment.audit_trust_bucket, Key=path, Body=b"", IfNoneMatch="*")
        assert refused == (path not in DOCUMENTS[function]), path
    for path in set().union(*FILES.values()) - FILES[function]:
        assert is_refused(s3.put_object, Bucket=scene.bucket, Key=path, Body=b"", IfNoneMatch="*"), path
    version = scene.s3.head_object(Bucket=scene.bucket, Key="checkpoint")["VersionId"]
    assert is_refused(s3.delete_object, Bucket=scene.bucket, Key="checkpoint", VersionId=version)
    table = role.resource("dynamodb").Table(deployment.audit_state_table)
    refused = is_refused(
        table.put_item,
        Item={"item": "state", "document": "{}"},
        ConditionExpression="attribute_not_exists(#item)",
        ExpressionAttributeNames={"#item": "item"},
    )
    assert refused == (function != "sequence_audit_log")


@pytest.mark.parametrize("role", ["worker", "submitter", "recipient", "operator", "custodian"])
def test_who_writes_to_the_log_can_do_nothing_else_with_it(scene: Scene, act_as: ActAs, role: str) -> None:
    """Sending is all: no event is taken back, no file or state is touched, no key is read."""
    session, deployment = act_as(role), scene.deployment
    sqs = session.client("sqs")
    for queue_url in (deployment.audit_queue_url, deployment.site_audit_queue_url):
        assert is_refused(sqs.receive_message, QueueUrl=queue_url)
        assert is_refused(sqs.purge_queue, QueueUrl=queue_url)
    assert is_refused(session.client("s3").put_object, Bucket=scene.bucket, Key="checkpoint", Body=b"")
    table = session.resource("dynamodb").Table(scene.deployment.audit_state_table)
    assert is_refused(table.put_item, Item={"item": "state", "document": "{}"})
    assert is_refused(session.client("secretsmanager").get_secret_value, SecretId="pqtransfer/local/audit/log-keys")


@pytest.mark.parametrize(
    ("role", "is_system"),
    [("worker", True), ("custodian", True), ("submitter", False), ("recipient", False), ("operator", False)],
)
def test_each_writes_to_the_queue_of_its_own(scene: Scene, act_as: ActAs, role: str, is_system: bool) -> None:
    """So the sequencer knows who speaks: a site cannot send where the system is believed, nor the other way."""
    sqs, deployment = act_as(role).client("sqs"), scene.deployment
    queues = {True: deployment.audit_queue_url, False: deployment.site_audit_queue_url}
    assert is_refused(send_nothing, sqs=sqs, queue_url=queues[not is_system])
    assert not is_refused(send_nothing, sqs=sqs, queue_url=queues[is_system])
    scene.settle()


def send_nothing(*, sqs: Any, queue_url: str) -> None:
    """What is no message of the log: it is refused by the sequencer, if it comes there."""
    sqs.send_message(QueueUrl=queue_url, MessageBody="!", MessageGroupId="log", MessageDeduplicationId=uuid4().hex)


def test_a_site_cannot_speak_for_the_system(scene: Scene, act_as: ActAs) -> None:
    """A purge that an operator announces is not in the log: it is kept apart, and the administrators are told."""
    site = act_as("operator")
    for service in ("archive-audit-log", "client"):
        trail = connect_audit_trail(
            site,  # type: ignore[arg-type]
            queue_url=scene.deployment.site_audit_queue_url,
            service=service,
            spool_directory=None,
        )
        trail.record(make_facts(action="audit.purge", actor="mallory"))
        refused = b""
        while trail.producer.encode() not in refused:  # those of other tests are told, too
            alert = scene.wait_for_alert("audit-entry-refused")
            kept = json.loads(scene.read(alert["details"]["kept_at"]))
            refused = base64.b64decode(kept["data"])
        assert "it came from the queue of the sites" in kept["reason"]
    scene.settle()
    log = AuditLog(scene.log_files, scene.load_policy())
    assert not [each for each in log.tail(2000) if each.event.actor == "mallory"]
    trail = connect_audit_trail(
        site,  # type: ignore[arg-type]
        queue_url=scene.deployment.site_audit_queue_url,
        service="client",
        spool_directory=None,
    )
    trail.record(make_facts(actor="operator-1"))
    scene.settle()
    assert [each.event.producer for each in log.tail(2000) if each.event.producer == trail.producer]
    assert scene.check() == {}
