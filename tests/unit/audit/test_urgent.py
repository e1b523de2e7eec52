"""Which events somebody has to know of at once."""

from pqtransfer.audit.events import EventKind
from pqtransfer.audit.urgent import find_urgent
from tests.unit.audit.samples import make_event


def test_a_failed_key_exchange_is_urgent() -> None:
    """And is found among others."""
    event = make_event(EventKind.SECURITY, action="key-exchange.fail")
    assert find_urgent(event.to_json()) == event
    assert find_urgent(make_event(EventKind.SECURITY, action="violation.detect").to_json()) is None


def test_who_only_speaks_of_one_is_not() -> None:
    """Its name in a reason, or in something that is no event, makes no alert."""
    named = make_event(EventKind.SECURITY, action="violation.detect", reason="key-exchange.fail")
    assert find_urgent(named.to_json()) is None
    assert find_urgent(b'"key-exchange.fail"') is None
