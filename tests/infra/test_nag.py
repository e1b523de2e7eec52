"""cdk-nag's AwsSolutions pack over every environment: nothing unacknowledged, and the check itself has teeth."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import AWS_CONTEXT, CONTEXTS, Synthesized, build_app

ACKNOWLEDGED = "aws:cdk:acknowledged-rules"
REASON_LENGTH_MINIMUM = 20


def test_every_environment_passes(synthesized: Synthesized) -> None:
    """Synthesis ends, which it does not when a finding is not acknowledged; and the report says the pack ran."""
    assert (synthesized.folder / "manifest.json").exists()
    report = synthesized.folder / "validation-report.json"
    if report.exists():
        assert "AwsSolutions" not in json.dumps(_violations(json.loads(report.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("environment", ["staging"])
def test_an_unacknowledged_finding_stops_synthesis(environment: str, tmp_path: Path) -> None:
    """A bucket that breaks the rules, added to an environment that passes, ends in a failure."""
    from aws_cdk import aws_s3 as s3

    assert CONTEXTS[environment] == AWS_CONTEXT
    app = build_app({"env": environment, **AWS_CONTEXT}, folder=tmp_path)
    s3.Bucket(app.node.find_child(f"PqtransferNetwork-{environment}"), "Careless")
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    assert "AwsSolutions-S1" in (tmp_path / "validation-report.json").read_text(encoding="utf-8")


def test_no_finding_is_acknowledged_for_a_whole_stack(synthesized: Synthesized) -> None:
    """Each exception stands on its construct, with a reason that says why."""
    tree = json.loads((synthesized.folder / "manifest.json").read_text(encoding="utf-8"))
    found = [
        (path.strip("/"), name, entry["data"])
        for name, artifact in tree["artifacts"].items()
        for path, entries in _metadata(synthesized.folder, artifact).items()
        for entry in entries
        if entry["type"] == ACKNOWLEDGED
    ]
    assert found
    for path, stack, rules in found:
        assert path != stack, f"{stack} acknowledges for the whole stack"
        assert all(len(reason) > REASON_LENGTH_MINIMUM for reason in rules.values()), path


def _metadata(folder: Path, artifact: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = artifact.get("metadata", {})
    file = artifact.get("additionalMetadataFile")
    if file:
        found = {**found, **json.loads((folder / file).read_text(encoding="utf-8"))}
    return found


def _violations(report: dict[str, Any]) -> list[Any]:
    return [
        violation
        for plugin in report.get("pluginReports", [])
        for violation in plugin.get("violations", [])
        if str(violation.get("severity", "")).lower() in ("error", "fatal")
    ]
