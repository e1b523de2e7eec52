"""AWS in memory (moto) with an empty key registry, and participants to put into it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.roles import IamParticipantRoles
from pqtransfer.aws.vault import SecretsManagerVault
from pqtransfer.crypto.identity import generate_identity
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import Participant, ParticipantKind, RegisteredParticipant, make_key_versions

ACCOUNT = "123456789012"
TABLE = "participants"
ROLE_PREFIX = f"arn:aws:iam::{ACCOUNT}:role/pqtransfer/dev/participants/pqtransfer-dev-participant-"
WORKER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-worker"
KEY_SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-key-service"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/pqtransfer-dev-participant-boundary"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing here reaches a network."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(aws: None) -> Any:
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "participant", "KeyType": "HASH"},
            {"AttributeName": "item", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "participant", "AttributeType": "S"},
            {"AttributeName": "item", "AttributeType": "S"},
        ],
    )
    return client


@pytest.fixture
def registry(dynamodb: Any) -> DynamoKeyRegistry:
    return DynamoKeyRegistry(dynamodb, table_name=TABLE)


@pytest.fixture
def roles(aws: None) -> IamParticipantRoles:
    return IamParticipantRoles(
        boto3.client("iam"),
        environment="dev",
        role_prefix=ROLE_PREFIX,
        acting_role_arns=(WORKER_ROLE, KEY_SERVICE_ROLE),
        permissions_boundary_arn=BOUNDARY,
        secrets_key_arn=f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/secrets",
    )


@pytest.fixture
def vault(aws: None) -> SecretsManagerVault:
    return SecretsManagerVault(boto3.client("secretsmanager"), environment="dev")


@pytest.fixture
def make_external() -> Callable[..., RegisteredParticipant]:
    """An external participant with a fresh pair of ACTIVE keys."""

    def make(name: str = "site-a", *, suite_id: str = "PQT-1") -> RegisteredParticipant:
        identity = generate_identity(name, suite_id=suite_id).to_public()
        return RegisteredParticipant(
            participant=Participant(name=name, kind=ParticipantKind.EXTERNAL, created_at=NOW),
            keys=make_key_versions(identity, version=1, state=KeyState.ACTIVE, created_at=NOW),
        )

    return make


@pytest.fixture
def make_pending() -> Callable[..., RegisteredParticipant]:
    """A managed participant whose registration has only begun."""

    def make(name: str = "site-m", *, version: int = 1) -> RegisteredParticipant:
        identity = generate_identity(name, suite_id="PQT-1").to_public()
        return RegisteredParticipant(
            participant=Participant(
                name=name,
                kind=ParticipantKind.MANAGED,
                created_at=NOW,
                role_arn=ROLE_PREFIX + name,
                principals=(f"arn:aws:iam::{ACCOUNT}:role/{name}",),
                buckets=(f"models-of-{name}", f"results-of-{name}"),
            ),
            keys=make_key_versions(
                identity,
                version=version,
                state=KeyState.PENDING,
                created_at=NOW,
                secret_ids=(f"p/{identity.kem.key_id[:16]}", f"p/{identity.signing.key_id[:16]}"),
            ),
        )

    return make
