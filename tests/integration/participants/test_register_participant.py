"""The function from its event to its answer, on AWS in memory: also when it is killed at any call to AWS."""

import io
import json
import logging
from typing import Any

import boto3
import pytest

from functions.register_participant import handler as function
from pqtransfer.audit.messages import unpack_message
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.vault import RoleKeyReader
from pqtransfer.crypto.identity import PublicIdentity, generate_identity
from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import RegisteredParticipant
from tests.fakes.backups import RECOVERY_KEY
from tests.integration.participants.kills import KilledError, killed_at

ACCOUNT = "123456789012"
TABLE = "participants"
BACKUPS = "backups"
SITE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/site-m"
MANAGED = {"name": "site-m", "kind": "managed", "principals": [SITE_ROLE], "buckets": ["models-of-m"]}
ROLE_NAME = "pqtransfer-dev-participant-site-m"
WRITES = frozenset(
    {
        "TransactWriteItems",
        "CreateRole",
        "UpdateAssumeRolePolicy",
        "PutRolePolicy",
        "CreateSecret",
        "PutResourcePolicy",
        "PutSecretValue",
        "DeleteSecret",
        "PutObject",
        "DeleteObject",
    }
)


class Context:
    """What the Lambda runtime says about an invocation."""

    function_name = "register_participant"
    memory_limit_in_mb = 256
    invoked_function_arn = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:register_participant"
    aws_request_id = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def audit_queue(aws: None) -> str:
    """The queue of the audit log."""
    function.connect_trail.cache_clear()
    queue = boto3.client("sqs").create_queue(QueueName="audit.fifo", Attributes={"FifoQueue": "true"})
    return queue["QueueUrl"]


def read_audit(queue_url: str) -> list[str]:
    """The events that came to the queue of the audit log since it was read last."""
    sqs, bodies = boto3.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            bodies += [entry.decode() for entry in unpack_message(message["Body"])]
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


@pytest.fixture
def environment(dynamodb: Any, audit_queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function's variables, and the table and the queue they name."""
    boto3.client("s3").create_bucket(Bucket=BACKUPS, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for name, value in {
        "ENVIRONMENT": "dev",
        "KEY_BACKUPS_BUCKET": BACKUPS,
        "KEY_BACKUPS_KEY_ARN": boto3.client("kms").create_key()["KeyMetadata"]["Arn"],
        "KEY_SERVICE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-key-service",
        "PROTECTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-protection",
        "INCIDENT_RESPONSE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-incident-response",
        "RECOVERY_PUBLIC_KEY": RECOVERY_KEY.public_key.to_json().decode(),
        "PARTICIPANTS_TABLE": TABLE,
        "PARTICIPANT_ROLE_PREFIX": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer/dev/participants/{ROLE_NAME[:-6]}",
        "TASK_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-worker",
        "PERMISSIONS_BOUNDARY_ARN": f"arn:aws:iam::{ACCOUNT}:policy/pqtransfer-dev-participant-boundary",
        "AUDIT_QUEUE_URL": audit_queue,
    }.items():
        monkeypatch.setenv(f"PQTRANSFER_{name}", value)


def invoke(event: Any) -> dict[str, Any]:
    """Call the function as the Lambda runtime does: JSON in, JSON out."""
    answer = function.handler(json.loads(json.dumps(event)), Context())  # type: ignore[arg-type]
    result: dict[str, Any] = json.loads(json.dumps(answer))
    return result


def require_whole(dynamodb: Any) -> RegisteredParticipant:
    """One ready participant, one role, two secrets that its role reads, their backups, and nothing besides."""
    [registered] = DynamoKeyRegistry(dynamodb, table_name=TABLE).list_all()
    active = [key for key in registered.keys if key.state is KeyState.ACTIVE]
    assert len(active) == 2
    roles = boto3.client("iam").list_roles()["Roles"]
    assert [role["RoleName"] for role in roles] == [ROLE_NAME]
    secrets = boto3.client("secretsmanager")
    assert {secret["Name"] for secret in secrets.list_secrets()["SecretList"]} == {key.secret_id for key in active}
    backups = boto3.client("s3").list_objects_v2(Bucket=BACKUPS).get("Contents", [])
    assert {each["Key"] for each in backups} == {f"backups/{name_backup(key)}" for key in active}
    for key in active:
        assert key.secret_id is not None
        assert roles[0]["Arn"] in secrets.get_resource_policy(SecretId=key.secret_id)["ResourcePolicy"]
        role_arn = registered.participant.role_arn
        assert role_arn == roles[0]["Arn"]
        RoleKeyReader(boto3.client("sts")).read(key, role_arn=role_arn, session_name="test")
    return registered


@pytest.mark.requirement("D4.5")
def test_a_managed_participant(environment: None, dynamodb: Any) -> None:
    """The answer holds the public identity; the private keys are in the secrets alone."""
    answer = invoke(MANAGED)
    identity = PublicIdentity.model_validate(answer["identity"])
    identity.require_valid()
    registered = require_whole(dynamodb)
    assert registered == RegisteredParticipant.model_validate(answer["registered"])
    assert registered.participant.buckets == ("models-of-m",)


def test_the_order_of_the_steps(environment: None, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """First what a crash must be known by, last what makes it usable."""
    with killed_at(monkeypatch, WRITES, write=0, after_effect=False) as calls:
        invoke(MANAGED)
    secret = ["CreateSecret", "PutResourcePolicy", "PutSecretValue", "PutObject"]
    assert calls == ["TransactWriteItems", "CreateRole", "PutRolePolicy", *secret, *secret, "TransactWriteItems"]


def test_repeating_it_lets_the_workers_in_again(environment: None, dynamodb: Any) -> None:
    """IAM keeps a trusted role by its id: of a role that was deleted and made again, it trusts the one that is gone."""
    answer = invoke(MANAGED)
    iam = boto3.client("iam")
    trust = iam.get_role(RoleName=ROLE_NAME)["Role"]["AssumeRolePolicyDocument"]
    stale = json.dumps(trust).replace(f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-worker", "AROAEXAMPLEEXAMPLE")
    assert "AROA" in stale
    iam.update_assume_role_policy(RoleName=ROLE_NAME, PolicyDocument=stale)
    iam.delete_role_policy(RoleName=ROLE_NAME, PolicyName="read-own-private-keys")
    assert invoke(MANAGED) == answer
    assert iam.get_role(RoleName=ROLE_NAME)["Role"]["AssumeRolePolicyDocument"] == trust
    assert iam.list_role_policies(RoleName=ROLE_NAME)["PolicyNames"] == ["read-own-private-keys"]
    require_whole(dynamodb)


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("write", range(1, 13))
def test_killed_at_any_write(
    environment: None, dynamodb: Any, monkeypatch: pytest.MonkeyPatch, write: int, after_effect: bool
) -> None:
    """Whatever call to AWS it dies at, before or after its effect: the same call again makes it whole."""
    with killed_at(monkeypatch, WRITES, write=write, after_effect=after_effect), pytest.raises(KilledError):
        invoke(MANAGED)
    assert "error" not in invoke(MANAGED)
    require_whole(dynamodb)


@pytest.mark.parametrize("second_write", range(1, 17))
def test_killed_twice(environment: None, dynamodb: Any, monkeypatch: pytest.MonkeyPatch, second_write: int) -> None:
    """Killed between the two secrets, then again at any write of the repair: the third call makes it whole."""
    with killed_at(monkeypatch, WRITES, write=7, after_effect=True), pytest.raises(KilledError):
        invoke(MANAGED)
    with killed_at(monkeypatch, WRITES, write=second_write, after_effect=True), pytest.raises(KilledError):
        invoke(MANAGED)
    assert "error" not in invoke(MANAGED)
    require_whole(dynamodb)


@pytest.mark.requirement("D4.5")
def test_no_secret_is_logged_or_answered(
    environment: None, audit_queue: str, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an answer, nor a line of the function's log, nor an audit event holds a seed."""
    made: list[PrivateKey] = []
    generate = generate_identity

    def remember(participant: str, *, suite_id: str) -> Any:
        identity = generate(participant, suite_id=suite_id)
        made.extend([identity.kem, identity.signing])
        return identity

    monkeypatch.setattr("functions.register_participant.registration.generate_identity", remember)
    written = io.StringIO()
    listening = logging.StreamHandler(written)
    logger = logging.getLogger("register_participant")
    logger.addHandler(listening)
    try:
        answers = json.dumps([invoke(MANAGED), invoke(MANAGED), invoke({**MANAGED, "suite": "PQT-2"})])
    finally:
        logger.removeHandler(listening)
    assert "participant registered" in written.getvalue()
    assert made
    recorded = "".join(read_audit(audit_queue))
    assert "key.create" in recorded
    for key in made:
        seed = json.loads(key.to_json().reveal())["seed"]
        for text in (answers, written.getvalue(), recorded):
            assert seed not in text


def test_an_external_participant(environment: None, dynamodb: Any) -> None:
    """Registered with the keys it proved; no role, no secret. Its own name is enough to repeat it."""
    identity = generate_identity("site-x", suite_id="PQT-1").to_public()
    event = {"name": "site-x", "kind": "external", "identity": identity.to_json().decode()}
    assert invoke(event) == invoke(event)
    assert PublicIdentity.model_validate(invoke(event)["identity"]).kem == identity.kem
    assert boto3.client("iam").list_roles()["Roles"] == []
    assert boto3.client("secretsmanager").list_secrets()["SecretList"] == []


@pytest.mark.requirement("D7.1")
def test_a_closed_audit_log_registers_nobody(
    environment: None, dynamodb: Any, audit_queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told to try again; nothing is registered."""
    boto3.client("sqs").delete_queue(QueueUrl=audit_queue)
    assert invoke(MANAGED)["error"]["code"] == "AuditUnavailable"
    assert DynamoKeyRegistry(dynamodb, table_name=TABLE).list_all() == []


@pytest.mark.parametrize(
    ("event", "code", "exit_code"),
    [
        ({}, "MalformedRegistration", 2),
        ("text", "MalformedRegistration", 2),
        ({"name": "Site A", "kind": "managed"}, "MalformedRegistration", 2),
        ({"name": "site-a", "kind": "managed", "suite": "PQT-0"}, "UnknownSuite", 2),
        ({"name": "site-a", "kind": "managed", "buckets": ["*"]}, "MalformedRegistration", 2),
        ({"name": "site-a", "kind": "external", "identity": "{}"}, "MalformedDocument", 3),
        ({"name": "a" * 40, "kind": "managed"}, "ManagedNameTooLong", 2),
    ],
)
def test_a_refusal_is_an_answer(environment: None, event: Any, code: str, exit_code: int) -> None:
    """What the caller can mend comes back as a code and a message, not as a crash of the function."""
    error = invoke(event)["error"]
    assert (error["code"], error["exit_code"]) == (code, exit_code)
    assert error["message"]


def test_a_table_that_is_not_there_is_an_answer_too(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of AWS is told by its kind."""
    monkeypatch.setenv("PQTRANSFER_PARTICIPANTS_TABLE", "elsewhere")
    assert invoke(MANAGED)["error"]["code"] == "CloudNotFound"


@pytest.mark.requirement("D5.5")
def test_a_missing_variable_is_named(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one, what it is for, how to set it."""
    monkeypatch.delenv("PQTRANSFER_TASK_ROLE_ARN")
    message = invoke(MANAGED)["error"]["message"]
    assert "PQTRANSFER_TASK_ROLE_ARN" in message
    assert "export PQTRANSFER_TASK_ROLE_ARN=" in message
