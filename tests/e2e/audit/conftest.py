"""An audit log of some hundred events on the deployed cloud, an attacker's role, and the administrators' inbox."""

import json
from collections.abc import Callable, Iterator

import pytest

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.server import ACCOUNT
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.audit.scene import Scene

ATTACKER = "e2e-audit-attacker"
EVENTS = 300
"""More than a tile: one is full, and the right edge has one at two levels."""


@pytest.fixture(scope="session")
def full_scene(deployment: Deployment, act_as: Callable[[str | None], CloudSession]) -> Scene:
    """The log with its first events, verified once."""
    owner = act_as(None)
    arn = make_attacker(owner, deployment)
    scene = Scene(deployment, owner, act_as("worker"), act_as(arn), make_inbox(owner, deployment))
    scene.write(EVENTS)
    assert scene.check() == {}
    return scene


@pytest.fixture
def scene(full_scene: Scene) -> Iterator[Scene]:
    """The log, intact; whatever a test does to it is undone."""
    full_scene.settle()
    full_scene.forget_alerts()
    yield full_scene
    full_scene.undo()
    if full_scene.is_mended:
        full_scene.is_mended = False
        full_scene.invoke(full_scene.deployment.functions.witness_checkpoint, {})
        full_scene.settle()
        assert full_scene.check() == {}


def make_attacker(owner: CloudSession, deployment: Deployment) -> str:
    """A role with every right to the log's bucket and table; its ARN."""
    iam = owner.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName=ATTACKER, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    bucket = f"arn:aws:s3:::{deployment.audit_bucket}"
    table = f"arn:aws:dynamodb:{deployment.region}:{ACCOUNT}:table/{deployment.audit_state_table}"
    allowed = [
        {"Effect": "Allow", "Action": "s3:*", "Resource": [bucket, f"{bucket}/*"]},
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": table},
        {"Effect": "Allow", "Action": "kms:*", "Resource": "*"},
    ]
    iam.put_role_policy(
        RoleName=ATTACKER,
        PolicyName="attack",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allowed}),
    )
    return str(role["Role"]["Arn"])


def make_inbox(owner: CloudSession, deployment: Deployment) -> str:
    """A queue that is told of alerts as an administrator would be; its address."""
    sqs = owner.client("sqs")
    url = sqs.create_queue(QueueName="e2e-audit-inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}],
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    owner.client("sns").subscribe(TopicArn=deployment.alerts_topic_arn, Protocol="sqs", Endpoint=arn)
    return str(url)
