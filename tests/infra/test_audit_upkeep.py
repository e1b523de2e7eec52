"""Retention and reports: they run by themselves, each by its own role, and the bucket archives what was tagged."""

import json
from typing import Any

import pytest

from infra.environments import EnvironmentConfig
from infra.overrides import InvalidSettingError, load_environment
from tests.infra.conftest import AWS_CONTEXT, Synthesize, Synthesized

KEEPS = ("archive", "staged")


def find_functions(synthesized: Synthesized) -> dict[str, dict[str, Any]]:
    found = synthesized.resources("AWS::Lambda::Function", "AuditFunctions")
    return {each["Handler"].split(".")[1]: each for each in found.values()}


@pytest.mark.requirement("D7.6", "S4.6")
@pytest.mark.parametrize(
    ("environment", "rules"),
    [("local", "default=1:1"), ("dev", "default=7:30"), ("production", "default=90:2557,security=365:2557")],
)
def test_retention_runs_every_day_by_the_rules_of_its_environment(
    synthesize: Synthesize, environment: str, rules: str
) -> None:
    synthesized = synthesize(environment)
    variables = find_functions(synthesized)["archive_audit_log"]["Environment"]["Variables"]
    assert variables["PQTRANSFER_AUDIT_RETENTION_RULES"] == rules
    assert "rate(1 day)" in schedules(synthesized, "ArchiveAuditLog")


@pytest.mark.requirement("D7.4")
def test_a_report_is_made_every_month(synthesized: Synthesized) -> None:
    assert schedules(synthesized, "ReportCompliance") == ["cron(30 3 1 * ? *)"]


@pytest.mark.requirement("D7.6", "S4.6")
def test_the_bucket_archives_what_was_tagged_and_drops_what_was_staged(synthesized: Synthesized) -> None:
    """Nothing else of the log ends by a lifecycle rule: what is purged, the log accounts for."""
    buckets = synthesized.resources("AWS::S3::Bucket", "AuditLog").values()
    (log,) = [each for each in buckets if str(each.get("BucketName", "")).endswith("-audit")]
    rules = {each["Id"]: each for each in log["LifecycleConfiguration"]["Rules"]}
    assert set(rules) == {"archive", "staged"}
    assert rules["archive"]["TagFilters"] == [{"Key": "retention", "Value": "archive"}]
    assert rules["archive"]["Prefix"] == "tile/entries/"
    assert [each["StorageClass"] for each in rules["archive"]["Transitions"]] == ["GLACIER_IR"]
    assert "ExpirationInDays" not in rules["archive"]
    assert rules["staged"]["Prefix"] == "staged/"


@pytest.mark.requirement("S4.6")
def test_every_log_group_forgets(synthesized: Synthesized) -> None:
    """No log of a function or a worker grows for ever; how long it is kept is a setting."""
    groups = synthesized.resources("AWS::Logs::LogGroup")
    assert len(groups) > 5
    assert all(each.get("RetentionInDays") for each in groups.values())


def test_only_retention_may_delete_and_only_bundles(synthesized: Synthesized) -> None:
    """No role but that of the function can delete an object of the log; and it cannot lift a lock."""
    for logical_id, statement in synthesized.statements():
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert "s3:BypassGovernanceRetention" not in actions
        deletes = statement["Effect"] == "Allow" and any("s3:Delete" in action for action in actions)
        if deletes and "-audit/" in json.dumps(statement["Resource"]):
            assert "ArchiveAuditLog" in logical_id
            assert json.dumps(statement["Resource"]).endswith('/tile/entries/*"')


@pytest.mark.parametrize("rules", ["default=90:30", "nonsense", "default=30:365", "default=90:2557,security=1:90"])
def test_rules_that_cannot_be_kept_are_refused_before_anything_is_deployed(rules: str) -> None:
    """Rules that are none, and rules that purge before the bucket's lock has ended."""
    with pytest.raises(InvalidSettingError, match="audit_retention_rules"):
        load("production", audit_retention_rules=rules)


def load(environment: str, **context: str) -> EnvironmentConfig:
    return load_environment({"env": environment, **AWS_CONTEXT, **context}, {})


def schedules(synthesized: Synthesized, function: str) -> list[str]:
    """When the rules that run a function do."""
    rules = synthesized.resources("AWS::Events::Rule", "AuditFunctions").values()
    clocks = [each for each in rules if "ScheduleExpression" in each]
    return [each["ScheduleExpression"] for each in clocks if function in json.dumps(each.get("Targets", []))]
