"""`pqtransfer keys` on a deployment in memory, whose functions run the orders they are given at once."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from functions.drill_key_restore.drilling import RestoreDrill
from functions.drill_key_restore.handler import describe_report
from functions.register_participant.audit import RegistrationFacts
from pqtransfer.cli import keys as commands
from pqtransfer.cli.main import ErrorReportingGroup
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.crypto.identity import generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyAction, read_order
from pqtransfer.keys.participant import ParticipantKind, Revocation
from pqtransfer.keys.registration import Refusal, Registration, read_registration_request, write_answer
from pqtransfer.sdk.keyfiles import load_private_identity, save_identity
from pqtransfer.sdk.keys import Keys
from pqtransfer.sdk.participants import Participants
from pqtransfer.transfers.dependencies import Dependency, KeyRole
from tests.fakes.alerts import InMemoryAlerts
from tests.fakes.backups import RECOVERY_KEY
from tests.fakes.dependencies import InMemoryDependencyIndex
from tests.unit.functions.rotate_keys.world import NAME, NOW, World

INPUT, INTEGRITY, ACCESS, UNAVAILABLE = 2, 3, 4, 5


@dataclass
class MemoryDeployment:
    """The key service in memory. `carries_out`: whether an order is carried out, or waits for ever."""

    world: World = field(default_factory=World)
    envelopes: InMemoryDependencyIndex = field(default_factory=InMemoryDependencyIndex)
    carries_out: bool = True
    refusal: Refusal | None = None
    clock: float = 0.0

    def order(self, request: JsonObject) -> JsonObject:
        if self.refusal is not None:
            return {"error": self.refusal.model_dump(mode="json")}
        order = read_order(json.loads(json.dumps(request)))
        if self.carries_out:
            rotator = self.world.rotator()
            rotator.back_up(order) if order.action is KeyAction.BACK_UP else rotator.rotate(order)
        return {"order": order.model_dump(mode="json")}

    def drill(self, request: JsonObject) -> JsonObject:
        drill = RestoreDrill(
            environment="dev",
            registry=self.world.registry,
            catalogue=self.world.registry,
            store=self.world.backups,
            sealer=self.world.sealer,
            trail=self.world.trail,
            alerts=InMemoryAlerts(),
            now=NOW,
            correlation_id="drill-1",
            asked_by=str(request["asked_by"]),
        )
        name = request.get("participant")
        report = drill.drill_participant(name) if name else drill.drill_all(cursor=None, has_time=lambda: True)
        answer: JsonObject = json.loads(json.dumps(describe_report(report)))
        return answer

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def participants(self) -> Participants:
        def register(request: JsonObject) -> JsonObject:
            facts = RegistrationFacts(name=str(request["name"]), requested_by=None, correlation_id="test")
            registrar = self.world.registrar(facts)
            try:
                registered = registrar.register(read_registration_request(json.loads(json.dumps(request))))
            except PqtransferError as error:
                return write_answer(Refusal.of(error))
            return write_answer(Registration(registered=registered, identity=registered.to_identity()))

        return Participants(registry=self.world.registry, register=register)

    def connect(self) -> Keys:
        return Keys(
            registry=self.world.registry,
            backups=self.world.backups,
            envelopes=self.envelopes,
            give_order=self.order,
            drill=self.drill,
            asked_by=lambda: "arn:aws:iam::123456789012:user/alice",
            sleep=self.sleep,
            monotonic=lambda: self.clock,
        )


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> MemoryDeployment:
    made = MemoryDeployment()
    made.world.register()
    monkeypatch.setattr(commands, "_connect", lambda _: made.connect())
    monkeypatch.setenv("COLUMNS", "160")
    return made


def run(*arguments: str) -> Result:
    """Run `pqtransfer keys ...` as the program does."""
    program = typer.Typer(cls=ErrorReportingGroup)
    program.add_typer(commands.app, name="keys")
    return CliRunner().invoke(program, ["keys", *arguments])


def run_json(*arguments: str, exit_code: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@pytest.mark.requirement("D4.3")
def test_how_far_the_envelopes_have_moved(deployment: MemoryDeployment) -> None:
    """Of a key that is out of use it is told how many containers still need it; of others there is nothing to tell."""
    old = deployment.world.active(KeyPurpose.KEM)
    rows = [
        Dependency(key_id=old.key_id, role=role, transfer_id=f"0198c0de-0000-7000-8000-{number:012}", epoch=1)
        for number in range(3)
        for role in (KeyRole.RECIPIENT, KeyRole.MANIFEST_SIGNER)
    ]
    deployment.envelopes.note(rows)
    assert run_json("show", NAME, old.key_id)["envelopes_left"] is None
    run("rotate", NAME)
    for left in (3, 2, 0):
        assert run_json("show", NAME, old.key_id)["envelopes_left"] == left
        found = {each["key_id"]: each["envelopes_left"] for each in run_json("list", NAME)}
        assert found.pop(old.key_id) == left
        assert set(found.values()) == {None}
        deployment.envelopes.forget(rows[:2] if left == 3 else rows)
    assert "envelopes left" in run("list", NAME).stdout
    assert "envelopes_left" not in run_json("list")[0]


def test_listing(deployment: MemoryDeployment) -> None:
    """Every version of every key, with its state; one participant, or all."""
    deployment.world.register("site-n")
    assert {each["participant"] for each in run_json("list")} == {NAME, "site-n"}
    found = run_json("list", NAME)
    assert {(each["purpose"], each["state"], each["version"]) for each in found} == {
        ("kem", "ACTIVE", 1),
        ("signing", "ACTIVE", 1),
    }
    table = run("list", NAME).stdout
    assert all(each["key_id"][:16] in table for each in found)


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize(("arguments", "count"), [((), 2), (("--purpose", "kem"), 1), (("--purpose", "signing"), 1)])
def test_rotating(deployment: MemoryDeployment, arguments: tuple[str, ...], count: int) -> None:
    """The new keys are in use when the command ends; the old ones are RETIRING."""
    rotated = run_json("rotate", NAME, *arguments)
    assert len(rotated) == count
    for each in rotated:
        assert (each["old"]["state"], each["new"]["state"]) == ("RETIRING", "ACTIVE")
        assert deployment.world.active(KeyPurpose(each["new"]["purpose"])).key_id == each["new"]["key_id"]
    deployment.world.require_whole()
    assert {facts.actor for facts in deployment.world.trail.facts} == {"arn:aws:iam::123456789012:user/alice"}
    assert "RETIRING" in run("rotate", NAME).stdout


def test_a_rotation_that_takes_too_long(deployment: MemoryDeployment) -> None:
    """The command does not wait for ever, and says how to look on."""
    deployment.carries_out = False
    result = run("rotate", NAME, "--json")
    assert result.exit_code == UNAVAILABLE
    assert json.loads(result.stderr)["error"]["code"] == "NotDoneYet"


def test_a_refusal_of_the_deployment(deployment: MemoryDeployment) -> None:
    """Comes with the deployment's own code, and the exit code of its kind."""
    deployment.refusal = Refusal.of(UnavailableError("the queue does not answer"))
    result = run("rotate", NAME, "--json")
    assert result.exit_code == UNAVAILABLE
    assert json.loads(result.stderr)["error"] == {"code": "Unavailable", "message": "the queue does not answer"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("rotate", "nobody"), "ParticipantUnknown"),
        (("rotate", "site-x"), "ExternalKeys"),
        (("list", "nobody"), "ParticipantUnknown"),
        (("show", NAME, "0" * 16), "AmbiguousKey"),
        (("show", NAME, ""), "AmbiguousKey"),
        (("backup", "nobody"), "ParticipantUnknown"),
    ],
)
def test_what_cannot_be_done(deployment: MemoryDeployment, arguments: tuple[str, ...], code: str) -> None:
    """Each with the name of the reason, and nothing ordered."""
    identity = generate_identity("site-x", suite_id="PQT-1").to_public().to_json().decode()
    deployment.world.register("site-x", kind=ParticipantKind.EXTERNAL, identity=identity)
    result = run(*arguments, "--json")
    assert result.exit_code == INPUT
    assert json.loads(result.stderr)["error"]["code"] == code
    assert deployment.world.trail.facts == []


def test_showing_a_key_that_was_revoked(deployment: MemoryDeployment) -> None:
    """Why, since when, and who said so."""
    key = deployment.world.active(KeyPurpose.KEM)
    revocation = Revocation(reason="lost laptop", revoked_at=NOW, compromised_at=NOW, reported_by="alice")
    deployment.world.registry.revoke([key], revocation)
    shown = run_json("show", NAME, key.key_id[:12])
    assert (shown["key_id"], shown["state"]) == (key.key_id, KeyState.REVOKED)
    assert shown["revocation"]["reason"] == "lost laptop"
    assert "lost laptop" in run("show", NAME, key.key_id).stdout


@pytest.mark.requirement("D4.2")
def test_backups_are_shown_and_made(deployment: MemoryDeployment) -> None:
    """What is missing is seen, made on demand, and there afterwards."""
    lost = deployment.world.active(KeyPurpose.SIGNING)
    del deployment.world.backups.documents[name_backup(lost)]
    assert {each["key_id"] for each in run_json("backup") if not each["backed_up"]} == {lost.key_id}
    assert "MISSING" in run("backup", NAME).stdout
    assert all(each["backed_up"] for each in run_json("backup", "--make-missing"))
    deployment.world.require_whole()


@pytest.mark.requirement("D4.2")
def test_a_damaged_backup_is_replaced_on_demand(deployment: MemoryDeployment) -> None:
    """Making what is missing would leave it; replacing is for one participant."""
    name = name_backup(deployment.world.active(KeyPurpose.SIGNING))
    deployment.world.backups.documents[name] = b"{}"
    run_json("backup", "--make-missing")
    assert deployment.world.backups.documents[name] == b"{}"
    assert run("backup", "--replace").exit_code != 0
    assert all(each["backed_up"] for each in run_json("backup", NAME, "--replace"))
    deployment.world.require_whole()


def test_a_drill(deployment: MemoryDeployment) -> None:
    """Says how many keys came back, and fails when one did not."""
    assert run_json("drill") == {"restored": 2, "failed": [], "finished": True}
    lost = deployment.world.active(KeyPurpose.SIGNING)
    del deployment.world.backups.documents[name_backup(lost)]
    found = run_json("drill", NAME, exit_code=INTEGRITY)
    assert [each["key_id"] for each in found["failed"]] == [lost.key_id]
    assert lost.key_id[:16] in run("drill").stdout


@pytest.mark.requirement("D4.2")
def test_restoring_offline(
    deployment: MemoryDeployment, tmp_path: Path, write_recovery_key: Callable[[Path], Path]
) -> None:
    """From a copy of the backups and the recovery key: the private keys that the vault has, in key directories."""
    for name, data in deployment.world.backups.documents.items():
        path = tmp_path / "backups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    places = ["--backups", str(tmp_path / "backups"), "--out", str(tmp_path / "out")]
    recovery = str(write_recovery_key(tmp_path))
    found = run_json("restore", *places, "--recovery-key", recovery, "--env", "dev")
    [restored] = found["restored"]
    identity = load_private_identity(Path(restored["directory"]))
    stored = {key.public_key.key_id for _, key in deployment.world.vault.secrets.values()}
    assert {identity.kem.public_key.key_id, identity.signing.public_key.key_id} == stored
    other = run_json("restore", *places, "--recovery-key", recovery, "--env", "production", exit_code=INTEGRITY)
    assert {each["code"] for each in other["unusable"]} == {"BackupOfAnother"}


@pytest.fixture
def write_recovery_key() -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "recovery-private-key.json"
        path.write_bytes(RECOVERY_KEY.to_json().reveal())
        path.chmod(0o600)
        return path

    return write


def test_making_a_recovery_key(tmp_path: Path) -> None:
    """Both halves, the private one readable by its owner alone; a second call makes no other."""
    made = run_json("recovery-key", "--out", str(tmp_path / "recovery"))
    assert made["suite"] == "PQT-2"
    assert Path(made["private_key"]).stat().st_mode & 0o777 == 0o600
    assert run("recovery-key", "--out", str(tmp_path / "recovery")).exit_code == INPUT


def test_replacing_keys_that_a_participant_keeps(
    deployment: MemoryDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys in use sign for the new ones; afterwards these are in use, and a second call changes nothing."""
    old, new = generate_identity("site-x", suite_id="PQT-1"), generate_identity("site-x", suite_id="PQT-1")
    public = old.to_public().to_json().decode()
    deployment.world.register("site-x", kind=ParticipantKind.EXTERNAL, identity=public)
    save_identity(old, tmp_path / "old")
    save_identity(new, tmp_path / "new")
    monkeypatch.setattr("pqtransfer.sdk.deployment.load_deployment", lambda _: None)
    monkeypatch.setattr("pqtransfer.sdk.participants.connect_participants", lambda _: deployment.participants())
    places = ["--key", str(tmp_path / "old"), "--new-key", str(tmp_path / "new")]
    active = run_json("replace", "site-x", *places)
    assert {each["key_id"] for each in active} == {new.kem.public_key.key_id, new.signing.public_key.key_id}
    assert run_json("replace", "site-x", *places) == active
    back = ["--key", str(tmp_path / "new"), "--new-key", str(tmp_path / "old")]
    result = run("replace", "site-x", *back, "--json")
    assert result.exit_code == ACCESS
    assert json.loads(result.stderr)["error"]["code"] == "SpentSuccession"
