"""A report has every operation of its period, answers to its framework, and never hides what the log is."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pqtransfer.audit import activity, report_parts
from pqtransfer.audit.activity import Activity
from pqtransfer.audit.events import AuditEvent, EventKind
from pqtransfer.audit.frameworks import list_controls
from pqtransfer.audit.report_model import (
    ComplianceReport,
    Framework,
    InvalidPeriodError,
    Table,
    UnknownFrameworkError,
    read_framework,
)
from pqtransfer.audit.reporting import find_previous_month, make_report, name_report
from pqtransfer.sdk.audit_directory import DirectoryLog
from tests.unit.audit.keys import LOG_POLICY, POLICY
from tests.unit.audit.log_directories import write_log
from tests.unit.audit.months import BEGIN, BUSY_ACTOR, BUSY_DAY, END, SITES, make_month, name_key
from tests.unit.audit.samples import make_event

NOW = datetime(2026, 4, 1, 3, tzinfo=UTC)
MONTH = make_month()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("month"), MONTH)


@pytest.fixture(scope="module")
def report(directory: Path) -> ComplianceReport:
    return make(directory)


def make(
    directory: Path, *, since: datetime = BEGIN, until: datetime = END, framework: Framework = Framework.ALL
) -> ComplianceReport:
    return make_report(DirectoryLog(directory), POLICY, framework=framework, since=since, until=until, now=NOW)


def table(report: ComplianceReport, name: str) -> Table:
    return next(each for section in report.sections for each in section.tables if each.name == name)


def rows(report: ComplianceReport, name: str) -> list[dict[str, object]]:
    found = table(report, name)
    return [dict(zip([column.name for column in found.columns], row, strict=True)) for row in found.rows]


@pytest.mark.requirement("D7.4", "D4.6")
def test_every_cryptographic_operation_is_reported(report: ComplianceReport) -> None:
    """By operation and algorithm, by key, by participant: the sums are those of the log."""
    wanted = [event for event in MONTH if event.kind in (EventKind.CRYPTOGRAPHY, EventKind.KEY)]
    counted = Counter((event.action, event.suite) for event in wanted)
    assert {(row["action"], row["suite"]): row["events"] for row in rows(report, "operations")} == counted
    uses = Counter(event.key_id for event in MONTH if event.key_id and event.kind is not EventKind.KEY)
    assert {row["key_id"]: row["uses"] for row in rows(report, "operations_by_key")} == uses
    by_actor = Counter(event.actor for event in MONTH if event.kind is EventKind.CRYPTOGRAPHY)
    assert {row["participant"]: row["operations"] for row in rows(report, "operations_by_participant")} == by_actor
    assert report.events == len(MONTH)


@pytest.mark.requirement("D7.4")
def test_access_patterns_and_what_stands_out_are_reported(report: ComplianceReport) -> None:
    """The actor that did ten times as much on one day is named, with the statistic; so is what was denied."""
    assert [(row["actor"], row["day"]) for row in rows(report, "outliers")] == [
        (BUSY_ACTOR, f"{BEGIN + timedelta(days=BUSY_DAY):%Y-%m-%d}")
    ]
    actors = {row["actor"]: row for row in rows(report, "access_by_actor")}
    assert set(SITES) <= set(actors)
    assert sum(int(str(row["events"])) for row in actors.values()) == len(MONTH)
    denied = [event for event in MONTH if event.kind is EventKind.ACCESS and not event.succeeded]
    assert len(rows(report, "denied")) == len(denied) > 3
    chart = report.find_section("access").charts[0]
    assert (len(chart.values), sum(chart.values), chart.marked) == (31, len(MONTH), (BUSY_DAY,))
    assert "Iglewicz and Hoaglin" in report.find_section("access").paragraphs[0]


@pytest.mark.requirement("D7.4")
def test_key_lifecycles_are_reported(report: ComplianceReport) -> None:
    """Each step with its time; a key that was revoked, too."""
    keys = {row["key_id"]: row for row in rows(report, "keys")}
    rotated = keys[name_key("hospital-a", 2)]
    assert (rotated["created"], rotated["activated"], rotated["backups"]) == (
        "2026-03-03 03:00:10",
        rotated["activated"],
        1,
    )
    assert keys[name_key("hospital-a", 1)]["retired"] is not None
    assert keys[name_key(BUSY_ACTOR, 1)]["revoked"] is not None
    assert keys[name_key(BUSY_ACTOR, 1)]["created"] is None


@pytest.mark.requirement("D7.4", "D7.2")
def test_transfers_are_reported_with_their_digests_and_who_took_part(report: ComplianceReport) -> None:
    sent = [event for event in MONTH if event.kind is EventKind.TRANSFER]
    shown = {row["transfer"]: row for row in rows(report, "transfers")}
    assert len(shown) == len(sent)
    for event in sent:
        row = shown[event.target.id]
        assert (row["sha256"], row["size_bytes"], row["sender"]) == (event.sha256, event.size_bytes, event.actor)
        assert row["recipients"] == event.details["recipients"]


def test_a_transfer_is_listed_by_how_it_ended_and_a_key_by_its_uses() -> None:
    """Steps on the way are counted; a recipient's event says from whom it is; a private key that was read was used."""
    counted = Activity(since=datetime(2026, 5, 1, tzinfo=UTC), until=datetime(2026, 7, 1, tzinfo=UTC))
    for number, action in enumerate(("claim", "release", "claim", "complete", "update"), start=1):
        counted.add(number, make_event(EventKind.TRANSFER, sequence=number, action=f"transfer.{action}"))
    counted.add(6, make_event(EventKind.TRANSFER, action="transfer.receive", actor="b", details={"sender": "a"}))
    counted.add(7, make_event(EventKind.KEY, action="key.use"))
    assert [each.event.action for each in counted.transfers.items] == ["transfer.complete", "transfer.receive"]
    assert report_parts.tell_participants(counted.transfers.items[1]) == ("a", "b")
    (use,) = counted.keys.values()
    assert (use.uses, use.steps) == (7, {})


@pytest.mark.requirement("D7.4")
def test_security_events_and_changes_are_reported(report: ComplianceReport) -> None:
    assert [row["action"] for row in rows(report, "security_events")] == ["access.unusual", "key.revoke"]
    assert {row["action"] for row in rows(report, "changes")} == {"policy.update"}


@pytest.mark.requirement("N13", "D7.4")
@pytest.mark.parametrize(
    ("framework", "references"),
    [
        (
            Framework.SOX,
            ["SOX s. 404(a), 15 U.S.C. 7262(a)", "SOX s. 802, 18 U.S.C. 1519", "SOX s. 802, 17 CFR 210.2-06"],
        ),
        (
            Framework.HIPAA,
            [
                "45 CFR 164.308(a)(1)(ii)(D)",
                "45 CFR 164.312(a)(1)",
                "45 CFR 164.312(b)",
                "45 CFR 164.312(c)(1), (c)(2)",
                "45 CFR 164.312(d)",
                "45 CFR 164.316(b)(2)(i)",
            ],
        ),
        (
            Framework.PCI_DSS,
            [f"PCI DSS v4.0.1, {each}" for each in ("3.6.1", "3.7.1", "3.7.4", "3.7.5", "8.2.1", "10.2.2", "10.5.1")],
        ),
    ],
)
def test_the_controls_of_a_framework_are_cited(directory: Path, framework: Framework, references: list[str]) -> None:
    """Each with sections of the report that are there; another framework's are not in it."""
    report = make(directory, framework=framework)
    found = {control.reference: control for control in report.controls}
    assert set(references) <= set(found)
    assert {control.framework for control in report.controls} == {framework}
    for control in report.controls:
        assert control.sections
        for key in control.sections:
            assert report.find_section(key).key == key


def test_all_frameworks_are_all_of_them() -> None:
    each = [
        control for framework in Framework if framework is not Framework.ALL for control in list_controls(framework)
    ]
    assert list(list_controls(Framework.ALL)) == each
    with pytest.raises(UnknownFrameworkError, match="sox, hipaa, pci-dss, all"):
        read_framework("gdpr")


@pytest.mark.requirement("D7.4")
def test_a_report_says_what_it_was_verified_against(report: ComplianceReport) -> None:
    integrity = report.integrity
    assert (integrity.verified, integrity.intact, integrity.complete) == (True, True, True)
    assert (integrity.size, integrity.entries_checked) == (len(MONTH), len(MONTH))
    assert len(integrity.root_sha256 or "") == 64
    assert list(integrity.witnesses) == ["witness.example/w1"]


def test_only_what_the_root_commits_to_is_counted(tmp_path: Path) -> None:
    """A changed entry is a finding, and is in no figure."""
    directory = write_log(tmp_path, MONTH)
    bundle = directory / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b"hospital-a", b"hospital-x", 1))
    report = make(directory)
    assert (report.integrity.intact, report.events) == (False, len(MONTH) - 1)
    assert "hospital-x" not in report.model_dump_json()
    assert report.integrity.findings[0].kind == "entry-changed"


def test_of_a_log_that_cannot_be_verified_there_are_no_figures(tmp_path: Path) -> None:
    """Neither of one whose checkpoint is gone, nor of one that other keys have signed."""
    directory = write_log(tmp_path, MONTH[:10])
    (directory / "checkpoint").unlink()
    report = make(directory)
    assert (report.events, report.integrity.verified, report.integrity.intact) == (0, False, False)
    assert report.integrity.findings[0].kind == "checkpoint-missing"


def test_a_missing_number_is_said_apart(tmp_path: Path) -> None:
    report = make(write_log(tmp_path, [MONTH[0], *MONTH[2:10]]))
    assert (report.integrity.intact, report.integrity.complete) == (True, False)
    assert report.integrity.findings[0].about == "completeness"


def test_a_period_without_events_says_so(directory: Path) -> None:
    report = make(directory, since=BEGIN - timedelta(days=60), until=BEGIN - timedelta(days=30))
    assert report.events == 0
    assert all(not each.rows and each.empty for section in report.sections for each in section.tables)
    assert report.integrity.intact


@pytest.mark.parametrize("days", [0, -1, 3701])
def test_a_period_that_is_none_is_refused(directory: Path, days: int) -> None:
    with pytest.raises(InvalidPeriodError, match="must come after the beginning"):
        make(directory, until=BEGIN + timedelta(days=days))


def test_an_event_belongs_to_the_period_by_its_own_time(directory: Path) -> None:
    """Two halves have together what the whole has, none twice."""
    middle = BEGIN + timedelta(days=13, hours=7)
    assert make(directory, until=middle).events + make(directory, since=middle).events == len(MONTH)


def test_what_is_listed_is_bounded_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger that makes up names costs a report a bounded number of rows; the others are counted."""
    monkeypatch.setattr(activity, "ACTORS_AT_MOST", 10)
    monkeypatch.setattr(activity, "KEYS_AT_MOST", 10)
    counted = Activity(since=datetime(2026, 5, 1, tzinfo=UTC), until=datetime(2026, 7, 1, tzinfo=UTC))
    for number in range(50):
        counted.add(number, _make_stranger(number))
    assert (len(counted.actors), counted.actors_left_out) == (10, 40)
    assert (len(counted.keys), counted.keys_left_out) == (10, 40)
    monkeypatch.setattr(report_parts, "ROWS_AT_MOST", 5)
    listed = report_parts.list_moments("denied", "Denied", counted.denied)
    assert (len(listed.rows), listed.left_out) == (5, 45)


def _make_stranger(number: int) -> AuditEvent:
    return make_event(
        EventKind.ACCESS, sequence=number + 1, actor=f"stranger-{number}", key_id=f"{number:064x}", succeeded=False
    )


@pytest.mark.parametrize(
    ("now", "since", "until"),
    [
        (datetime(2026, 4, 1, 3, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
        (datetime(2026, 1, 31, tzinfo=UTC), datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2028, 3, 31, tzinfo=UTC), datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
    ],
)
def test_the_month_before(now: datetime, since: datetime, until: datetime) -> None:
    assert find_previous_month(now) == (since, until)


def test_a_report_has_a_name(report: ComplianceReport) -> None:
    assert name_report(report) == "all-2026-03-01-2026-03-31"
    assert LOG_POLICY.origin == report.integrity.log
