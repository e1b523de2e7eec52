"""Backups in the deployed cloud: made with the key, proven by the drill, enough to open a model without any cloud."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.recovery_key import LOCAL_FOLDER, PRIVATE_NAME
from pqtransfer.sdk import load_private_identity
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.keys.conftest import ROTATING_READER, ROTATING_SENDER, KeyStage
from tests.e2e.keys.test_rotation import MODEL, Told, send
from tests.e2e.workers import StartWorker

pytestmark = pytest.mark.e2e

INTEGRITY = 3


@pytest.mark.requirement("D4.1", "D4.2")
def test_every_key_that_was_made_is_backed_up_and_comes_back(stage: KeyStage) -> None:
    """Before and after a rotation: no key without a backup, and every backup restores to the registered key."""
    rotated = stage.pqtransfer("keys", "rotate", ROTATING_READER, "--purpose", "signing", role="operator")
    assert rotated.exit_code == 0, rotated.stderr
    listed = json.loads(stage.pqtransfer("keys", "backup", "--json", role="operator").stdout)
    mine = [each for each in listed if each["participant"] in (ROTATING_READER, ROTATING_SENDER)]
    assert len(mine) >= 5
    assert all(each["backed_up"] for each in mine)
    drilled = stage.pqtransfer("keys", "drill", ROTATING_READER, "--json", role="operator")
    assert drilled.exit_code == 0, drilled.stderr
    assert drilled.answer["failed"] == []
    assert drilled.answer["restored"] >= 3


@pytest.mark.requirement("D4.2")
def test_a_backup_that_was_replaced_is_noticed(stage: KeyStage, told: Told) -> None:
    """The drill fails and alerts; the locked version is still there, and once it is the newest again all is well."""
    key_id = stage.active(ROTATING_SENDER, "kem")
    place = {"Bucket": stage.deployment.key_backups_bucket, "Key": f"backups/{ROTATING_SENDER}/kem/{key_id}.json"}
    stage.owner_s3.put_object(**place, Body=b"{}")
    drilled = stage.pqtransfer("keys", "drill", ROTATING_SENDER, "--json", role="operator")
    assert drilled.exit_code == INTEGRITY
    assert [each["key_id"] for each in drilled.answer["failed"]] == [key_id]
    alert = told("AlertRaised", lambda detail: detail["details"].get("key_id") == key_id)
    assert (alert["code"], alert["severity"]) == ("key-restore-failed", "critical")
    versions = stage.owner_s3.list_object_versions(Bucket=place["Bucket"], Prefix=place["Key"])["Versions"]
    first = versions[-1]["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        stage.owner_s3.delete_object(**place, VersionId=first)
    good = stage.owner_s3.get_object(**place, VersionId=first)["Body"].read()
    stage.owner_s3.put_object(**place, Body=good)
    assert stage.pqtransfer("keys", "drill", ROTATING_SENDER, role="operator").exit_code == 0


@pytest.mark.requirement("D4.2")
def test_a_model_is_opened_after_the_account_is_lost(
    stage: KeyStage, start_worker: StartWorker, tmp_path: Path
) -> None:
    """From copies of the bucket of backups and of a container, and the recovery key: with no cloud to ask."""
    start_worker()
    transfer_id = send(stage, "lost-account")
    stage.wait_for_completion(transfer_id)
    bucket = stage.deployment.key_backups_bucket
    for each in stage.owner_s3.list_objects_v2(Bucket=bucket)["Contents"]:
        path = tmp_path / each["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stage.owner_s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())
    container = tmp_path / "container"
    container.mkdir()
    for name, data in stage.objects(transfer_id).items():
        (container / name).write_bytes(data)
    kem_key_id = stage.active(ROTATING_READER, "kem")
    restored = stage.pqtransfer(
        "keys", "restore", ROTATING_READER, "--backups", tmp_path / "backups",
        "--recovery-key", LOCAL_FOLDER / PRIVATE_NAME, "--out", tmp_path / "restored", "--env", "local", "--json",
        role="recipient",
    )  # fmt: skip
    assert restored.exit_code == 0, restored.stderr
    [directory] = [each["directory"] for each in restored.answer["restored"] if each["kem_key"] == kem_key_id]
    assert load_private_identity(Path(directory)).participant == ROTATING_READER
    opened = stage.pqtransfer(
        "decrypt", container, "--key", directory, "--out", tmp_path / "model", "--json", role="recipient"
    )
    assert opened.exit_code == 0, opened.stderr
    assert (tmp_path / "model").read_bytes() == MODEL


@pytest.mark.requirement("D4.5")
def test_the_drill_opens_backups_and_does_nothing_else(
    stage: KeyStage, act_as: Callable[[str | None], CloudSession]
) -> None:
    """Its policies read backups; they write none, read no secret, act as nobody, and change no key."""
    drill = _as_function(stage, act_as, "drill_key_restore")
    key_id = stage.active(ROTATING_SENDER, "signing")
    place = {"Bucket": stage.deployment.key_backups_bucket, "Key": f"backups/{ROTATING_SENDER}/signing/{key_id}.json"}
    drill.client("s3").get_object(**place)
    _require_refused(drill.client("s3").put_object, **place, Body=b"{}")
    _require_refused(drill.client("s3").delete_object, **place)
    secret = f"pqtransfer/local/participants/{ROTATING_SENDER}/signing/{key_id[:16]}"
    _require_refused(drill.client("secretsmanager").get_secret_value, SecretId=secret)
    role = f"{stage.deployment.participant_role_prefix}{ROTATING_SENDER}"
    _require_refused(drill.client("sts").assume_role, RoleArn=role, RoleSessionName="e2e")
    table = drill.resource("dynamodb").Table(stage.deployment.participants_table)
    _require_refused(table.put_item, Item={"participant": "x", "item": "PARTICIPANT"})


@pytest.mark.requirement("D4.5")
def test_the_key_service_reads_no_secret_and_no_backup(
    stage: KeyStage, act_as: Callable[[str | None], CloudSession]
) -> None:
    """It makes keys and backups; what it reads, it reads as the participant. No model, no message is in its reach."""
    service = _as_function(stage, act_as, "rotate_keys")
    key_id = stage.active(ROTATING_SENDER, "signing")
    secret = f"pqtransfer/local/participants/{ROTATING_SENDER}/signing/{key_id[:16]}"
    _require_refused(service.client("secretsmanager").get_secret_value, SecretId=secret)
    _require_no_self_service(service, act_as(None), secret)
    place = {"Bucket": stage.deployment.key_backups_bucket, "Key": f"backups/{ROTATING_SENDER}/signing/{key_id}.json"}
    _require_refused(service.client("s3").get_object, **place)
    kms = act_as(None).client("kms")
    backups_key = _variable(stage, "rotate_keys", "PQTRANSFER_KEY_BACKUPS_KEY_ARN")
    sealed = kms.encrypt(KeyId=backups_key, Plaintext=b"x", EncryptionContext={"a": "b"})["CiphertextBlob"]
    _require_refused(service.client("kms").decrypt, CiphertextBlob=sealed, EncryptionContext={"a": "b"})
    _require_refused(service.client("s3").get_object, Bucket=stage.deployment.data_bucket, Key="transfers/x/payload")
    _require_refused(service.client("sqs").receive_message, QueueUrl=stage.deployment.queue_url)
    _require_refused(service.client("iam").list_roles)


def _require_refused(call: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(ClientError, match=r"AccessDenied|not authorized|403"):
        call(**arguments)


def _require_no_self_service(service: CloudSession, administrator: CloudSession, secret: str) -> None:
    """It writes the policies of secrets, but none that lets it read one."""
    before = administrator.client("secretsmanager").get_resource_policy(SecretId=secret)["ResourcePolicy"]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    secrets = service.client("secretsmanager")
    secrets.put_resource_policy(SecretId=secret, ResourcePolicy=policy)
    try:
        _require_refused(secrets.get_secret_value, SecretId=secret)
    finally:
        secrets.put_resource_policy(SecretId=secret, ResourcePolicy=before)


def _variable(stage: KeyStage, function: str, name: str) -> str:
    client = stage.cloud.session().client("lambda")
    found = client.get_function_configuration(FunctionName=getattr(stage.deployment.functions, function))
    return str(found["Environment"]["Variables"][name])


def _as_function(stage: KeyStage, act_as: Callable[[str | None], CloudSession], function: str) -> CloudSession:
    """A session with the policies of a function's role: the same documents on a role that a person may take."""
    iam, client = act_as(None).client("iam"), act_as(None).client("lambda")
    found = client.get_function_configuration(FunctionName=getattr(stage.deployment.functions, function))
    role, twin = found["Role"].rpartition("/")[2], f"e2e-keys-as-{function}"
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName=twin, AssumeRolePolicyDocument=document)
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        text = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        text = text if isinstance(text, str) else json.dumps(text)
        iam.put_role_policy(RoleName=twin, PolicyName=policy, PolicyDocument=text)
    return act_as(f"arn:aws:iam::000000000000:role/{twin}")
