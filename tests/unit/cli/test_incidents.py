"""`pqtransfer keys report-compromise`, `incident` and `incidents`, on the answer to a compromise in memory."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from functions.respond_to_compromise.messages import read_report
from pqtransfer.cli import incidents as commands
from pqtransfer.cli.main import ErrorReportingGroup
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.registration import Refusal
from pqtransfer.sdk.incidents import Incidents
from tests.unit.functions.respond_to_compromise.world import World

OPERATOR = "arn:aws:sts::123456789012:assumed-role/operator/jo"


class Deployment(World):
    """A world behind the function's own answers."""

    def respond(self, request: JsonObject) -> JsonObject:
        try:
            incident = self.responder().report(read_report(json.loads(json.dumps(request))))
        except PqtransferError as error:
            return {"error": Refusal.of(error).model_dump(mode="json")}
        return {"incident": incident.model_dump(mode="json")}

    def finish(self, incident_id: str) -> None:
        for _ in range(5):
            self.responder().work(incident_id)
            self.run_key_service()
            self.run_workers()


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Deployment:
    memory = Deployment()
    connected = Incidents(store=memory.incidents, respond=memory.respond, name_caller=lambda: OPERATOR)
    monkeypatch.setattr(commands, "_connect", lambda _path: connected)
    monkeypatch.setenv("COLUMNS", "200")
    return memory


def run(*arguments: str) -> Result:
    """Run `pqtransfer keys ...` as the program does."""
    program = typer.Typer(cls=ErrorReportingGroup)
    program.add_typer(commands.app, name="keys")
    return CliRunner().invoke(program, ["keys", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_report_revokes_and_says_how_to_watch(deployment: Deployment) -> None:
    """By whom AWS says that reports; from when, as it was said; and for the keys that were named."""
    kem = deployment.registry.load("bob").find_active_key(KeyPurpose.KEM)
    assert kem is not None
    answer = run_json(
        *("report-compromise", "bob", "--reason", "stolen", "--key", kem.key_id, "--since", "2026-02-28T08:00:00Z")
    )
    assert (answer["participant"], answer["keys_revoked"], answer["step"]) == ("bob", 1, "RECORDED")
    assert answer["watch"] == f"pqtransfer keys incident {answer['incident_id']} --watch"
    revoked = deployment.registry.load("bob").find_key(kem.key_id)
    assert revoked is not None
    assert revoked.revocation is not None
    assert revoked.revocation.reported_by == OPERATOR
    assert str(revoked.revocation.compromised_at) == "2026-02-28 08:00:00+00:00"
    assert deployment.registry.load("bob").find_active_key(KeyPurpose.SIGNING) is not None


def test_the_same_incident_again_is_one(deployment: Deployment) -> None:
    """So a report whose answer was lost can be made again."""
    for _ in range(2):
        assert run("report-compromise", "bob", "--reason", "stolen", "--incident", "i-1").exit_code == 0
    assert [each["report"]["incident_id"] for each in run_json("incidents")] == ["i-1"]
    assert "stolen" in run("incidents").stdout


def test_an_incident_is_reported_and_watched(deployment: Deployment) -> None:
    """As text for people and as JSON for scripts; watching shows progress on stderr and ends with the report."""
    sent = deployment.send("bob")
    run("report-compromise", "bob", "--reason", "stolen", "--incident", "i-1")
    assert run_json("incident", "i-1")["step"] == "RECORDED"
    deployment.finish("i-1")
    watched = run("incident", "i-1", "--watch", "--json")
    report = json.loads(watched.stdout)
    assert (report["step"], report["exposed_transfers"], report["done"]) == ("CLOSED", [sent], 1)
    assert json.loads(watched.stderr.splitlines()[-1])["step"] == "CLOSED"
    text = run("incident", "i-1").stdout
    assert sent in text
    assert "## What this achieves, and what it does not" in text


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("report-compromise", "nobody", "--reason", "x"), 2, "ParticipantUnknown"),
        (("report-compromise", "bob", "--reason", "x", "--key", "ab" * 32), 2, "ForeignKey"),
        (("report-compromise", "bob", "--reason", "x", "--key", "abc"), 2, "InvalidReport"),
        (("incident", "i-9"), 2, "IncidentNotFound"),
    ],
)
def test_what_cannot_be_reported_or_shown(
    deployment: Deployment, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """An exit code and a name for scripts; nothing was changed."""
    result = run(*arguments, "--json")
    assert result.exit_code == code
    assert json.loads(result.stderr.splitlines()[-1])["error"]["code"] == says
    assert deployment.registry.load("bob").is_ready
