"""The key service from its event to its effect, on AWS in memory: also when it is killed at any call to AWS."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.client
import pytest

from functions.register_participant import handler as registration
from functions.rotate_keys import handler as function
from functions.rotate_keys import rotating
from pqtransfer.audit.messages import unpack_message
from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.vault import RoleKeyReader
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.transfers.dependencies import RereadingPass
from tests.fakes.backups import RECOVERY_KEY
from tests.integration.participants.kills import KilledError, killed_at

ACCOUNT = "123456789012"
TABLE, ENVELOPES, BACKUPS, BUS = "participants", "envelopes", "backups", "bus"
NAME = "site-m"
PROVEN = f"arn:aws:sts::{ACCOUNT}:assumed-role/operator/jo"
WRITES = frozenset(
    {
        "TransactWriteItems", "CreateSecret", "PutResourcePolicy", "PutSecretValue", "DeleteSecret", "PutObject",
        "DeleteObject", "SendMessage", "SendMessageBatch", "PutEvents",
    }
)  # fmt: skip
ROTATION = [
    "SendMessage", "TransactWriteItems", "CreateSecret", "PutResourcePolicy", "PutSecretValue", "PutObject",
    "SendMessage", "SendMessage", "SendMessage", "TransactWriteItems", "PutEvents",
]  # fmt: skip
"""What a rotation of a KEM key writes: record, version, secret in three steps, backup, a record of each key that is
read (a signing key needs no other to be proven with), records, activation, event."""


class Context:
    """What the Lambda runtime says about an invocation."""

    function_name = "rotate_keys"
    memory_limit_in_mb = 256
    invoked_function_arn = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:rotate_keys"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@pytest.fixture
def environment(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The functions' variables, what they name, and one registered participant."""
    boto3.client("s3").create_bucket(Bucket=BACKUPS, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    boto3.client("events").create_event_bus(Name=BUS)
    queues = boto3.client("sqs")
    urls = [
        queues.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        for name in ("orders", "audit")
    ]
    dynamodb.create_table(
        TableName=ENVELOPES,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "key_id", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "key_id", "AttributeType": "S"},
            {"AttributeName": "item", "AttributeType": "S"},
        ],
    )
    for name, value in {
        "ENVIRONMENT": "dev",
        "PARTICIPANTS_TABLE": TABLE,
        "ENVELOPES_TABLE": ENVELOPES,
        "KEY_ORDERS_QUEUE_URL": urls[0],
        "AUDIT_QUEUE_URL": urls[1],
        "EVENT_BUS": BUS,
        "KEY_BACKUPS_BUCKET": BACKUPS,
        "KEY_BACKUPS_KEY_ARN": boto3.client("kms").create_key()["KeyMetadata"]["Arn"],
        "RECOVERY_PUBLIC_KEY": RECOVERY_KEY.public_key.to_json().decode(),
        "ROTATION_PATIENCE_SECONDS": "1",
        "KEY_SERVICE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-key-service",
        "PROTECTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-protection",
        "INCIDENT_RESPONSE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-incident-response",
        "PARTICIPANT_ROLE_PREFIX": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-participant-",
        "TASK_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-worker",
    }.items():
        monkeypatch.setenv(f"PQTRANSFER_{name}", value)
    assert "error" not in registration.handler({"name": NAME, "kind": "managed"}, Context())  # type: ignore[arg-type]
    function._connect.cache_clear()
    yield
    function._connect.cache_clear()


def load() -> RegisteredParticipant:
    return DynamoKeyRegistry(boto3.client("dynamodb"), table_name=TABLE).load(NAME)


def make_order(purpose: KeyPurpose = KeyPurpose.KEM) -> dict[str, Any]:
    active = load().find_active_key(purpose)
    assert active is not None
    return {
        "action": "rotate", "participant": NAME, "purpose": purpose.value, "replaces": active.key_id,
        "asked_by": "test", "correlation_id": "test-1",
    }  # fmt: skip


def deliver(*orders: dict[str, Any]) -> list[str]:
    """Hand orders to the function as its queue does; the ids of those that come again."""
    records = [
        {
            "messageId": str(number), "receiptHandle": "r", "body": json.dumps(order), "messageAttributes": {},
            "attributes": {"MessageGroupId": NAME}, "md5OfBody": "", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:orders.fifo", "awsRegion": "eu-central-1",
        }
        for number, order in enumerate(orders)
    ]  # fmt: skip
    try:
        answer = function.handler({"Records": records}, Context())  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - every message of the batch failed: all come again
        return [record["messageId"] for record in records]  # type: ignore[misc]
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


@contextmanager
def killed(monkeypatch: pytest.MonkeyPatch, *, write: int, after_effect: bool) -> Iterator[list[str]]:
    """The key service killed at a call that writes; the next run connects anew."""
    with killed_at(monkeypatch, WRITES, write=write, after_effect=after_effect) as calls:
        yield calls
    function._connect.cache_clear()


def later(monkeypatch: pytest.MonkeyPatch, **passed: float) -> None:
    """Let time pass for the key service."""
    now = datetime.now(UTC) + timedelta(**passed)

    class Clock(datetime):
        @classmethod
        def now(cls, _tz: Any = None) -> Any:
            return now

    monkeypatch.setattr("functions.rotate_keys.service.datetime", Clock)


def require_whole() -> RegisteredParticipant:
    """One ACTIVE key of each purpose, proven; a secret and a backup for each key that is kept, and nothing besides."""
    registered = load()
    for purpose in KeyPurpose:
        assert sum(key.purpose is purpose and key.state is KeyState.ACTIVE for key in registered.keys) == 1
    identity = registered.to_identity()
    assert identity is not None
    identity.require_valid()
    assert not registered.pending_keys
    kept = [key for key in registered.keys if key.secret_id is not None]
    secrets = boto3.client("secretsmanager").list_secrets()["SecretList"]
    assert {secret["Name"] for secret in secrets} == {key.secret_id for key in kept}
    backups = boto3.client("s3").list_objects_v2(Bucket=BACKUPS).get("Contents", [])
    assert {each["Key"] for each in backups} == {f"backups/{name_backup(key)}" for key in kept}
    for key in kept:
        role_arn = registered.participant.role_arn or ""
        RoleKeyReader(boto3.client("sts")).read(key, role_arn=role_arn, session_name="test")
    return registered


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize("purpose", KeyPurpose)
def test_a_rotation(environment: None, monkeypatch: pytest.MonkeyPatch, purpose: KeyPurpose) -> None:
    """First what a crash must be known by, last what makes it usable, then who is told; delivered twice, once done."""
    order = make_order(purpose)
    with killed(monkeypatch, write=0, after_effect=False) as calls:
        assert deliver(order) == []
    assert calls == (ROTATION if purpose is KeyPurpose.KEM else [*ROTATION[:6], *ROTATION[7:]])
    registered = require_whole()
    assert registered.newest_version(purpose) == 2
    assert deliver(order) == []
    assert require_whole() == registered


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("write", range(1, len(ROTATION) + 1))
def test_killed_at_any_write(
    environment: None, monkeypatch: pytest.MonkeyPatch, write: int, after_effect: bool
) -> None:
    """Whatever call to AWS it dies at, before or after its effect, inside the compare-and-swap too: the message comes
    again, and makes it whole."""
    order = make_order()
    with killed(monkeypatch, write=write, after_effect=after_effect), pytest.raises(KilledError):
        deliver(order)
    later(monkeypatch, seconds=2)
    with killed(monkeypatch, write=0, after_effect=False) as calls:
        assert deliver(order) == []
    assert calls[-1] == "PutEvents"
    registered = require_whole()
    assert sum(key.activated_at is not None and key.purpose is KeyPurpose.KEM for key in registered.keys) == 2


@pytest.mark.requirement("D4.3")
def test_due_keys_become_orders(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ninety days later the schedule finds both keys; their orders wait in the queue, one group a participant."""
    queue = boto3.client("sqs")
    url = queue.get_queue_url(QueueName="orders.fifo")["QueueUrl"]
    assert function.handler({"action": "sweep"}, Context())["orders"] == 0  # type: ignore[arg-type]
    later(monkeypatch, days=90)
    assert function.handler({"action": "sweep"}, Context())["orders"] == 2  # type: ignore[arg-type]
    messages = []
    for _ in range(2):
        answer = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
        messages += answer.get("Messages", [])
        for each in answer.get("Messages", []):
            queue.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    assert {each["Attributes"]["MessageGroupId"] for each in messages} == {NAME}
    assert deliver(*(json.loads(each["Body"]) for each in messages)) == []
    assert {key.version for key in require_whole().keys if key.state is KeyState.ACTIVE} == {2}


def test_nothing_is_destroyed_while_the_index_is_not_complete(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index of envelopes does not know of older containers yet; once it does, and all containers were read again
    after the old key was retired, that key goes."""
    assert deliver(make_order()) == []
    settle = {"action": "settle", "participant": NAME, "asked_by": "test", "correlation_id": "test-2"}
    later(monkeypatch, days=8)
    assert deliver(settle) == []
    later(monkeypatch, days=60)
    assert deliver(settle) == []
    assert [key.state for key in load().keys if key.version == 1 and key.purpose is KeyPurpose.KEM] == [
        KeyState.RETIRED
    ]
    index = DynamoDependencyIndex.open(boto3.Session(), ENVELOPES)
    index.mark_complete(at=datetime.now(UTC))
    index.end_pass(RereadingPass(began_at=datetime.now(UTC) + timedelta(days=9)))
    assert deliver(settle) == []
    [old] = [key for key in require_whole().keys if key.version == 1 and key.purpose is KeyPurpose.KEM]
    assert (old.state, old.secret_id) == (KeyState.DESTROYED, None)


def test_an_order_of_an_operator_goes_to_the_queue(environment: None) -> None:
    """And is answered with what was taken; one that makes no sense is refused by name."""
    order = make_order()
    answer = function.handler(order, Context())  # type: ignore[arg-type]
    assert answer["order"]["replaces"] == order["replaces"]
    refused = function.handler({**order, "purpose": None}, Context())  # type: ignore[arg-type]
    assert refused["error"]["code"] == "MalformedOrder"


def read_queue(name: str) -> list[str]:
    """The bodies of all messages that wait there; they are gone then."""
    queues, bodies = boto3.client("sqs"), list[str]()
    url = queues.get_queue_url(QueueName=f"{name}.fifo")["QueueUrl"]
    while messages := queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            bodies.append(message["Body"])
            queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def read_log() -> list[str]:
    """What the audit log was told since."""
    return [entry.decode() for body in read_queue("audit") for entry in unpack_message(body)]


def test_who_was_proven_to_give_an_order_is_recorded_where_it_was_proven(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the id under which everything that is done for it stands; the queue carries no proof."""
    monkeypatch.setattr(function, "prove_caller", lambda *_, **__: PROVEN)
    monkeypatch.setattr(function, "_find_sts", lambda: None)
    read_log()
    assert function.handler(make_order(), Context())["order"]["proven_caller"] == PROVEN  # type: ignore[arg-type]
    [taken] = [event for event in read_log() if PROVEN in event]
    assert all(text in taken for text in ("key.order", "caller_proven", "test-1"))
    [queued] = read_queue("orders")
    assert json.loads(queued)["proven_caller"] is None


def test_nobody_is_proven_by_what_a_message_says(environment: None) -> None:
    """Whoever may call the function can hand it messages as the queue does: the name in them is not put on record."""
    read_log()
    assert deliver({**make_order(), "proven_caller": PROVEN}) == []
    assert deliver({**make_order(), "participant": "nobody", "proven_caller": PROVEN}) == []
    assert require_whole().newest_version(KeyPurpose.KEM) == 2
    told = "".join(read_log())
    assert "key.rotate" in told
    assert PROVEN not in told
    assert "caller_proven" not in told


@pytest.mark.parametrize("change", [{"participant": "nobody"}, {"purpose": "both"}, {"action": "explode"}])
def test_an_order_that_can_never_be_carried_out(environment: None, change: dict[str, str]) -> None:
    """Is not tried for ever, and holds up nobody behind it."""
    order = make_order()
    assert deliver({**order, **change}, order) == []
    assert require_whole().newest_version(KeyPurpose.KEM) == 2


@pytest.mark.requirement("N8")
def test_no_secret_is_logged_told_or_answered(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a log line, nor an event, nor an audit record, nor the registry, nor a backup holds a seed."""
    made: list[PrivateKey] = []
    generate = rotating.generate_private_key

    def remember(purpose: KeyPurpose, suite_id: str) -> PrivateKey:
        made.append(generate(purpose, suite_id))
        return made[-1]

    monkeypatch.setattr(rotating, "generate_private_key", remember)
    written = io.StringIO()
    said: list[str] = []
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def listen(self: Any, operation: str, parameters: Any) -> Any:
        if operation in WRITES - {"PutSecretValue"}:
            said.append(str(parameters))
        return call(self, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", listen)
    listening = logging.StreamHandler(written)
    logger = logging.getLogger("rotate_keys")
    logger.addHandler(listening)
    try:
        for purpose in KeyPurpose:
            assert deliver(make_order(purpose)) == []
        deliver({"action": "rotate"})
    finally:
        logger.removeHandler(listening)
    assert "order carried out" in written.getvalue()
    assert len(made) == 2
    for key in made:
        seed = json.loads(key.to_json().reveal())["seed"]
        for text in (written.getvalue(), *said):
            assert seed not in text
