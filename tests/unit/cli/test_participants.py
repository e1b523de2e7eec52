"""`pqtransfer participants` as scripts of commands, on a deployment in memory."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from functions.register_participant.handler import read_facts
from functions.register_participant.registration import Registrar
from pqtransfer.cli import participants as commands
from pqtransfer.cli.main import ErrorReportingGroup
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.crypto.identity import PublicIdentity, generate_identity
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.in_memory import InMemoryKeyRegistry, InMemoryRoles, InMemoryVault
from pqtransfer.keys.registration import Refusal, Registration, read_registration_request, write_answer
from pqtransfer.sdk.keyfiles import save_identity
from pqtransfer.sdk.participants import Participants
from tests.fakes.backups import make_backups
from tests.fakes.trails import InMemoryAuditTrail

ROLE = "arn:aws:iam::123456789012:role/hospital-a"
OPERATOR = "arn:aws:sts::123456789012:assumed-role/operator/jo"
INPUT, INTEGRITY, UNAVAILABLE = 2, 3, 5


@dataclass
class MemoryDeployment:
    """Registry, roles and secrets in memory, behind the function's own rules."""

    registry: InMemoryKeyRegistry = field(default_factory=InMemoryKeyRegistry)
    roles: InMemoryRoles = field(default_factory=InMemoryRoles)
    vault: InMemoryVault = field(default_factory=InMemoryVault)
    trail: InMemoryAuditTrail = field(default_factory=InMemoryAuditTrail)
    minimum_suite_id: str = "PQT-1"

    def register(self, request: JsonObject) -> JsonObject:
        registrar = Registrar(
            registry=self.registry,
            roles=self.roles,
            vault=self.vault,
            backups=make_backups(),
            trail=self.trail,
            facts=read_facts(request, correlation_id="of the function"),
            minimum_suite_id=self.minimum_suite_id,
            now=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
        )
        try:
            registered = registrar.register(read_registration_request(json.loads(json.dumps(request))))
        except PqtransferError as error:
            return write_answer(Refusal.of(error))
        return write_answer(Registration(registered=registered, identity=registered.to_identity()))


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> MemoryDeployment:
    memory = MemoryDeployment()
    monkeypatch.setattr(
        commands,
        "_connect",
        lambda _path: Participants(registry=memory.registry, register=memory.register, name_caller=lambda: OPERATOR),
    )
    return memory


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def run(*arguments: str) -> Result:
    """Run `pqtransfer participants ...` as the program does."""
    program = typer.Typer(cls=ErrorReportingGroup)
    program.add_typer(commands.app, name="participants")
    return CliRunner().invoke(program, ["participants", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def public_keys(tmp_path: Path) -> Path:
    """The key directory of hospital-b."""
    save_identity(generate_identity("hospital-b", suite_id="PQT-1"), tmp_path / "keys")
    return tmp_path / "keys"


def test_adding_a_managed_participant(deployment: MemoryDeployment) -> None:
    """It is shown with its two keys; the private halves are in the vault alone."""
    result = run("add", "hospital-a", "--managed", "--principal", ROLE, "--bucket", "our-models", "--bucket", "results")
    assert result.exit_code == 0, result.output
    registered = deployment.registry.load("hospital-a")
    assert "hospital-a (managed)" in result.stdout
    assert f"may act as it: {ROLE}" in result.stdout
    assert registered.participant.buckets == ("our-models", "results")
    for bucket in ("our-models", "results"):
        assert f"workers may use for it: s3://{bucket}\n" in result.stdout
        assert f"workers may use for it: s3://{bucket}\n" in run("show", "hospital-a").stdout
    for key in registered.keys:
        assert key.key_id[:16] in result.stdout
    assert result.stdout.count("ACTIVE") == 2
    assert len(deployment.vault.secrets) == 2


def test_adding_it_again_says_the_same(deployment: MemoryDeployment) -> None:
    """A repeated command is no error, and makes no other keys."""
    first = run_json("add", "hospital-a", "--managed")
    assert run_json("add", "hospital-a", "--managed") == first == run_json("show", "hospital-a")


@pytest.mark.parametrize("form", ["directory", "file"])
def test_adding_an_external_participant(deployment: MemoryDeployment, public_keys: Path, form: str) -> None:
    """From the directory or the file it gave away; the registered identity is the one in it."""
    path = public_keys if form == "directory" else public_keys / "public-keys.json"
    added = run_json("add", "hospital-b", "--public-keys", str(path))
    given = PublicIdentity.from_json((public_keys / "public-keys.json").read_bytes())
    assert PublicIdentity.model_validate(added["identity"]) == given
    assert (added["kind"], added["ready"], added["role_arn"]) == ("external", True, None)
    assert deployment.vault.secrets == {}


def test_refreshing_roles(deployment: MemoryDeployment, public_keys: Path) -> None:
    """Roles are written anew from what is registered; nothing else changes, and nobody else has one."""
    run("add", "hospital-a", "--managed", "--principal", ROLE, "--bucket", "our-models", "--suite", "PQT-2")
    run("add", "hospital-b", "--public-keys", str(public_keys))
    run("add", "hospital-c", "--managed")
    before = deployment.registry.list_all()
    deployment.roles.roles.clear()
    assert run_json("refresh") == {"refreshed": ["hospital-a", "hospital-c"]}
    made = {participant.name: participant for participant in deployment.roles.roles.values()}
    assert set(made) == {"hospital-a", "hospital-c"}
    assert made["hospital-a"].principals == (ROLE,)
    assert deployment.registry.list_all() == before
    deployment.roles.roles.clear()
    assert "hospital-c: arn:aws:iam" in run("refresh", "hospital-c").stdout
    assert len(deployment.roles.roles) == 1
    refused = run("refresh", "hospital-b")
    assert refused.exit_code == INPUT
    assert "keeps its own keys" in refused.stderr


def test_listing(deployment: MemoryDeployment, public_keys: Path) -> None:
    """Everybody, by name, with kind, suite and whether they can be used."""
    run_json("add", "hospital-c", "--managed", "--suite", "PQT-2")
    run_json("add", "hospital-b", "--public-keys", str(public_keys))
    table = run("list").stdout
    rows = [line.split() for line in table.splitlines() if "hospital-" in line]
    assert [[cell for cell in row if cell.isascii()][:4] for row in rows] == [
        ["hospital-b", "external", "PQT-1", "ready"],
        ["hospital-c", "managed", "PQT-2", "ready"],
    ]
    assert [each["name"] for each in run_json("list")] == ["hospital-b", "hospital-c"]


def test_the_json_of_a_participant(deployment: MemoryDeployment) -> None:
    """The names that scripts rely on; nothing in it is secret or says where a secret lies."""
    shown = run_json("add", "hospital-a", "--managed", "--bucket", "our-models")
    names = {"name", "kind", "created_at", "role_arn", "principals", "buckets", "ready", "keys", "identity"}
    assert set(shown) == names
    assert shown["buckets"] == ["our-models"]
    assert set(shown["keys"][0]) == {"key_id", "version", "purpose", "suite", "state", "created_at"}
    text = json.dumps(shown)
    for secret_id, (_, private_key) in deployment.vault.secrets.items():
        assert secret_id not in text
        assert json.loads(private_key.to_json().reveal())["seed"] not in text


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["show", "nobody"], INPUT, "pqtransfer participants add nobody"),
        (["add", "hospital-a"], INPUT, "--managed"),
        (["add", "hospital-b", "--managed", "--public-keys", "KEYS"], INPUT, "--managed"),
        (["add", "hospital-b", "--public-keys", "KEYS", "--suite", "PQT-2"], INPUT, "--suite"),
        (["add", "hospital-b", "--public-keys", "KEYS", "--principal", ROLE], INPUT, "--principal"),
        (["add", "hospital-b", "--public-keys", "KEYS", "--bucket", "our-models"], INPUT, "--bucket"),
        (["add", "hospital-x", "--public-keys", "KEYS"], INPUT, "hospital-b"),
        (["add", "hospital-b", "--public-keys", "KEYS/private-keys.json"], INTEGRITY, "identity"),
        (["add", "hospital-b", "--public-keys", "KEYS/nothing"], INPUT, "nothing"),
        (["add", "Hospital A", "--managed"], INPUT, "name"),
        (["add", "h" * 31, "--managed"], INPUT, "30"),
        (["add", "hospital-a", "--managed", "--suite", "PQT-7"], INPUT, "PQT-7"),
        (["add", "hospital-a", "--managed", "--principal", "*"], INPUT, "principals"),
        (["add", "hospital-a", "--managed", "--bucket", "s3://our-models"], INPUT, "buckets"),
        (["add", "hospital-a", "--managed", "--bucket", "our-models", "--bucket", "our-models"], INPUT, "twice"),
    ],
)
def test_what_cannot_be_done(
    deployment: MemoryDeployment, public_keys: Path, arguments: list[str], exit_code: int, says: str
) -> None:
    """The message says what is wrong, the exit code of which kind it is; nothing is registered."""
    arguments = [argument.replace("KEYS", str(public_keys)) for argument in arguments]
    result = run(*arguments)
    assert result.exit_code == exit_code, result.output
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert deployment.registry.list_all() == []


def test_a_tampered_identity(deployment: MemoryDeployment, public_keys: Path) -> None:
    """Keys that were exchanged on the way are found before anything is sent."""
    file = public_keys / "public-keys.json"
    other = generate_identity("hospital-b", suite_id="PQT-1").to_public()
    tampered = PublicIdentity.from_json(file.read_bytes()).model_copy(update={"kem": other.kem})
    file.write_bytes(tampered.to_json())
    result = run("add", "hospital-b", "--public-keys", str(public_keys))
    assert result.exit_code == INTEGRITY
    assert deployment.registry.list_all() == []


def test_a_refusal_of_the_deployment_keeps_its_code(deployment: MemoryDeployment) -> None:
    """What only the deployment can know is refused there, and its code reaches the script."""
    deployment.minimum_suite_id = "PQT-2"
    result = run("add", "hospital-a", "--managed", "--json")
    assert result.exit_code == INPUT
    assert json.loads(result.stderr)["error"]["code"] == "WeakSuite"
    assert result.stdout == ""


def test_a_name_that_is_taken(deployment: MemoryDeployment, public_keys: Path) -> None:
    """By the other kind: refused, and what was there stays."""
    run_json("add", "hospital-b", "--managed")
    before = run_json("show", "hospital-b")
    result = run("add", "hospital-b", "--public-keys", str(public_keys), "--json")
    assert (result.exit_code, json.loads(result.stderr)["error"]["code"]) == (INPUT, "ParticipantExists")
    assert run_json("show", "hospital-b") == before


def test_other_buckets_for_a_name_that_is_taken(deployment: MemoryDeployment) -> None:
    """Refused, in words that say what differs; what was there stays."""
    before = run_json("add", "hospital-a", "--managed", "--bucket", "our-models")
    result = run("add", "hospital-a", "--managed", "--bucket", "their-models", "--json")
    error = json.loads(result.stderr)["error"]
    assert (result.exit_code, error["code"]) == (INPUT, "ParticipantExists")
    assert "other buckets" in error["message"]
    assert run_json("show", "hospital-a") == before


@pytest.mark.parametrize("answer", [{}, {"error": {}}, {"registered": {}, "identity": None}])
def test_an_answer_of_another_version(
    deployment: MemoryDeployment, monkeypatch: pytest.MonkeyPatch, answer: JsonObject
) -> None:
    """A deployment that answers something unknown is an error that says so."""
    monkeypatch.setattr(deployment, "register", lambda _request: answer)
    result = run("add", "hospital-a", "--managed")
    assert result.exit_code == UNAVAILABLE
    assert "another version" in result.stderr


def test_no_deployment(tmp_path: Path) -> None:
    """Without a deployment file the command says where it looked."""
    result = run("list", "--deployment", str(tmp_path / "nowhere.json"))
    assert result.exit_code == INPUT
    assert "nowhere.json" in result.stderr


@pytest.mark.parametrize("command", ["add", "refresh", "list", "show"])
def test_help_has_examples(command: str) -> None:
    """Every command shows how it is used."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"pqtransfer participants {command}" in result.stdout


@pytest.mark.requirement("S4.5", "D7.1")
def test_who_adds_a_participant_is_on_record(deployment: MemoryDeployment) -> None:
    """The caller of the command, and one correlation id of this command in every event of it; another in the next."""
    run("add", "hospital-a", "--managed")
    first = list(deployment.trail.facts)
    assert {each.actor for each in first} == {OPERATOR}
    ((correlation_id,),) = [{each.correlation_id for each in first}]
    run("add", "hospital-b", "--managed")
    assert {each.correlation_id for each in deployment.trail.facts} - {correlation_id}
