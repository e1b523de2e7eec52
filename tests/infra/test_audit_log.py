"""The audit log's stacks: what holds it is kept and locked, and nobody may do more with it than its part."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import STACKS, Synthesize, Synthesized

PINNED = Path(__file__).with_name("audit_logical_ids.json")
HOLDS_DATA = {
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
}


def holding_data(synthesized: Synthesized) -> dict[str, dict[str, Any]]:
    resources = synthesized.template("AuditLog")["Resources"]
    return {logical_id: each for logical_id, each in resources.items() if each["Type"] in HOLDS_DATA}


def actions_of(statement: dict[str, Any]) -> set[str]:
    actions = statement["Action"]
    return {actions} if isinstance(actions, str) else set(actions)


def test_logical_ids_of_the_audit_log_never_change(synthesized: Synthesized) -> None:
    """Another logical id is another resource: the log, or the keys that sign it, would be left behind or deleted."""
    found = {logical_id: each["Type"] for logical_id, each in holding_data(synthesized).items()}
    assert found == json.loads(PINNED.read_text(encoding="utf-8"))


def test_the_audit_log_outlives_its_stack(synthesized: Synthesized) -> None:
    """Wherever data is kept, the log is; and its stack refuses deletion."""
    kept = synthesized.environment in ("staging", "production")
    for each in holding_data(synthesized).values():
        assert each["DeletionPolicy"] == ("Retain" if kept else "Delete")
    artifact = synthesized.manifest()["artifacts"][f"PqtransferAuditLog-{synthesized.environment}"]
    assert artifact["properties"]["terminationProtection"] is (synthesized.environment != "dev")


@pytest.mark.requirement("D7.3", "S4.6")
@pytest.mark.parametrize(
    ("environment", "mode", "days"),
    [
        ("local", "GOVERNANCE", 1),
        ("dev", "GOVERNANCE", 1),
        ("staging", "GOVERNANCE", 90),
        ("production", "COMPLIANCE", 2557),
    ],
)
def test_every_file_of_the_log_is_locked(synthesize: Synthesize, environment: str, mode: str, days: int) -> None:
    """By default, without the writer's doing; in production not even the account's owner can lift it."""
    buckets = synthesize(environment).resources("AWS::S3::Bucket", "AuditLog")
    (log,) = [each for each in buckets.values() if each.get("BucketName", "").endswith("-audit")]
    assert log["ObjectLockEnabled"] is True
    assert log["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {"Mode": mode, "Days": days}
    assert log["VersioningConfiguration"] == {"Status": "Enabled"}


def test_events_wait_for_days_when_nothing_can_be_appended(synthesized: Synthesized) -> None:
    """A batch that fails comes again for as long as SQS counts; then it waits beside the queue for two weeks."""
    queues = synthesized.resources("AWS::SQS::Queue", "AuditLog")
    assert all(each["FifoQueue"] is True for each in queues.values())
    assert {each["MessageRetentionPeriod"] for each in queues.values()} == {14 * 24 * 3600}
    (events,) = [each for each in queues.values() if "RedrivePolicy" in each]
    assert events["RedrivePolicy"]["maxReceiveCount"] == 1000
    mappings = synthesized.resources("AWS::Lambda::EventSourceMapping", "AuditFunctions")
    for mapping in mappings.values():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@pytest.mark.requirement("D4.5")
def test_nobody_deletes_from_the_audit_log(synthesized: Synthesized) -> None:
    """No role may delete an object of it, lift a lock, or write to it but the functions of the log itself."""
    roles = {stack: set(synthesized.resources("AWS::IAM::Role", stack)) for stack in STACKS}
    for holder, statement in synthesized.statements():
        actions = actions_of(statement)
        if "-audit" not in json.dumps(statement["Resource"]):
            continue
        assert not {each for each in actions if "Delete" in each or "Bypass" in each}, holder
        if "s3:PutObject" in actions:
            assert holder in roles["AuditFunctions"], holder


@pytest.mark.requirement("D4.5")
def test_each_signer_reads_its_own_secret(synthesized: Synthesized) -> None:
    """One role for each of the two secrets, and none for both."""
    readers = [
        (holder, statement["Resource"])
        for holder, statement in synthesized.statements()
        if statement.get("Sid") == "SignAudit"
    ]
    assert len({holder for holder, _ in readers}) == len(readers)
    assert len({json.dumps(resource) for _, resource in readers}) == len(readers)


def test_whoever_does_something_may_say_so(synthesized: Synthesized) -> None:
    """Workers and sites write to the audit queue; writing is all that they may."""
    writers = [holder for holder, each in synthesized.statements() if each.get("Sid") == "WriteAudit"]
    assert len(writers) >= 4
    readers = {holder for holder, each in synthesized.statements() if "sqs:ReceiveMessage" in actions_of(each)}
    drains = {holder for holder, each in synthesized.statements() if each.get("Sid") == "DrainAudit"}
    assert len(drains) == 1
    assert drains <= readers
