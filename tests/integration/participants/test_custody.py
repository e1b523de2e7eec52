"""Private keys of managed participants: where they lie, who may read them, who may not."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from botocore.exceptions import ClientError

from pqtransfer.aws.failures import CloudAccessDeniedError, CloudNotFoundError
from pqtransfer.aws.roles import IamParticipantRoles, RolePrefixError
from pqtransfer.aws.vault import RoleKeyReader, RoleNotKnownYetError, SecretsManagerVault
from pqtransfer.crypto.identity import PrivateIdentity, generate_identity
from pqtransfer.keys.custody import KeyNotStoredError, StoredKeyMismatchError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import (
    KeyVersion,
    ManagedNameTooLongError,
    Participant,
    RegisteredParticipant,
    make_key_versions,
)

ACCOUNT = "123456789012"
ROLE_PREFIX = f"arn:aws:iam::{ACCOUNT}:role/pqtransfer/dev/participants/pqtransfer-dev-participant-"
WORKER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-worker"
KEY_SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-dev-key-service"
SITE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/site-m"
ROLE_ARN = ROLE_PREFIX + "site-m"
ROLE_NAME = "pqtransfer-dev-participant-site-m"


@pytest.fixture
def identity() -> PrivateIdentity:
    return generate_identity("site-m", suite_id="PQT-1")


@pytest.fixture
def keys(identity: PrivateIdentity, vault: SecretsManagerVault, make_pending: Any) -> tuple[KeyVersion, KeyVersion]:
    public = identity.to_public()
    created_at = make_pending().participant.created_at
    secret_ids = (vault.name_secret("site-m", public.kem), vault.name_secret("site-m", public.signing))
    return make_key_versions(public, version=1, state=KeyState.PENDING, created_at=created_at, secret_ids=secret_ids)


@pytest.fixture
def secrets(aws: None) -> Any:
    return boto3.client("secretsmanager")


@pytest.fixture
def iam(aws: None) -> Any:
    return boto3.client("iam")


@pytest.fixture
def participant(make_pending: Callable[..., RegisteredParticipant]) -> Participant:
    return make_pending().participant


@pytest.mark.requirement("D4.5")
def test_a_secret_denies_everyone_but_the_role(
    vault: SecretsManagerVault, identity: PrivateIdentity, keys: tuple[KeyVersion, KeyVersion], secrets: Any
) -> None:
    """The resource policy denies reading to every principal that is not the participant's role."""
    kem, _ = keys
    vault.store(kem, identity.kem, role_arn=ROLE_ARN)
    policy = json.loads(secrets.get_resource_policy(SecretId=kem.secret_id)["ResourcePolicy"])
    [statement] = policy["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    sessions = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE_NAME}/*"
    assert statement["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": [ROLE_ARN, sessions]}}


def test_names_of_secrets(vault: SecretsManagerVault, keys: tuple[KeyVersion, KeyVersion]) -> None:
    """Environment, participant, purpose and the beginning of the key id stand in the name."""
    kem, signing = keys
    assert kem.secret_id == f"pqtransfer/dev/participants/site-m/kem/{kem.key_id[:16]}"
    assert signing.secret_id == f"pqtransfer/dev/participants/site-m/signing/{signing.key_id[:16]}"


def test_a_secret_gets_its_value_after_its_policy(
    vault: SecretsManagerVault, identity: PrivateIdentity, keys: tuple[KeyVersion, KeyVersion], secrets: Any
) -> None:
    """There is no moment in which a private key lies there for others to read."""
    kem, _ = keys
    steps: list[str] = []
    for operation in ("CreateSecret", "PutResourcePolicy", "PutSecretValue"):
        secrets.meta.events.register(
            f"provide-client-params.secrets-manager.{operation}",
            lambda params, model, **_: steps.append(f"{model.name}{' with value' * ('SecretString' in params)}"),
        )
    SecretsManagerVault(secrets, environment="dev").store(kem, identity.kem, role_arn=ROLE_ARN)
    assert steps == ["CreateSecret", "PutResourcePolicy", "PutSecretValue with value"]


def test_storing_again_is_storing_once(
    vault: SecretsManagerVault, identity: PrivateIdentity, keys: tuple[KeyVersion, KeyVersion], secrets: Any
) -> None:
    """A repeated call finishes what a crash left, and adds nothing."""
    kem, _ = keys
    secrets.create_secret(Name=kem.secret_id)  # all that a crash left
    assert not vault.holds(kem)
    for _ in range(2):
        vault.store(kem, identity.kem, role_arn=ROLE_ARN)
        assert vault.holds(kem)
    assert len(secrets.list_secrets()["SecretList"]) == 1


def test_discarding(
    vault: SecretsManagerVault, identity: PrivateIdentity, keys: tuple[KeyVersion, KeyVersion], secrets: Any
) -> None:
    """A discarded key is gone at once; discarding what is not there is no error."""
    kem, signing = keys
    vault.store(kem, identity.kem, role_arn=ROLE_ARN)
    for _ in range(2):
        vault.discard(kem)
        vault.discard(signing)
    assert not vault.holds(kem)
    assert secrets.list_secrets()["SecretList"] == []


def test_the_vault_stores_no_other_key(
    vault: SecretsManagerVault, identity: PrivateIdentity, keys: tuple[KeyVersion, KeyVersion], secrets: Any
) -> None:
    """A private key is stored under its own public key only."""
    with pytest.raises(StoredKeyMismatchError):
        vault.store(keys[0], identity.signing, role_arn=ROLE_ARN)
    assert secrets.list_secrets()["SecretList"] == []


@pytest.mark.requirement("D4.5")
def test_reading_takes_the_participants_role(
    vault: SecretsManagerVault,
    identity: PrivateIdentity,
    keys: tuple[KeyVersion, KeyVersion],
    roles: IamParticipantRoles,
    participant: Participant,
) -> None:
    """The reader assumes the role, under a name that says who reads, and gets the very key that was stored."""
    roles.ensure(participant)
    sts = boto3.client("sts")
    taken: list[dict[str, Any]] = []
    sts.meta.events.register("provide-client-params.sts.AssumeRole", lambda params, **_: taken.append(params))
    for key, private_key in zip(keys, (identity.kem, identity.signing), strict=True):
        vault.store(key, private_key, role_arn=ROLE_ARN)
        read = RoleKeyReader(sts).read(key, role_arn=ROLE_ARN, session_name="transfer-0190")
        assert read.to_json() == private_key.to_json()
    assert {(each["RoleArn"], each["RoleSessionName"]) for each in taken} == {(ROLE_ARN, "transfer-0190")}


def test_a_stored_key_that_is_another(
    vault: SecretsManagerVault, identity: PrivateIdentity, keys: tuple[KeyVersion, KeyVersion], secrets: Any
) -> None:
    """A secret that was exchanged is found before it is used."""
    kem, _ = keys
    vault.store(kem, identity.kem, role_arn=ROLE_ARN)
    other = generate_identity("site-m", suite_id="PQT-1").kem
    secrets.put_secret_value(SecretId=kem.secret_id, SecretString=other.to_json().reveal().decode())
    with pytest.raises(StoredKeyMismatchError):
        RoleKeyReader(boto3.client("sts")).read(kem, role_arn=ROLE_ARN, session_name="test")


def test_reading_what_is_not_there(keys: tuple[KeyVersion, KeyVersion], aws: None) -> None:
    """A missing secret, and a key that the system never held, are told apart."""
    reader = RoleKeyReader(boto3.client("sts"))
    with pytest.raises(CloudNotFoundError):
        reader.read(keys[0], role_arn=ROLE_ARN, session_name="test")
    with pytest.raises(KeyNotStoredError, match="keeps its own"):
        reader.read(keys[0].model_copy(update={"secret_id": None}), role_arn=ROLE_ARN, session_name="test")


def test_the_role_of_a_participant(roles: IamParticipantRoles, participant: Participant, iam: Any) -> None:
    """Made under the path and boundary of its environment; taken by the workers and its principals; reads its own."""
    for _ in range(2):
        roles.ensure(participant)
    role = iam.get_role(RoleName=ROLE_NAME)["Role"]
    assert role["Arn"] == roles.arn_of("site-m") == participant.role_arn
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith("participant-boundary")
    assert role["Tags"] == [{"Key": "participant", "Value": "site-m"}]
    [trust] = _document(role["AssumeRolePolicyDocument"])["Statement"]
    assert trust["Principal"] == {"AWS": [WORKER_ROLE, KEY_SERVICE_ROLE, SITE_ROLE]}
    assert trust["Action"] == "sts:AssumeRole"
    [name] = iam.list_role_policies(RoleName=ROLE_NAME)["PolicyNames"]
    policy = _document(iam.get_role_policy(RoleName=ROLE_NAME, PolicyName=name)["PolicyDocument"])
    read, decrypt = policy["Statement"]
    assert read["Action"] == "secretsmanager:GetSecretValue"
    assert read["Resource"] == f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:pqtransfer/dev/participants/site-m/*"
    assert decrypt["Action"] == "kms:Decrypt"
    assert decrypt["Resource"].endswith(":key/secrets")


def test_ensuring_brings_a_role_back_to_what_is_registered(
    roles: IamParticipantRoles, participant: Participant, iam: Any
) -> None:
    """Whoever was let in by hand is out again."""
    roles.ensure(participant)
    anyone = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    iam.update_assume_role_policy(RoleName=ROLE_NAME, PolicyDocument=json.dumps(anyone))
    roles.ensure(participant.model_copy(update={"principals": ()}))
    [trust] = _document(iam.get_role(RoleName=ROLE_NAME)["Role"]["AssumeRolePolicyDocument"])["Statement"]
    assert trust["Principal"] == {"AWS": [WORKER_ROLE, KEY_SERVICE_ROLE]}


def test_a_name_that_no_role_can_have(roles: IamParticipantRoles) -> None:
    """The name of a managed participant must fit into its role's, in every environment."""
    assert len("pqtransfer-production-participant-" + "a" * 30) == 64
    assert roles.arn_of("a" * 30)
    with pytest.raises(ManagedNameTooLongError, match="30"):
        roles.arn_of("a" * 31)


def test_a_prefix_that_is_no_roles(iam: Any) -> None:
    """A wrong setting is found before any role is made."""
    with pytest.raises(RolePrefixError):
        IamParticipantRoles(iam, environment="dev", role_prefix="participant-", acting_role_arns=(WORKER_ROLE,))


def test_a_refusal_names_what_was_refused(
    vault: SecretsManagerVault, identity: PrivateIdentity, keys: tuple[KeyVersion, KeyVersion]
) -> None:
    """When the role may not be taken, the error says whose it is; no key is in it."""

    class RefusingSts:
        def assume_role(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")

    def read(*, seconds_after: int) -> None:
        at = keys[0].created_at + timedelta(seconds=seconds_after)
        reader = RoleKeyReader(RefusingSts(), now=lambda: at)  # type: ignore[arg-type]
        reader.read(keys[0], role_arn=ROLE_ARN, session_name="test")

    with pytest.raises(CloudAccessDeniedError, match="site-m"):
        read(seconds_after=60)
    with pytest.raises(RoleNotKnownYetError, match="site-m was registered a moment ago"):
        read(seconds_after=59)  # IAM may not know the role everywhere yet: to be tried again


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_policies_that_are_not_known_everywhere_yet(keys: tuple[KeyVersion, KeyVersion], code: str) -> None:
    """The role can be taken before its policy, or that of the secret, has arrived: the first minute is no refusal."""

    class QuickSts:
        def assume_role(self, **_: Any) -> Any:
            return {"Credentials": {}}

    class RefusingSecrets:
        def get_secret_value(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetSecretValue")

    def read(*, seconds_after: int) -> None:
        at = keys[0].created_at + timedelta(seconds=seconds_after)
        reader = RoleKeyReader(QuickSts(), connect=lambda _: RefusingSecrets(), now=lambda: at)  # type: ignore[arg-type,return-value]
        reader.read(keys[0], role_arn=ROLE_ARN, session_name="test")

    with pytest.raises(RoleNotKnownYetError, match=r"moment ago.*read the private key"):
        read(seconds_after=59)
    with pytest.raises(CloudAccessDeniedError, match="read the private key"):
        read(seconds_after=60)


def _document(policy: Any) -> Any:
    return policy if isinstance(policy, dict) else json.loads(unquote(policy))
