"""The answer to a compromise: revoked first, everything that was protected is seen to, and it can die at any point."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pqtransfer.aws.failures import CloudAccessDeniedError
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.in_memory import InMemoryKeyRegistry
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.keys.registry import (
    ParticipantNotReadyError,
    ParticipantUnknownError,
    RegistryTornError,
    resolve_recipients,
)
from pqtransfer.protection.incident_report import IncidentReport, write_document, write_text
from pqtransfer.protection.incidents import (
    CompromiseReported,
    ForeignKeyError,
    Incident,
    IncidentStep,
    IncidentTakenError,
    TaskState,
)
from pqtransfer.transfers.container import (
    SupersededError,
    open_data_key,
    read_envelope,
    read_manifest,
    read_trusted_manifest,
)
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME, RESIGNED_NAME
from pqtransfer.transfers.ledger import TransferState
from pqtransfer.transfers.reencrypting import DecryptedContainer
from tests.fakes.folders import Crash, FaultPlan
from tests.unit.functions.respond_to_compromise.world import INCIDENT_ID, NOW, World, model_of

pytestmark = pytest.mark.requirement("D4.4")


def report(participant: str = "bob", **fields: Any) -> CompromiseReported:
    known = {
        "incident_id": INCIDENT_ID,
        "participant": participant,
        "reason": "a laptop was stolen",
        "reported_by": "soc@example.org",
        "reported_at": NOW,
        "since": NOW - timedelta(days=1),
    }
    return CompromiseReported.model_validate({**known, **fields})


def kem_of(world: World, name: str) -> tuple[str, ...]:
    return tuple(key.key_id for key in world.registry.load(name).keys if key.purpose is KeyPurpose.KEM)


def read_model(world: World, transfer_id: str, key: PrivateKey) -> bytes:
    """What a reader with this key gets."""
    container = world.container(transfer_id)
    manifest = read_trusted_manifest(
        container,
        world.ledger.get(transfer_id),
        find_signing_key=world.pipeline()._find_signing_key,
        minimum_suite_id="PQT-1",
    ).body
    data_key = open_data_key(manifest, read_envelope(container).envelope, [key])
    source = DecryptedContainer(container, manifest, data_key)
    return b"".join(
        bytes(each)
        for each in source.open(source.model).read(manifest.geometry.part_plaintext(0), slice_size_bytes=(1 << 20) - 32)
    )


def test_revoking_comes_before_everything() -> None:
    """The registry is the first thing that changes; when `report` returns, nobody is given the keys any more."""
    world, plan = World(), FaultPlan()
    incident = world.responder(plan).report(report())
    assert next(call for call in plan.calls if call not in ("load_to_revoke", "get")) == "revoke"
    bob = world.registry.load("bob")
    assert {key.state for key in bob.keys} == {KeyState.REVOKED}
    assert {key.key_id for key in bob.keys} == set(incident.key_ids)
    assert all(key.revocation and key.revocation.compromised_at == report().since for key in bob.keys)
    with pytest.raises(ParticipantNotReadyError):
        resolve_recipients(["bob"], registry=world.registry, minimum_suite_id="PQT-1")
    assert world.trail.actions == {"key.revoke": 2, "incident.open": 1}


def test_revoking_needs_nothing_but_the_registry() -> None:
    """With every other service down, the keys are revoked all the same, and the report can be made again."""
    world = World()
    world.trail.failure = RuntimeError("down")
    with pytest.raises(RuntimeError):
        world.responder().report(report())
    assert not world.registry.load("bob").is_ready
    world.trail.failure = None
    assert world.responder().report(report()).step is IncidentStep.RECORDED
    assert world.responder().report(report()).step is IncidentStep.RECORDED
    assert world.trail.actions == {"key.revoke": 2, "incident.open": 1}


class TornRegistry(InMemoryKeyRegistry):
    """Refuses whoever does not revoke."""

    def load(self, name: str) -> RegisteredParticipant:
        raise RegistryTornError(name)

    def load_to_revoke(self, name: str) -> RegisteredParticipant:
        return super().load(name)


def test_an_entry_that_was_damaged_by_hand_holds_up_no_revocation() -> None:
    """The keys are revoked and that is on record; what needs the entry waits until it is mended."""
    world = World()
    registry = TornRegistry([world.registry.load("bob")])
    responder = replace(world.responder(), around=replace(world.responder().around, registry=registry))
    assert responder.report(report()).step is IncidentStep.RECORDED
    assert {key.state for key in registry.load_to_revoke("bob").keys} == {KeyState.REVOKED}
    assert world.trail.actions == {"key.revoke": 2, "incident.open": 1}
    with pytest.raises(RegistryTornError):
        responder.work(report().incident_id)


def test_what_the_audit_log_did_not_take_at_once_is_recorded_by_who_goes_on() -> None:
    """The log was down when the keys were revoked, and nobody reports it again: it is resumed all the same."""
    world = World()
    world.trail.failure = RuntimeError("down")
    with pytest.raises(RuntimeError):
        world.responder().report(report())
    [incident] = world.incidents.list_all()
    with pytest.raises(RuntimeError):
        world.responder().work(incident.incident_id)
    assert world.announced == []
    world.trail.failure = None
    world.responder().work(incident.incident_id)
    assert (world.trail.actions["key.revoke"], world.trail.actions["incident.open"]) == (2, 1)
    assert {event.participant for event in world.announced} == {"bob"}


@pytest.mark.parametrize("named", [True, False])
def test_the_same_report_again_leaves_the_new_keys_alone(named: bool) -> None:
    """Delivered twice, or made again by hand: the keys that were made for the incident stay in use."""
    world = World()
    made = report(key_ids=kem_of(world, "bob")) if named else report()
    first = world.answer(made)
    assert first.is_closed
    before = world.registry.load("bob")
    assert before.is_ready
    again = world.responder().report(report(reported_at=NOW + timedelta(hours=1)))
    assert (again.key_ids, again.is_closed) == (first.key_ids, True)
    assert world.registry.load("bob") == before


@pytest.mark.parametrize("other", [report("alice"), report(key_ids=("ab" * 32,))])
def test_an_id_is_good_for_one_incident(other: CompromiseReported) -> None:
    """Another report under the same id is refused in words: otherwise its keys would look revoked, and would not be."""
    world = World()
    world.responder().report(report())
    with pytest.raises((IncidentTakenError, ForeignKeyError)):
        world.responder().report(other)
    assert world.registry.load("alice").is_ready


def test_revoking_does_not_wait_for_the_table_of_incidents() -> None:
    """Nobody can tell whether it is the same report again: the keys are revoked all the same."""
    world = World()
    world.incidents.outage = UnavailableError("the table does not answer; try again")
    with pytest.raises(UnavailableError):
        world.responder().report(report())
    assert not world.registry.load("bob").is_ready


@pytest.mark.parametrize(
    ("made", "error"),
    [(report("nobody"), ParticipantUnknownError), (report(key_ids=("ab" * 32,)), ForeignKeyError)],
)
def test_a_report_of_what_does_not_exist_changes_nothing(
    made: CompromiseReported, error: type[PqtransferError]
) -> None:
    """Neither an unknown participant nor somebody else's key."""
    world = World()
    with pytest.raises(error):
        world.responder().report(made)
    assert world.registry.load("bob").is_ready
    assert world.incidents.list_all() == []


def check_kem_answer(world: World, incident: Incident, sent: dict[str, str], stolen: PrivateKey) -> None:
    """What holds when bob's KEM key was lost and everything was done."""
    assert incident.is_closed
    tasks = world.tasks()
    assert set(tasks) == {sent["to bob"], sent["to both"], sent["from carol"]}
    for label in ("to bob", "to both"):
        task = tasks[sent[label]]
        assert task.state is TaskState.DONE, task
        assert read_model(world, task.replacement_id, world.identities["bob"].kem) == model_of(sent[label])
        with pytest.raises(PqtransferError):
            read_model(world, task.replacement_id, stolen)
        with pytest.raises(SupersededError):
            read_model(world, sent[label], world.identities["bob"].kem)
        assert set(world.container(sent[label]).objects) == {MANIFEST_NAME}
    assert read_model(world, tasks[sent["to both"]].replacement_id, world.identities["carol"].kem)
    external = tasks[sent["from carol"]]
    assert external.state is TaskState.FOR_SENDER
    assert read_model(world, sent["from carol"], world.identities["bob"].kem) == model_of(sent["from carol"])
    assert read_model(world, sent["to dora"], world.identities["dora"].kem) == model_of(sent["to dora"])
    assert not world.index.has_dependents(stolen.public_key.key_id)
    assert {event.participant for event in world.announced} == {"bob"}
    assert set(world.alerts.codes) == {"key-compromised", "incident-left-over"}
    for action in ("key.revoke", "incident.open", "credentials.revoke", "envelope.rewrap", "model.reencrypt"):
        assert world.trail.actions[action] >= 1, action
    assert world.trail.actions["incident.close"] >= 1


def lose_kem_key(world: World) -> tuple[dict[str, str], PrivateKey]:
    sent = {
        "to bob": world.send("bob"),
        "to both": world.send("bob", "carol", sender="dora"),
        "from carol": world.send("bob", "carol", sender="carol"),
        "to dora": world.send("dora"),
    }
    return sent, world.identities["bob"].kem


def test_everything_that_a_lost_kem_key_protected_is_seen_to() -> None:
    """Wrapped anew at once; re-encrypted where the sender's keys are here, left to the sender where they are not."""
    world = World()
    sent, stolen = lose_kem_key(world)
    incident = world.answer(report(key_ids=kem_of(world, "bob")))
    check_kem_answer(world, incident, sent, stolen)
    assert world.alerts.codes == ["key-compromised", "incident-left-over"]


def count_calls() -> int:
    world, plan = World(), FaultPlan()
    lose_kem_key(world)
    world.answer(report(key_ids=kem_of(world, "bob")), plan)
    return len(plan.calls)


@pytest.mark.requirement("D4.6")
def test_uses_of_keys_are_on_record_with_the_incident() -> None:
    """Whatever is opened or signed for an incident carries its id, in every run."""
    world = World()
    lose_kem_key(world)
    world.answer(report(key_ids=kem_of(world, "bob")))
    assert world.key_uses == {INCIDENT_ID}


def test_a_role_that_does_not_trust_the_answer_is_for_an_operator_to_mend() -> None:
    """As after an update, before `participants refresh`: it fails, says so, and is not left to the sender."""
    world = World()
    sent = world.send("bob")
    read = world.vault.read

    def deny(*_: object, **__: object) -> PrivateKey:
        raise CloudAccessDeniedError("act as bob: AccessDenied", aws_code="AccessDenied")

    world.vault.read = deny  # type: ignore[method-assign]
    made = report(key_ids=kem_of(world, "bob"))
    assert world.answer(made).is_closed
    assert world.tasks()[sent].state is TaskState.FAILED
    world.vault.read = read  # type: ignore[method-assign]
    world.responder().retry(INCIDENT_ID)
    world.answer(made)
    assert world.tasks()[sent].state is TaskState.DONE


@pytest.mark.parametrize("after_effect", [False, True])
def test_it_can_die_between_every_two_steps(after_effect: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every call of every port, before and after its effect: the next run goes on, and the end is the same."""
    monkeypatch.setattr("functions.respond_to_compromise.tasks.THREADS", 1)
    calls = count_calls()
    assert calls > 100
    for at in range(int(after_effect), calls - 10, 2):  # the order of keys, and so the last calls, differ a little
        world = World()
        sent, stolen = lose_kem_key(world)
        made = report(key_ids=kem_of(world, "bob"))
        with pytest.raises(Crash):
            world.answer(made, FaultPlan(at=at, after_effect=after_effect))
        world.run_key_service()
        world.run_workers()
        check_kem_answer(world, world.answer(made), sent, stolen)


def test_two_runs_at_once_do_no_harm() -> None:
    """A second run of the same incident, between every two passes of the first."""
    world = World()
    sent, stolen = lose_kem_key(world)
    made = report(key_ids=kem_of(world, "bob"))
    incident = world.responder().report(made)
    for _ in range(6):
        first, second = world.responder(), world.responder()
        first.work(INCIDENT_ID)
        incident = second.work(INCIDENT_ID)
        world.run_key_service()
        world.run_workers()
    check_kem_answer(world, incident, sent, stolen)


def test_a_run_without_time_leaves_the_rest_to_the_next() -> None:
    """And says how far it came."""
    world = World()
    sent, stolen = lose_kem_key(world)
    world.responder().report(report(key_ids=kem_of(world, "bob")))
    for _ in range(200):
        left = iter([True] * 3)
        incident = world.responder(has_time=lambda: next(left, False)).work(INCIDENT_ID)  # noqa: B023
        world.run_key_service()
        world.run_workers()
        if incident.is_closed:
            break
    check_kem_answer(world, incident, sent, stolen)


def test_a_transfer_that_is_under_way_is_waited_for() -> None:
    """Its rows stand before its envelope: it is not forgotten, and ends under the new key."""
    world = World()
    transfer_id = "0198c0de-0000-7000-8000-00000000ffff"
    reserved = world.pipeline().reservations.reserve(["bob"], transfer_id=transfer_id, epoch=1)
    world.record(transfer_id, sender="alice", recipients=("bob",), state=TransferState.RUNNING)
    world.responder().report(report())
    for _ in range(3):
        incident = world.responder().work(INCIDENT_ID)
        world.run_key_service()
    assert incident.step is IncidentStep.LISTED
    assert reserved[0].key_id in incident.key_ids
    world.record(transfer_id, sender="alice", recipients=("bob",), state=TransferState.FAILED)
    assert world.responder().work(INCIDENT_ID).is_closed
    assert world.tasks()[transfer_id].state is TaskState.DONE


class TestSigningKey:
    """A lost signing key: what the audit log proves older than the loss is signed anew, the rest is refused."""

    @pytest.fixture
    def world(self) -> World:
        return World()

    @pytest.fixture
    def answer(self, world: World) -> Callable[..., Incident]:
        def run(**fields: Any) -> Incident:
            key_ids = tuple(key.key_id for key in world.registry.load("alice").keys if key.purpose == "signing")
            return world.answer(report("alice", key_ids=key_ids, **fields))

        return run

    def test_what_is_proven_is_signed_anew(self, world: World, answer: Callable[..., Incident]) -> None:
        """Beside the manifest, which stays as it is; the envelope is signed by somebody who counts."""
        sent = world.send("bob")
        world.evidence.proven = {sent}
        before = world.container(sent).get(MANIFEST_NAME)
        assert answer().is_closed
        assert world.tasks()[sent].state is TaskState.DONE
        assert world.container(sent).get(MANIFEST_NAME) == before
        assert RESIGNED_NAME in world.container(sent).objects
        assert read_model(world, sent, world.identities["bob"].kem) == model_of(sent)
        assert world.trail.actions["manifest.sign"] == 1

    @pytest.mark.parametrize("fields", [{}, {"since": None}])
    def test_what_is_not_proven_is_refused(
        self, world: World, answer: Callable[..., Incident], fields: dict[str, Any]
    ) -> None:
        """By every reader, and told: without a proof, and without a time of the loss to compare with."""
        sent = world.send("bob")
        world.evidence.proven = {sent} if fields else set()
        answer(**fields)
        assert world.tasks()[sent].state is TaskState.UNPROVEN
        with pytest.raises(PqtransferError):
            read_model(world, sent, world.identities["bob"].kem)
        assert "incident-left-over" in world.alerts.codes

    def test_recipients_that_a_thief_added_are_dropped(self, world: World) -> None:
        """An envelope that only the lost key vouches for makes nobody a recipient who was none."""
        sent = world.send("bob")
        world.evidence.proven = {sent}
        manifest = read_manifest(world.container(sent)).body
        from pqtransfer.crypto.envelope import seal_envelope

        data_key = open_data_key(manifest, read_envelope(world.container(sent)).envelope, [world.identities["bob"].kem])
        forged = seal_envelope(
            data_key,
            suite_id="PQT-1",
            transfer_id=sent,
            floe_header=manifest.floe_header,
            recipients=[world.identities[name].kem.public_key for name in ("bob", "dora")],
            signer="alice",
            signing_key=world.identities["alice"].signing,
            epoch=2,
        )
        world.container(sent).put(ENVELOPE_NAME, forged.to_json())
        key_ids = tuple(key.key_id for key in world.registry.load("alice").keys if key.purpose == "signing")
        world.answer(report("alice", key_ids=key_ids))
        task = world.tasks()[sent]
        assert (task.state, task.dropped) == (TaskState.DONE, ("dora",))
        assert read_envelope(world.container(sent)).envelope.recipient_key_ids == (
            world.identities["bob"].kem.public_key.key_id,
        )


def test_an_external_participant_makes_its_own_keys() -> None:
    """Revoked at once; others read on; it is told that it has to register new keys, and is left out until then."""
    world = World()
    both, alone = world.send("carol", "bob"), world.send("carol")
    incident = world.answer(report("carol", key_ids=kem_of(world, "carol")))
    assert incident.is_closed
    assert world.orders.sent == []
    task = world.tasks()[both]
    assert (task.state, task.keyless) == (TaskState.DONE, ("carol",))
    assert read_model(world, task.replacement_id, world.identities["bob"].kem) == model_of(both)
    assert world.tasks()[alone].state is TaskState.FOR_SENDER
    text = write_text(IncidentReport(incident=incident, tasks=tuple(world.tasks().values())))
    assert "carol keeps its own keys" in text
    assert "rewrap it to carol" in text


def test_the_report_says_what_was_exposed_and_what_is_not_achieved() -> None:
    """For scripts and for people, without a secret."""
    world = World()
    sent, _ = lose_kem_key(world)
    incident = world.answer(report(key_ids=kem_of(world, "bob")))
    made = IncidentReport(incident=incident, tasks=tuple(world.tasks().values()))
    document = write_document(made)
    assert document["exposed_transfers"] == [sent["to bob"], sent["to both"], sent["from carol"]]
    assert document["left_to_people"] == [sent["from carol"]]
    assert (document["done"], document["for_sender"], document["step"]) == (2, 1, "CLOSED")
    text = write_text(made)
    for wanted in (sent["to bob"], "can read that copy for ever", "carol keeps its own keys", "laptop was stolen"):
        assert wanted in text
    assert PAYLOAD_NAME not in document
