"""The audit log's stacks: what holds it is kept and locked, and nobody may do more with it than its part."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.overrides import InvalidSettingError, load_environment
from tests.infra.conftest import CONTEXTS, STACKS, Synthesize, Synthesized, build_app

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
    events = [each for each in queues.values() if "RedrivePolicy" in each]
    assert [each["RedrivePolicy"]["maxReceiveCount"] for each in events] == [1000, 1000]
    assert len({json.dumps(each["RedrivePolicy"]["deadLetterTargetArn"]) for each in events}) == 2
    mappings = synthesized.resources("AWS::Lambda::EventSourceMapping", "AuditFunctions")
    assert len(mappings) == 2
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
        deletes = {each for each in actions if "Delete" in each or "Bypass" in each}
        if "ArchiveAuditLog" in holder and deletes:  # under the locks; what it purged, the log has to tell of
            assert deletes == {"s3:DeleteObjectVersion"}, holder
            assert json.dumps(statement["Resource"]).endswith('-audit/tile/entries/*"'), holder
            continue
        assert not deletes, holder
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
    assert len(readers) == 2
    assert len({holder for holder, _ in readers}) == 2
    assert len({json.dumps(resource) for _, resource in readers}) == 2


@pytest.mark.requirement("D4.5", "D7.5")
def test_what_is_trusted_is_written_by_whom_it_belongs_to(synthesized: Synthesized) -> None:
    """Each document of the trust bucket has one writer: an attacker with one role cannot rewrite what others trust."""
    writers: dict[str, set[str]] = {}
    for holder, statement in synthesized.statements():
        if "s3:PutObject" in actions_of(statement):
            resources = statement["Resource"]
            for resource in [resources] if isinstance(resources, str) else resources:
                text = json.dumps(resource)
                if "-audit-trust/" in text:
                    writers.setdefault(text.partition("-audit-trust/")[2].strip('"'), set()).add(holder)
    assert {path: len(holders) for path, holders in writers.items()} == {
        "keys/log": 1,
        "keys/former-log": 1,
        "keys/witness": 1,
        "keys/former-witness": 1,
        "witness/last": 1,
        "checker/*": 1,
        "reporter/*": 1,
    }
    assert len(set().union(*writers.values())) == 4


@pytest.mark.requirement("D7.5", "S4.7")
def test_every_alert_goes_to_the_administrators(synthesized: Synthesized) -> None:
    """By a rule on the bus to alert processing, which alone publishes to their topic beside alarms."""
    (topic,) = synthesized.resources("AWS::SNS::Topic")
    rules = synthesized.resources("AWS::Events::Rule", "Operations").values()
    (rule,) = [each for each in rules if each.get("EventPattern", {}).get("detail-type") == ["AlertRaised"]]
    (target,) = rule["Targets"]
    assert target["Arn"]["Fn::GetAtt"][0] in synthesized.resources("AWS::SQS::Queue", "Operations")
    publishers = {holder for holder, each in synthesized.statements() if "sns:Publish" in actions_of(each)}
    assert len(publishers) == 1
    assert publishers <= set(synthesized.resources("AWS::IAM::Role", "Operations"))
    assert "KmsMasterKeyId" in synthesized.resources("AWS::SNS::Topic")[topic]


def test_administrators_are_told_by_mail(tmp_path: Path) -> None:
    """Those whom the configuration names, after each has confirmed it."""
    context = {"env": "local", "admin_emails": "a@example.org,b@example.org"}
    build_app(context, folder=tmp_path).synth()
    template = json.loads((tmp_path / "PqtransferAuditFunctions-local.template.json").read_text(encoding="utf-8"))
    subscriptions = [
        each["Properties"] for each in template["Resources"].values() if each["Type"] == "AWS::SNS::Subscription"
    ]
    assert [(each["Protocol"], each["Endpoint"]) for each in subscriptions] == [
        ("email", "a@example.org"),
        ("email", "b@example.org"),
    ]


def test_the_log_is_checked_by_the_clock(synthesized: Synthesized) -> None:
    """What is new every hour, everything once a day; and the witness looks every minute."""
    rules = synthesized.resources("AWS::Events::Rule", "AuditFunctions").values()
    scheduled = {
        (each["ScheduleExpression"], target.get("Input"))
        for each in rules
        if "ScheduleExpression" in each
        for target in each["Targets"]
    }
    assert scheduled >= {
        ("rate(1 hour)", '{"full":false}'),
        ("rate(1 day)", '{"full":true}'),
        ("rate(1 minute)", "{}"),
    }


def test_whoever_does_something_may_say_so(synthesized: Synthesized) -> None:
    """Workers and functions write to one audit queue, sites to the other; writing is all that they may."""
    writers = [holder for holder, each in synthesized.statements() if each.get("Sid") == "WriteAudit"]
    assert len(writers) >= 4
    queues = {
        holder: json.dumps(each["Resource"])
        for holder, each in synthesized.statements()
        if each.get("Sid") == "WriteAudit"
    }
    sites = {holder for holder, queue in queues.items() if "AuditSiteEvents" in queue}
    assert len(sites) == 3
    assert all(any(role in holder for role in ("Submitter", "Recipient", "Operator")) for holder in sites)
    assert all("AuditEvents" in queues[holder] for holder in set(queues) - sites)
    readers = {holder for holder, each in synthesized.statements() if "sqs:ReceiveMessage" in actions_of(each)}
    drains = {holder for holder, each in synthesized.statements() if each.get("Sid") == "DrainAudit"}
    assert len(drains) == 1
    assert drains <= readers


@pytest.mark.requirement("D7.3", "N6")
def test_new_keys_are_a_new_secret_beside_the_former_one(tmp_path: Path) -> None:
    """The third time: its secret and the one before it, of the log and not of the witness, read by the sequencer."""
    build_app({"env": "local", "audit_log_key_generation": "3"}, folder=tmp_path).synth()
    templates = {
        name: json.loads((tmp_path / f"Pqtransfer{name}-local.template.json").read_text(encoding="utf-8"))["Resources"]
        for name in ("AuditLog", "AuditFunctions")
    }
    secrets = [
        each["Properties"]["Name"]
        for each in templates["AuditLog"].values()
        if each["Type"] == "AWS::SecretsManager::Secret"
    ]
    log, witness = "pqtransfer/local/audit/log-keys", "pqtransfer/local/audit/witness-keys"
    assert sorted(secrets) == [f"{log}-2", f"{log}-3", witness]
    told = [
        each["Properties"]["Environment"]["Variables"]
        for each in templates["AuditFunctions"].values()
        if each["Type"] == "AWS::Lambda::Function"
    ]
    (sequencer,) = [each for each in told if "PQTRANSFER_LOG_KEYS_ID" in each]
    assert sequencer["PQTRANSFER_LOG_KEYS_ID"] == f"{log}-3"
    assert sequencer["PQTRANSFER_FORMER_LOG_KEYS_ID"] == f"{log}-2"
    assert not [each for each in told if "PQTRANSFER_FORMER_WITNESS_KEYS_ID" in each]
    readable = json.dumps(templates["AuditFunctions"])
    assert f"secret:{log}-2-??????" in readable
    assert f"secret:{log}-??????" not in readable


@pytest.mark.requirement("D7.3", "N6")
def test_keys_of_kms_sign_where_that_is_chosen(tmp_path: Path) -> None:
    """Two for the log, two for its witness, of the algorithms of a note; each pair is one role's, to sign, no more."""
    build_app({"env": "production", **CONTEXTS["production"], "audit_signer": "kms"}, folder=tmp_path).synth()
    synthesized = Synthesized(environment="production", folder=tmp_path)
    keys = synthesized.resources("AWS::KMS::Key", "AuditLog")
    signing = {name: each["KeySpec"] for name, each in keys.items() if each.get("KeyUsage") == "SIGN_VERIFY"}
    assert sorted(signing.values()) == ["ECC_NIST_EDWARDS25519"] * 2 + ["ML_DSA_44"] * 2
    assert synthesized.resources("AWS::SecretsManager::Secret", "AuditLog") == {}
    signers = [(holder, each) for holder, each in synthesized.statements() if "kms:Sign" in actions_of(each)]
    assert [each["Sid"] for _, each in signers] == ["SignAudit"] * 2
    assert len({holder for holder, _ in signers}) == 2
    resources = [json.dumps(resource) for _, each in signers for resource in each["Resource"]]
    assert len(set(resources)) == 4
    assert all(set(actions_of(each)) == {"kms:Sign", "kms:GetPublicKey"} for _, each in signers)


def test_a_cloud_without_such_keys_is_refused() -> None:
    """Before anything is deployed to it, with a word on what to do."""
    with pytest.raises(InvalidSettingError, match="the embedded cloud's KMS does not have: leave it out"):
        load_environment({"env": "local", "audit_signer": "kms"}, {})
