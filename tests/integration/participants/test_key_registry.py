"""What a key registry promises; kept by the one in DynamoDB and by the one in memory alike."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pqtransfer.aws.failures import CloudNotFoundError
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.keys.in_memory import InMemoryKeyRegistry
from pqtransfer.keys.lifecycle import IllegalTransitionError, KeyState
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.keys.registry import (
    KeyRegistry,
    ParticipantExistsError,
    ParticipantUnknownError,
    RegistryConflictError,
    RegistryDamagedError,
)

Make = Callable[..., RegisteredParticipant]
LATER = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TABLE = "participants"


@pytest.fixture(params=["dynamodb", "memory"])
def any_registry(request: pytest.FixtureRequest) -> KeyRegistry:
    if request.param == "memory":
        return InMemoryKeyRegistry()
    registry: KeyRegistry = request.getfixturevalue("registry")
    return registry


@pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
def test_what_is_added_is_read_back(any_registry: KeyRegistry, make_external: Make, suite_id: str) -> None:
    """Every field survives, for keys of either suite."""
    registered = make_external(suite_id=suite_id)
    assert any_registry.add(registered) == registered
    assert any_registry.load("site-a") == registered


def test_a_managed_participant_is_read_back(any_registry: KeyRegistry, make_pending: Make) -> None:
    """Role, principals, buckets and secrets' names are kept with it."""
    registered = make_pending()
    any_registry.add(registered)
    assert any_registry.load("site-m") == registered
    assert any_registry.load("site-m").participant.buckets == ("models-of-site-m", "results-of-site-m")


def test_a_participant_of_before_there_were_buckets(
    registry: DynamoKeyRegistry, dynamodb: Any, make_pending: Make
) -> None:
    """Is read, and has none: workers use no bucket in its name."""
    registry.add(make_pending())
    key = {"participant": {"S": "site-m"}, "item": {"S": "PARTICIPANT"}}
    dynamodb.update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE buckets")
    assert registry.load("site-m").participant.buckets == ()


def test_buckets_that_cannot_be(registry: DynamoKeyRegistry, dynamodb: Any, make_pending: Make) -> None:
    """What no registration could have written is not believed."""
    registry.add(make_pending())
    dynamodb.update_item(
        TableName=TABLE,
        Key={"participant": {"S": "site-m"}, "item": {"S": "PARTICIPANT"}},
        UpdateExpression="SET buckets = :any",
        ExpressionAttributeValues={":any": {"L": [{"S": "*"}]}},
    )
    with pytest.raises(RegistryDamagedError, match="site-m"):
        registry.load("site-m")


def test_other_buckets_are_another_participant(any_registry: KeyRegistry, make_pending: Make) -> None:
    """As other principals are: what is registered stays."""
    registered = make_pending()
    any_registry.add(registered)
    for changed, difference in (({"buckets": ()}, "other buckets"), ({"principals": ()}, "other principals")):
        other = registered.participant.model_copy(update=changed)
        with pytest.raises(ParticipantExistsError, match=difference):
            any_registry.add(registered.model_copy(update={"participant": other}))
    assert any_registry.load("site-m") == registered


def test_all_are_listed_by_name(any_registry: KeyRegistry, make_external: Make, make_pending: Make) -> None:
    """Listing shows every participant once, in order."""
    for registered in (make_external("site-z"), make_pending("site-m"), make_external("site-a")):
        any_registry.add(registered)
    assert [each.name for each in any_registry.list_all()] == ["site-a", "site-m", "site-z"]


def test_an_unknown_participant(any_registry: KeyRegistry) -> None:
    """The error names it and says how to add it."""
    with pytest.raises(ParticipantUnknownError, match="nobody"):
        any_registry.load("nobody")
    assert any_registry.list_all() == []


def test_adding_the_same_again_changes_nothing(any_registry: KeyRegistry, make_external: Make) -> None:
    """A repeated call is answered with what is there, the first time of creation included."""
    registered = make_external()
    any_registry.add(registered)
    later = registered.participant.model_copy(update={"created_at": LATER})
    assert any_registry.add(registered.model_copy(update={"participant": later})) == registered
    assert any_registry.list_all() == [registered]


def test_a_name_is_taken_once(any_registry: KeyRegistry, make_external: Make, make_pending: Make) -> None:
    """Other keys, or another kind, under a name that is taken: refused, and what was there stays."""
    registered = make_external()
    any_registry.add(registered)
    with pytest.raises(ParticipantExistsError, match="other keys"):
        any_registry.add(make_external())
    with pytest.raises(ParticipantExistsError, match="kind"):
        any_registry.add(make_pending("site-a"))
    assert any_registry.load("site-a") == registered


def test_keys_take_a_step_together(any_registry: KeyRegistry, make_pending: Make) -> None:
    """Both keys become ACTIVE at the same time, with that time."""
    begun = make_pending()
    any_registry.add(begun)
    moved = any_registry.change_state(begun.keys, KeyState.ACTIVE, at=LATER)
    assert any_registry.load("site-m").keys == moved
    assert {(key.state, key.activated_at) for key in moved} == {(KeyState.ACTIVE, LATER)}


def test_a_step_that_is_not_allowed(any_registry: KeyRegistry, make_pending: Make) -> None:
    """The state machine is asked before anything is written."""
    begun = make_pending()
    any_registry.add(begun)
    with pytest.raises(IllegalTransitionError):
        any_registry.change_state(begun.keys, KeyState.RETIRED, at=LATER)
    assert any_registry.load("site-m") == begun


def test_a_step_from_what_is_no_longer_true(any_registry: KeyRegistry, make_pending: Make) -> None:
    """When one of the keys was moved meanwhile, none of them is moved."""
    begun = make_pending()
    any_registry.add(begun)
    any_registry.change_state(begun.keys[:1], KeyState.REVOKED, at=LATER)
    with pytest.raises(RegistryConflictError):
        any_registry.change_state(begun.keys, KeyState.ACTIVE, at=LATER)
    assert [key.state for key in any_registry.load("site-m").keys] == [KeyState.REVOKED, KeyState.PENDING]


def test_starting_over(any_registry: KeyRegistry, make_pending: Make) -> None:
    """The keys of the first attempt are given up for good, those of the second wait in their place."""
    begun, afresh = make_pending(), make_pending(version=2)
    any_registry.add(begun)
    any_registry.start_over(begun, afresh, at=LATER)
    current = any_registry.load("site-m")
    assert current.pending_keys == afresh.keys
    assert {key.key_id for key in current.given_up_keys} == {key.key_id for key in begun.keys}


def test_nobody_starts_over_what_is_in_use(any_registry: KeyRegistry, make_pending: Make) -> None:
    """Neither a ready participant, nor one that became ready since it was read."""
    begun, afresh = make_pending(), make_pending(version=2)
    any_registry.add(begun)
    any_registry.change_state(begun.keys, KeyState.ACTIVE, at=LATER)
    ready = any_registry.load("site-m")
    for read in (begun, ready):
        with pytest.raises(RegistryConflictError):
            any_registry.start_over(read, afresh, at=LATER)
    assert any_registry.load("site-m") == ready


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=st.lists(st.sampled_from(KeyState), max_size=6))
def test_dynamodb_and_memory_agree(
    registry: DynamoKeyRegistry, dynamodb: Any, make_pending: Make, wishes: list[KeyState]
) -> None:
    """Any sequence of steps ends in the same state, with the same refusals, in both."""
    begun = make_pending()
    memory = InMemoryKeyRegistry([begun])
    _erase(dynamodb, begun.name)
    registry.add(begun)
    for wanted in wishes:
        outcomes: list[object] = []
        for each in (memory, registry):
            try:
                outcomes.append(each.change_state(each.load(begun.name).keys, wanted, at=LATER))
            except IllegalTransitionError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
    assert memory.load(begun.name) == registry.load(begun.name)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("state", {"S": "FINE"}),
        ("public_key", {"S": "{}"}),
        ("public_key", {"S": "not json"}),
        ("version", {"N": "0"}),
        ("proof", {"NULL": True}),
        ("created_at", {"S": "yesterday"}),
        ("item", None),
    ],
)
def test_an_entry_that_was_damaged(
    registry: DynamoKeyRegistry, dynamodb: Any, make_external: Make, attribute: str, value: Any
) -> None:
    """An entry that cannot be read ends in a named error, never in a wrong key."""
    registered = make_external()
    registry.add(registered)
    signing = registered.keys[1]
    key = {"participant": {"S": "site-a"}, "item": {"S": f"KEY#{signing.key_id}"}}
    item = dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
    if value is None:  # the key under another key's id
        dynamodb.delete_item(TableName=TABLE, Key=key)
        value = {"S": "KEY#" + "0" * 64}
    dynamodb.put_item(TableName=TABLE, Item={**item, attribute: value})
    with pytest.raises(RegistryDamagedError, match="site-a"):
        registry.load("site-a")


def test_keys_without_a_participant(registry: DynamoKeyRegistry, dynamodb: Any, make_external: Make) -> None:
    """Half a participant is no participant."""
    registry.add(make_external())
    dynamodb.delete_item(TableName=TABLE, Key={"participant": {"S": "site-a"}, "item": {"S": "PARTICIPANT"}})
    with pytest.raises(RegistryDamagedError):
        registry.load("site-a")


def test_a_table_that_is_not_there(dynamodb: Any) -> None:
    """A wrong table name is told apart from an unknown participant."""
    with pytest.raises(CloudNotFoundError, match="elsewhere"):
        DynamoKeyRegistry(dynamodb, table_name="elsewhere").load("site-a")


def _erase(dynamodb: Any, name: str) -> None:
    found = dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="participant = :name",
        ExpressionAttributeValues={":name": {"S": name}},
    )
    for item in found["Items"]:
        dynamodb.delete_item(TableName=TABLE, Key={"participant": item["participant"], "item": item["item"]})
