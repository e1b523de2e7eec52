"""The key service in the templates: what runs when, what is locked, what is replicated, and who may do what."""

from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import CONTEXTS, Synthesize, Synthesized, build_app

LONGEST_TOKEN = 120
"""What a value that is known at deployment has at most: ARNs and queue URLs of ours have 60 to 115 characters."""
REPLICA = {
    "key_backup_replica_arn": "arn:aws:s3:::other-account-key-backups",
    "key_backup_replica_key_arn": "arn:aws:kms:eu-west-1:999999999999:key/replicas",
}


def find(synthesized: Synthesized, kind: str, beginning: str) -> dict[str, Any]:
    """The one resource of a type whose logical id begins so."""
    [found] = [each for name, each in synthesized.resources(kind).items() if name.startswith(beginning)]
    return found


@pytest.mark.requirement("D4.3")
def test_due_keys_are_looked_for_every_hour_and_backups_drilled_every_week(synthesized: Synthesized) -> None:
    """Without anybody asking; and what a drill has no time for goes on by an event."""
    rules = synthesized.resources("AWS::Events::Rule")
    schedules = {name: rule["ScheduleExpression"] for name, rule in rules.items() if "ScheduleExpression" in rule}
    assert [each for name, each in schedules.items() if name.startswith("KeysSweep")] == ["rate(1 hour)"]
    assert [each for name, each in schedules.items() if name.startswith("KeysWeeklyDrill")] == ["rate(6 days)"]
    assert find(synthesized, "AWS::Events::Rule", "KeysDrillContinues")["EventPattern"] == {
        "source": ["pqtransfer"],
        "detail-type": ["KeyDrillContinues"],
    }


@pytest.mark.requirement("D4.2")
def test_backups_cannot_be_deleted_before_their_time(synthesized: Synthesized) -> None:
    """Versioned, locked, encrypted under a key of their own; where data is kept, nobody at all can lift the lock."""
    bucket = find(synthesized, "AWS::S3::Bucket", "KeyBackups")
    assert bucket["ObjectLockEnabled"] is True
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    retention = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    kept = synthesized.environment in ("staging", "production")
    assert retention["Mode"] == ("COMPLIANCE" if kept else "GOVERNANCE")
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert "KeyBackupsKey" in str(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"])


@pytest.mark.requirement("D4.5")
def test_one_role_alone_opens_backups(synthesized: Synthesized) -> None:
    """Whoever makes backups cannot read them; whoever reads them makes none, and acts as nobody."""
    can: dict[str, set[str]] = {}
    for holder, statement in synthesized.statements():
        can.setdefault(holder, set()).add(statement.get("Sid", ""))
    openers = {holder for holder, sids in can.items() if "OpenKeyBackups" in sids}
    writers = {holder for holder, sids in can.items() if "WriteKeyBackups" in sids}
    assert {holder[: len("KeysDrillKeyRestore")] for holder in openers} == {"KeysDrillKeyRestore"}
    assert not openers & writers
    [opener] = openers
    assert not can[opener] & {"ActAsParticipants", "MakeSecrets", "WriteRegistry"}


def test_a_rotation_has_more_patience_than_time(synthesize: Synthesize) -> None:
    """A PENDING key is given up only when the run that made it cannot be alive any more."""
    function = find(synthesize("production"), "AWS::Lambda::Function", "KeysRotateKeys")
    assert int(function["Environment"]["Variables"]["PQTRANSFER_ROTATION_PATIENCE_SECONDS"]) > function["Timeout"]


def test_a_drill_has_time_for_pages_of_keys(synthesized: Synthesized) -> None:
    """As long as a function may run; what it begins within the last minute is small enough to be done within it."""
    assert find(synthesized, "AWS::Lambda::Function", "KeysDrillKeyRestore")["Timeout"] == 900


def test_variables_fit_into_a_function(synthesize: Synthesize) -> None:
    """Lambda takes 4 KiB of variables, and the recovery key is more than half of that."""
    for function in synthesize("production").resources("AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        known = sum(
            len(name) + (len(value) if isinstance(value, str) else LONGEST_TOKEN) for name, value in variables.items()
        )
        assert known < 4096


@pytest.mark.requirement("D4.2")
def test_backups_are_replicated_where_that_is_configured(tmp_path: Path) -> None:
    """To a bucket that others guard; deletions are not carried over. cdk-nag has nothing against the role."""
    build_app({"env": "production", **CONTEXTS["production"], **REPLICA}, folder=tmp_path).synth()
    bucket = find(Synthesized("production", tmp_path), "AWS::S3::Bucket", "KeyBackups")
    [rule] = bucket["ReplicationConfiguration"]["Rules"]
    assert rule["Destination"]["Bucket"] == REPLICA["key_backup_replica_arn"]
    assert rule["DeleteMarkerReplication"] == {"Status": "Disabled"}
    assert rule["Filter"] == {"Prefix": "backups/"}
