"""Events are found by each condition; what is passed over without being read is never one that fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pqtransfer.audit.events import EventKind, Severity, Target
from pqtransfer.audit.selection import EventFilter
from tests.unit.audit.samples import KEY_ID, make_event, make_full_event

EVENT = make_event(time_ms=1000, severity=Severity.MEDIUM, succeeded=False)


@pytest.mark.requirement("D4.6")
@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({}, True),
        ({"actor": "hospital-a"}, True),
        ({"actor": "hospital"}, False),
        ({"action": "key.retire"}, True),
        ({"action": "key.*"}, True),
        ({"action": "key"}, False),
        ({"action": "ke.*"}, False),
        ({"key_id": KEY_ID[:8]}, True),
        ({"key_id": "ff"}, False),
        ({"target": KEY_ID}, True),
        ({"target": "t-1"}, False),
        ({"correlation_id": "round-7"}, True),
        ({"correlation_id": "round"}, False),
        ({"since_ms": 1000}, True),
        ({"since_ms": 1001}, False),
        ({"until_ms": 1001}, True),
        ({"until_ms": 1000}, False),
        ({"kind": EventKind.KEY}, True),
        ({"kind": EventKind.ACCESS}, False),
        ({"minimum_severity": Severity.MEDIUM}, True),
        ({"minimum_severity": Severity.HIGH}, False),
        ({"succeeded": False}, True),
        ({"succeeded": True}, False),
        ({"actor": "hospital-a", "succeeded": True}, False),
    ],
)
def test_every_condition_must_hold(conditions: dict[str, object], fits: bool) -> None:
    wanted = EventFilter.model_validate(conditions)
    assert wanted.matches(EVENT) is fits
    assert wanted.may_match(EVENT.to_json()) or not fits


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.integers(0, 10**12))
def test_nothing_that_fits_is_passed_over(actor: str, target: str, time_ms: int) -> None:
    """Whatever text there is: quotes, controls, lone surrogates are refused before."""
    try:
        event = make_event(actor=actor, target=Target(type="key", id=target), time_ms=time_ms)
    except ValidationError:
        return
    wanted = EventFilter(actor=actor, target=target, since_ms=time_ms, until_ms=time_ms + 1)
    assert wanted.matches(event)
    assert wanted.may_match(event.to_json())


def test_a_time_in_a_text_is_not_the_time_of_the_event() -> None:
    """An actor that is called like a field does not hide an event."""
    event = make_full_event(EventKind.ACCESS).model_copy(update={"actor": ',"time":5,"type_uid":', "time_ms": 10})
    assert EventFilter(since_ms=10, until_ms=11).may_match(event.to_json())
    assert not EventFilter(until_ms=10).may_match(event.to_json())


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(ValidationError, match="not after the beginning"):
        EventFilter(since_ms=2, until_ms=2)
