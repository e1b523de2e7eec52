"""What registering a participant puts on record: each key before it exists and before it is in use, and who asked."""

from dataclasses import replace
from typing import Any

import pytest

from functions.register_participant.audit import UNKNOWN_CALLER, RegistrationFacts
from functions.register_participant.handler import read_facts
from pqtransfer.audit.events import EventKind, Severity
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.crypto.identity import InvalidProofError, generate_identity
from pqtransfer.keys.registry import ParticipantExistsError
from tests.fakes.trails import FailingAuditTrail, InMemoryAuditTrail
from tests.ocsf import require_all_ocsf
from tests.unit.functions.register_participant.test_registration import (
    FACTS,
    MANAGED,
    SITE_ROLE,
    World,
    make_external_request,
    register_until_crash,
)

CREATED_AND_USED = [*["key.create"] * 2, *["key.activate"] * 2, "participant.register"]
MADE_AND_USED = [*["key.create"] * 2, *["key.backup"] * 2, *["key.activate"] * 2, "participant.register"]
CALLS_OF_A_REGISTRATION = 3


def actions(world: World) -> list[str]:
    return [each.action for each in world.trail.facts]


@pytest.mark.requirement("D7.1", "S4.1", "S4.5")
def test_a_managed_participant_and_its_keys_are_on_record() -> None:
    """Who asked, each key with its purpose and suite, and who may do what in the participant's name."""
    world = World()
    registered = world.registrar().register(MANAGED)
    assert actions(world) == MADE_AND_USED
    require_all_ocsf(world.trail.events)
    for each in world.trail.facts:
        assert (each.actor, each.correlation_id) == (FACTS.requested_by, "enrolment-7")
        assert each.details["caller_says"] == FACTS.requested_by
    created = [each for each in world.trail.facts if each.action == "key.create"]
    assert [each.key_id for each in created] == [key.key_id for key in registered.keys]
    assert [(each.details["purpose"], each.suite) for each in created] == [("kem", "PQT-1"), ("signing", "PQT-1")]
    assert {each.details["kept_by"] for each in created} == {"system"}
    done = world.trail.find("participant.register")
    assert (done.target.type, done.target.id, done.details["participant_kind"]) == ("participant", "site-m", "managed")
    assert (done.details["principals"], done.details["buckets"]) == (SITE_ROLE, "models-of-m")
    assert done.details["keys"].split() == [key.key_id for key in registered.keys]


def test_an_external_participant_brings_its_keys() -> None:
    """They come to be in the registry; again, nothing comes to be."""
    world = World()
    request = make_external_request(generate_identity("site-x", suite_id="PQT-2"))
    world.registrar().register(request)
    assert actions(world) == CREATED_AND_USED
    assert {each.details.get("kept_by") for each in world.trail.facts if each.action == "key.create"} == {"participant"}
    assert {each.suite for each in world.trail.facts if each.key_id} == {"PQT-2"}
    world.trail.facts.clear()
    world.registrar().register(request)
    assert actions(world) == ["participant.register"]
    require_all_ocsf(world.trail.events)


def test_repeating_it_makes_no_key() -> None:
    """The second call is on record as a call, and no key with it."""
    world = World()
    world.registrar().register(MANAGED)
    world.trail.facts.clear()
    world.registrar().register(MANAGED)
    assert actions(world) == ["participant.register"]


@pytest.mark.requirement("D7.1")
@pytest.mark.parametrize("refused", range(1, CALLS_OF_A_REGISTRATION + 1))
def test_a_closed_log_is_as_good_as_a_crash(refused: int) -> None:
    """No key that is not on record exists or is in use; the same call again makes it whole."""
    world = World(trail=FailingAuditTrail(refused))
    with pytest.raises(AuditUnavailableError):
        world.registrar().register(MANAGED)
    known = {each.key_id for each in world.trail.facts}
    active = {each.key_id for each in world.trail.facts if each.action == "key.activate"}
    for participant in world.registry.list_all():
        assert {key.key_id for key in participant.keys} <= known
        assert {key.key_id for key in participant.keys if key.activated_at is not None} <= active
    world.registrar().register(MANAGED)
    world.require_whole()
    assert world.trail.actions["participant.register"] == 1


def test_keys_that_were_given_up_are_on_record() -> None:
    """A registration that died without its secrets begins anew: the old keys are discarded by name."""
    world = World()
    register_until_crash(world, MANAGED, at_write=2, after_effect=False)
    given_up = [key.key_id for key in world.registry.load("site-m").keys]
    world.registrar().register(MANAGED)
    discarded = [each for each in world.trail.facts if each.action == "key.revoke"]
    assert [each.key_id for each in discarded] == given_up
    require_all_ocsf(world.trail.events)


@pytest.mark.requirement("D7.3")
@pytest.mark.parametrize(
    ("error", "severity"),
    [(InvalidProofError("site-m"), Severity.HIGH), (ParticipantExistsError("site-m", difference="other keys"), None)],
)
def test_a_refusal_names_its_reason(error: Any, severity: Severity | None) -> None:
    """A false proof of possession is a finding; a name that is taken is a mistake."""
    trail = InMemoryAuditTrail()
    trail.record(*FACTS.refused(error))
    require_all_ocsf(trail.events)
    refusal = trail.find("participant.register")
    assert (refusal.succeeded, refusal.details["code"]) == (False, error.code)
    findings = [each.severity for each in trail.facts if each.kind is EventKind.SECURITY]
    assert findings == ([] if severity is None else [severity])


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        ({"name": "a", "requested_by": "jo", "correlation_id": "c-1"}, RegistrationFacts("a", "jo", "c-1")),
        ({"name": 7, "requested_by": [], "correlation_id": "no id!"}, RegistrationFacts("", None, "r-1")),
        ("text", RegistrationFacts("", None, "r-1")),
        (None, RegistrationFacts("", None, "r-1")),
    ],
)
def test_whatever_is_sent_can_be_put_on_record(event: Any, facts: RegistrationFacts) -> None:
    """Also what is no request: it is refused on record, under the invocation's own id."""
    assert read_facts(event, correlation_id="r-1") == facts
    trail = InMemoryAuditTrail()
    trail.record(
        *facts.refused(InvalidProofError("x")), *replace(facts, name="\ud800" * 5000).refused(InvalidProofError("x"))
    )
    require_all_ocsf(trail.events)
    assert trail.facts[0].actor == (facts.requested_by or UNKNOWN_CALLER)
