"""An event is valid OCSF, is read back as it was written, and is read in no other spelling."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pqtransfer.audit.errors import EventTooLargeError, MalformedEventError
from pqtransfer.audit.events import (
    EVENT_LIMIT_BYTES,
    AuditEvent,
    EventKind,
    Target,
    read_event_header,
    read_logged_event,
)
from pqtransfer.crypto.canonical_json import write_canonical_json
from tests.unit.audit.ocsf_schema import find_validator, require_ocsf
from tests.unit.audit.samples import KEY_ID, make_event, make_full_event

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.mark.requirement("D7.1", "D7.2", "D7.3", "N16", "S4.1")
@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_of_event_is_valid_ocsf(kind: EventKind) -> None:
    """With everything that it can say, with as little as it must say, succeeded and failed; by the schema itself."""
    for event in (
        make_event(kind),
        make_full_event(kind),
        make_event(kind, key_id=None, suite=None, source_address=None, details={}),
        make_event(kind, succeeded=False, source_address="2001:db8::1"),
    ):
        require_ocsf(event.to_json())
        assert AuditEvent.from_json(event.to_json()) == event


def test_the_schema_refuses_what_is_not_ocsf() -> None:
    """The test above can fail."""
    document = json.loads(make_event().to_json()) | {"activity_id": 77, "surplus": 1}
    assert len(list(find_validator(3004, ()).iter_errors(document))) == 2


@pytest.mark.parametrize(
    ("kind", "action", "class_uid", "activity"),
    [
        (EventKind.CRYPTOGRAPHY, "envelope.wrap", 6003, (99, "wrap")),
        (EventKind.CRYPTOGRAPHY, "manifest.sign", 6003, (99, "sign")),
        (EventKind.KEY, "key.create", 3004, (1, "Create")),
        (EventKind.KEY, "key.activate", 3004, (10, "Activate")),
        (EventKind.KEY, "key.retire", 3004, (11, "Deactivate")),
        (EventKind.KEY, "key.revoke", 3004, (9, "Disable")),
        (EventKind.KEY, "key.destroy", 3004, (4, "Delete")),
        (EventKind.KEY, "key.back-up", 3004, (99, "back-up")),
        (EventKind.TRANSFER, "transfer.send", 6006, (1, "Upload")),
        (EventKind.TRANSFER, "transfer.receive", 6006, (2, "Download")),
        (EventKind.TRANSFER, "transfer.fail", 6006, (99, "fail")),
        (EventKind.ACCESS, "envelope.open", 6003, (99, "open")),
        (EventKind.CONFIGURATION, "policy.update", 3004, (3, "Update")),
        (EventKind.ADMINISTRATION, "report.create", 6003, (1, "Create")),
        (EventKind.SECURITY, "audit.tamper", 2004, (1, "Create")),
    ],
)
def test_an_action_has_its_class_and_activity(
    kind: EventKind, action: str, class_uid: int, activity: tuple[int, str]
) -> None:
    """What OCSF has a name for gets that name; the rest is Other, by its verb."""
    document = require_ocsf(make_event(kind, action=action).to_json())
    assert (document["class_uid"], document["activity_id"], document["activity_name"]) == (class_uid, *activity)
    assert document["type_uid"] == class_uid * 100 + activity[0]


def test_an_access_decision_says_allowed_or_denied() -> None:
    """OCSF's security control profile: action and disposition."""
    decisions = [require_ocsf(make_event(EventKind.ACCESS, succeeded=allowed).to_json()) for allowed in (True, False)]
    assert [(each["action_id"], each["disposition_id"], each["status_id"]) for each in decisions] == [
        (1, 1, 1),
        (2, 2, 2),
    ]


@given(texts, texts, st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), texts, max_size=4))
def test_any_text_is_carried_and_never_taken_for_a_header(actor: str, reason: str, details: dict[str, str]) -> None:
    """Whatever a stranger can put into an event, it is read back, and its header is its own."""
    for kind in EventKind:
        event = make_event(kind, sequence=7, actor=actor, reason=reason, details=details)
        data = event.to_json()
        assert AuditEvent.from_json(data) == event
        assert read_event_header(data) == ("worker/a", 7, event.event_id)


@pytest.mark.parametrize("kind", EventKind)
def test_the_header_is_found_without_reading_the_event(kind: EventKind) -> None:
    """Also when the text of the event looks like a header."""
    event = make_full_event(kind)
    assert read_event_header(event.to_json()) == (event.producer, event.sequence, event.event_id)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"metadata":{}}', bytes(1000), make_event().to_json()[:-900]])
def test_what_has_no_header_is_no_event(data: bytes) -> None:
    """A verifier names it and goes on."""
    with pytest.raises(MalformedEventError):
        read_event_header(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "wrap"}, {"action": "Envelope.wrap"}, {"action": "a.b.c.d.e"}, {"action": "envelope.wrap\n"},
        {"producer": ""}, {"producer": "Worker"}, {"producer": 'w"'}, {"producer": "w" * 129}, {"producer": "w\n"},
        {"sequence": 0}, {"sequence": 1 << 53}, {"sequence": True},
        {"event_id": "x"}, {"event_id": "0198C0DE-0000-7000-8000-000000000001"},
        {"time_ms": -1}, {"time_ms": 1.5}, {"actor": ""}, {"actor": "\ud800"}, {"actor": "a" * 1025},
        {"correlation_id": ""}, {"correlation_id": 'a"b'}, {"key_id": "AB" * 32}, {"key_id": "ab"}, {"suite": "PQT 1"},
        {"source_address": "localhost"}, {"source_address": "2001:DB8::1"}, {"source_address": "192.0.2.007"},
        {"details": {"A": "x"}}, {"details": {"a": 1}}, {"details": {"a": "\ud800"}},
        {"details": {f"n{number}": "" for number in range(49)}}, {"sha256": KEY_ID}, {"size_bytes": 1}, {"surplus": 1},
        {"target": {"type": "Key", "id": "1"}}, {"severity": 9},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_event_is_not_made(changes: dict[str, object]) -> None:
    """The producer hears of it at once."""
    with pytest.raises(ValidationError):
        make_event(**changes)  # type: ignore[arg-type]


def test_an_event_cannot_be_changed_after_the_fact() -> None:
    """Frozen, as everything that is signed."""
    with pytest.raises(ValidationError):
        make_event().sequence = 2  # type: ignore[misc]


def test_an_event_over_the_limit_is_refused_by_name() -> None:
    """32 KiB, counted as they stand in the log; one byte less is taken."""
    spare = EVENT_LIMIT_BYTES - len(make_event(details={"a": ""}).to_json())
    assert len(make_event(details={"a": "x" * spare}).to_json()) == EVENT_LIMIT_BYTES
    with pytest.raises(EventTooLargeError, match="32769 bytes"):
        make_event(details={"a": "x" * (spare + 1)}).to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"surplus": 1}, {"class_uid": 6006}, {"class_uid": "3004"}, {"metadata": None}, {"metadata": []},
        {"unmapped": {}},
        {"unmapped": {"details": {}, "more": 1}}, {"activity_name": "Update"}, {"type_uid": 1}, {"status_id": 3},
        {"severity_id": 9}, {"severity_id": "1"}, {"time": "1"}, {"entity": {"type": "key"}}, {"entity": [1]},
        {"actor": {"user": {}}}, {"status_detail": None}, {"src_endpoint": {"ip": "192.0.2.7", "port": 1}},
        {"src_endpoint": {"svc_name": "another"}}, {"category_uid": 4},
    ],
    ids=str,
)  # fmt: skip
def test_another_document_is_not_read_as_an_event(change: dict[str, object]) -> None:
    """A field more, less, of another type, or one that contradicts another."""
    document = json.loads(make_event().to_json())
    with pytest.raises(MalformedEventError):
        AuditEvent.from_json(write_canonical_json(document | change))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'{"a":1.5}', b"\xff", b" " * (EVENT_LIMIT_BYTES + 1)])
def test_what_is_no_document_is_not_read(data: bytes) -> None:
    """Not JSON, not an object, too large."""
    with pytest.raises(MalformedEventError):
        AuditEvent.from_json(data)


def test_a_target_says_what_it_is() -> None:
    """Type and id, both."""
    with pytest.raises(ValidationError):
        Target(type="key", id="")


@pytest.mark.parametrize("kind", EventKind)
def test_a_logged_event_is_the_event(kind: EventKind) -> None:
    """Read without comparing its spelling, it is the same."""
    for event in (make_event(kind), make_full_event(kind)):
        assert read_logged_event(event.to_json()) == event


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"\xff",
        b'{"a":' * 9000,
        b"x" * (EVENT_LIMIT_BYTES + 1),
        make_event().to_json().replace(b'"sequence":1', b'"sequence":0'),
    ],
)
def test_what_a_log_has_signed_and_is_no_event_is_named(entry: bytes) -> None:
    with pytest.raises(MalformedEventError):
        read_logged_event(entry)
