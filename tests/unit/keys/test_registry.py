"""The questions asked of the registry: whom to wrap to, and whose signatures count."""

from collections.abc import Callable

import pytest

from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.crypto.suites import WeakSuiteError
from pqtransfer.errors import AccessError, InputError
from pqtransfer.keys.in_memory import InMemoryKeyRegistry
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.keys.registry import (
    KeyNotFoundError,
    KeyNotUsableError,
    ParticipantNotReadyError,
    ParticipantUnknownError,
    find_active_key,
    find_opening_key,
    find_signing_key,
    resolve_recipients,
)

Register = Callable[..., RegisteredParticipant]
PENDING, ACTIVE, RETIRING, RETIRED, DESTROYED, REVOKED = KeyState


def test_recipients_are_wrapped_to_by_their_active_keys(register: Register) -> None:
    """Each name once, in the order given, and never a key that is not ACTIVE."""
    a, b = register("site-a", RETIRED, RETIRING, ACTIVE, PENDING), register("site-b")
    registry = InMemoryKeyRegistry([a, b])
    keys = resolve_recipients(["site-b", "site-a", "site-b"], registry=registry, minimum_suite_id="PQT-1")
    assert [key.key_id for key in keys] == [
        find_active_key("site-b", KeyPurpose.KEM, registry=registry).key_id,
        next(key.key_id for key in a.keys if key.version == 3 and key.purpose is KeyPurpose.KEM),
    ]


@pytest.mark.parametrize("state", [PENDING, RETIRING, RETIRED, DESTROYED, REVOKED])
def test_nothing_new_for_a_recipient_without_an_active_key(register: Register, state: KeyState) -> None:
    """The transfer is refused, and the message names the participant."""
    registry = InMemoryKeyRegistry([register("site-a", state)])
    with pytest.raises(ParticipantNotReadyError, match="site-a"):
        resolve_recipients(["site-a"], registry=registry, minimum_suite_id="PQT-1")


def test_an_unknown_recipient(register: Register) -> None:
    """One unknown name refuses the whole list: nobody is left out silently."""
    registry = InMemoryKeyRegistry([register("site-a")])
    with pytest.raises(ParticipantUnknownError, match="nobody") as caught:
        resolve_recipients(["site-a", "nobody"], registry=registry, minimum_suite_id="PQT-1")
    assert isinstance(caught.value, InputError)


def test_a_recipient_under_the_minimum_suite(register: Register) -> None:
    """A key that is weaker than the policy is not wrapped to."""
    registry = InMemoryKeyRegistry([register("site-a", suite_id="PQT-1"), register("site-b", suite_id="PQT-2")])
    assert len(resolve_recipients(["site-b"], registry=registry, minimum_suite_id="PQT-2")) == 1
    with pytest.raises(WeakSuiteError):
        resolve_recipients(["site-b", "site-a"], registry=registry, minimum_suite_id="PQT-2")


@pytest.mark.parametrize(
    ("state", "verifies", "opens"),
    [
        (PENDING, False, False),
        (ACTIVE, True, True),
        (RETIRING, True, True),
        (RETIRED, True, True),
        (DESTROYED, True, False),
        (REVOKED, False, False),
    ],
)
def test_what_an_old_key_is_still_good_for(register: Register, state: KeyState, verifies: bool, opens: bool) -> None:
    """Signatures and envelopes outlive the rotation of their key, not its revocation."""
    registered = register("site-a", state)
    registry = InMemoryKeyRegistry([registered])
    kem, signing = registered.keys
    if verifies:
        assert find_signing_key("site-a", signing.key_id, registry=registry) == signing.public_key
    else:
        with pytest.raises(KeyNotUsableError, match=state) as caught:
            find_signing_key("site-a", signing.key_id, registry=registry)
        assert isinstance(caught.value, AccessError)
    if opens:
        assert find_opening_key("site-a", kem.key_id, registry=registry) == kem
    else:
        with pytest.raises(KeyNotUsableError, match=state):
            find_opening_key("site-a", kem.key_id, registry=registry)


def test_a_key_of_somebody_else_or_for_something_else(register: Register) -> None:
    """A key id counts for its own participant and purpose only."""
    a, b = register("site-a"), register("site-b")
    registry = InMemoryKeyRegistry([a, b])
    kem, signing = a.keys
    for name, key_id in [("site-b", signing.key_id), ("site-a", kem.key_id), ("site-a", "0" * 64)]:
        with pytest.raises(KeyNotFoundError):
            find_signing_key(name, key_id, registry=registry)
    with pytest.raises(KeyNotFoundError):
        find_opening_key("site-a", signing.key_id, registry=registry)
