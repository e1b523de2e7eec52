"""A CEF line says what the event says, whatever text is in it, and is one line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.audit.cef import CUSTOM_TEXT_AT_MOST, TEXT_AT_MOST, write_cef
from pqtransfer.audit.events import AuditEvent, EventKind, Severity, Target
from tests.unit.audit.cef_lines import read_cef
from tests.unit.audit.samples import make_event, make_full_event

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
HOSTILE = [
    "a|b",
    "a\\b",
    "a=b",
    "x\nrt=1 suser=root",
    "a\\",
    "\\|=",
    "\r\n",
    "CEF:0|a|b|1|2|3|10|",
    " cs1=x",
    "\u2028\x85\x1b[2J",
]


@pytest.mark.requirement("N16")
@pytest.mark.parametrize("kind", list(EventKind))
def test_a_line_says_what_the_event_says(kind: EventKind) -> None:
    """Under the names of the CEF dictionary, for each kind of event."""
    event = make_event(kind, severity=Severity.HIGH, succeeded=False, reason="refused")
    head, fields = read_cef(write_cef(event, index=7))
    assert head[:5] == ["CEF:0", "pqtransfer", "pqtransfer", "1", event.action]
    assert head[6] == "8"
    assert fields["rt"] == str(event.time_ms)
    assert fields["suser"] == "hospital-a"
    assert fields["src"] == "192.0.2.7"
    assert fields["outcome"] == "failure"
    assert fields["reason"] == "refused"
    assert fields["externalId"] == event.event_id
    assert fields["cn2"] == "7"
    labels = {fields[f"{name}Label"]: value for name, value in fields.items() if f"{name}Label" in fields}
    assert labels["keyId"] == event.key_id
    assert labels["correlationId"] == event.correlation_id
    assert labels["sequence"] == str(event.sequence)
    if kind is EventKind.TRANSFER:
        assert (fields["fname"], fields["fsize"], fields["fileHash"]) == (
            event.target.id,
            str(event.size_bytes),
            event.sha256,
        )


@pytest.mark.parametrize(
    ("severity", "number"),
    [
        (Severity.INFORMATIONAL, "0"),
        (Severity.LOW, "3"),
        (Severity.MEDIUM, "5"),
        (Severity.HIGH, "8"),
        (Severity.CRITICAL, "10"),
    ],
)
def test_a_severity_falls_into_its_range(severity: Severity, number: str) -> None:
    """CEF: low 0-3, medium 4-6, high 7-8, very high 9-10."""
    assert read_cef(write_cef(make_event(severity=severity)))[0][6] == number


def test_an_ipv6_address_has_its_own_field() -> None:
    """`src` takes IPv4 only."""
    _, fields = read_cef(write_cef(make_event(source_address="2001:db8::1")))
    assert "src" not in fields
    assert (fields["c6a2"], fields["c6a2Label"]) == ("2001:db8::1", "Source IPv6 Address")


@pytest.mark.requirement("N16")
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_adds_no_field_and_no_line(text: str) -> None:
    """A name that looks like the rest of a line is a name."""
    check(make_event(actor=text, target=Target(type="key", id=text), reason=text, details={"note": text}))


@given(
    actor=TEXT,
    target=TEXT,
    reason=TEXT,
    details=st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z"), TEXT, max_size=4),
)
def test_any_text_is_read_back(actor: str, target: str, reason: str, details: dict[str, str]) -> None:
    check(make_event(actor=actor, target=Target(type="key", id=target), reason=reason, details=details))


def test_text_that_is_too_long_for_cef_is_cut_off_and_says_so() -> None:
    """1,023 characters for a name, 4,000 for a text of one's own."""
    event = make_event(actor="a" * 1024, details={f"d{n}": "x" * 500 for n in range(20)})
    _, fields = read_cef(write_cef(event))
    assert fields["suser"] == "a" * (TEXT_AT_MOST - 3) + "..."
    assert len(fields["cs6"]) == CUSTOM_TEXT_AT_MOST
    assert fields["cs6"].endswith("...")


def test_every_kind_of_text_at_once_is_one_line() -> None:
    for kind in EventKind:
        assert len(write_cef(make_full_event(kind)).splitlines()) == 1


def check(event: AuditEvent) -> None:
    line = write_cef(event)
    assert len(line.splitlines()) == 1
    head, fields = read_cef(line)
    assert len(head) == 7
    assert fields["suser"] == carry(event.actor)
    assert fields["duid"] == carry(event.target.id)
    assert fields["reason"] == carry(event.reason or "")
    known = {"rt", "cat", "act", "outcome", "externalId", "suser", "src", "reason", "duid", "cn1", "cn1Label"}
    assert set(fields) <= known | {f"cs{number}{end}" for number in range(1, 7) for end in ("", "Label")}


def carry(text: str) -> str:
    """What CEF can carry of a text."""
    return re.sub(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]", "\ufffd", text)
