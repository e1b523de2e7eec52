"""Whoever acts for participants is held to its own: rotating, renewing and answering a compromise have a role each."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pqtransfer.aws.key_backups import BACKUPS_PREFIX
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.conftest import ActAs
from tests.e2e.function_roles import act_as_function
from tests.e2e.incidents.site import Sites

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("D4.5", "N6")]

ACTING = ("rotate_keys", "renew_envelopes", "respond_to_compromise")
NOBODY = "0198c0de-0000-7000-8000-00000000beef"
MAY: dict[str, set[str]] = {
    "add a key": {"rotate_keys"},
    "revoke a key": {"rotate_keys", "respond_to_compromise"},
    "make a secret": {"rotate_keys"},
    "read a secret": set(),
    "write a backup": {"rotate_keys"},
    "read a backup": set(),
    "write an envelope": {"renew_envelopes", "respond_to_compromise"},
    "write a payload": set(),
    "remove a payload": {"respond_to_compromise"},
    "remove a manifest": set(),
    "record a transfer": {"respond_to_compromise"},
    "open an incident": {"respond_to_compromise"},
    "forget what needs a key": {"renew_envelopes", "respond_to_compromise"},
    "change a role": set(),
    "take a transfer": set(),
    "ask a worker": {"respond_to_compromise"},
}
"""What each of the three may do: these, and none of the others."""


def calls(role: CloudSession, deployment: Deployment) -> Iterator[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """Each of it as a call that does no harm: of what does not exist, or under a condition that does not hold."""
    s3, secrets, queues = role.client("s3"), role.client("secretsmanager"), role.client("sqs")
    tables = role.client("dynamodb")
    key = {"participant": {"S": "nobody"}, "item": {"S": "KEY#0"}}
    never = {"ConditionExpression": "attribute_exists(never)"}
    participants, data = deployment.participants_table, deployment.data_bucket
    yield "add a key", tables.put_item, {"TableName": participants, "Item": key, **never}
    yield "revoke a key", tables.update_item, {"TableName": participants, "Key": key, **never}
    secret = "pqtransfer/local/participants/nobody/kem/0"
    yield "make a secret", secrets.put_secret_value, {"SecretId": secret, "SecretString": "x"}
    yield "read a secret", secrets.get_secret_value, {"SecretId": secret}
    backup = {"Bucket": deployment.key_backups_bucket, "Key": f"{BACKUPS_PREFIX}nobody/kem/0"}
    yield "write a backup", s3.put_object, {**backup, "Body": b"", "IfMatch": "never"}
    yield "read a backup", s3.get_object, backup
    for name in ("envelope.json", "payload"):
        path = {"Bucket": data, "Key": f"transfers/{NOBODY}/{name}"}
        said = "write a payload" if name == "payload" else "write an envelope"
        yield said, s3.put_object, {**path, "IfMatch": "never"}
    for name in ("payload", "manifest.json"):
        path = {"Bucket": data, "Key": f"transfers/{NOBODY}/{name}", "VersionId": NOBODY}
        yield f"remove a {name.partition('.')[0]}", s3.delete_object, path
    transfer = {"transfer_id": {"S": NOBODY}}
    yield "record a transfer", tables.put_item, {"TableName": deployment.transfers_table, "Item": transfer, **never}
    incident = {"incident_id": {"S": "nobody"}, "item": {"S": "INCIDENT"}}
    yield "open an incident", tables.put_item, {"TableName": deployment.incidents_table, "Item": incident, **never}
    row = {"key_id": {"S": NOBODY}, "item": {"S": "recipient#0#0"}}
    yield "forget what needs a key", tables.delete_item, {"TableName": deployment.envelopes_table, "Key": row}
    participant_role = f"{deployment.participant_role_prefix.rpartition('/')[2]}nobody"
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam = role.client("iam")
    yield "change a role", iam.update_assume_role_policy, {"RoleName": participant_role, "PolicyDocument": trust}
    yield "take a transfer", queues.receive_message, {"QueueUrl": deployment.queue_url, "WaitTimeSeconds": 0}
    # An empty message is refused for what it is, by whoever may send one.
    yield "ask a worker", queues.send_message_batch, {"QueueUrl": deployment.queue_url, "Entries": []}


def is_refused(call: Callable[..., Any], **arguments: Any) -> bool:
    """Whether the policy says no; it is asked before anything else is looked at."""
    try:
        call(**arguments)
    except ClientError as error:
        return "AccessDenied" in error.response["Error"]["Code"]
    return False


@pytest.mark.parametrize("function", ACTING)
def test_a_function_that_acts_for_participants_does_nothing_of_the_others(
    act_as: ActAs, deployment: Deployment, function: str
) -> None:
    """Three roles, three lists: what one has to do, the next is refused."""
    role = act_as_function(act_as, deployment, function)
    allowed = {name for name, call, arguments in calls(role, deployment) if not is_refused(call, **arguments)}
    assert allowed == {name for name, functions in MAY.items() if function in functions}


def test_every_participant_trusts_the_roles_of_today(sites: Sites, act_as: ActAs) -> None:
    """A participant of before the last update trusts them all once its role is refreshed."""
    sites.add_managed("trusting")
    iam = act_as(None).client("iam")
    name = f"{sites.deployment.participant_role_prefix.rpartition('/')[2]}trusting"

    def trusted() -> set[str]:
        document = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        return {arn.rpartition("/")[2] for arn in document["Statement"][0]["Principal"]["AWS"]}

    ours = {f"pqtransfer-local-{each}" for each in ("worker", "key-service", "protection", "incident-response")}
    now = trusted()
    assert ours <= now
    older = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    older["Statement"][0]["Principal"]["AWS"] = [
        arn for arn in older["Statement"][0]["Principal"]["AWS"] if not arn.endswith("incident-response")
    ]
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(older))
    assert sites.require("participants", "refresh", "trusting", "--json").answer == {"refreshed": ["trusting"]}
    assert trusted() == now
