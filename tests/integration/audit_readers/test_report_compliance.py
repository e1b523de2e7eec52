"""The monthly function makes a report of the log in S3, writes it beside the log, and records that it did."""

import hashlib
import json
from datetime import datetime
from typing import Any, cast

import boto3
import pytest

from functions.report_compliance import handler as reporting
from functions.report_compliance import parts
from pqtransfer.audit.activity_file import MalformedActivityError
from pqtransfer.audit.cursors import CheckCursor
from pqtransfer.audit.report_model import ComplianceReport, Framework
from pqtransfer.audit.reporting import begin_activity
from tests.integration.audit_readers.conftest import BUCKET, TRUST_BUCKET, CloudLog
from tests.integration.audit_readers.test_archive_audit_log import Context
from tests.unit.audit.months import BEGIN, END, make_month


@pytest.fixture(autouse=True)
def _fresh_trail() -> None:
    reporting.connect_trail.cache_clear()


def wanted(since: datetime = BEGIN, until: datetime = END) -> dict[str, str]:
    return {"since": since.isoformat(), "until": until.isoformat(), "framework": "hipaa"}


@pytest.mark.requirement("D7.4", "N13")
def test_a_report_is_made_written_and_recorded(cloud: CloudLog) -> None:
    """As a page and as data; the event in the log carries the digest of the page."""
    cloud.events = make_month()
    cloud.publish()
    answer = reporting.handler(wanted(), Context())
    name = "reports/hipaa-2026-03-01-2026-03-31"
    assert answer == {"report": f"s3://{BUCKET}/{name}.html", "events": len(cloud.events), "intact": True}
    page = cloud.s3.get_object(Bucket=BUCKET, Key=f"{name}.html")["Body"].read()
    data = cloud.s3.get_object(Bucket=BUCKET, Key=f"{name}.json")["Body"].read()
    assert b"The log is intact and complete" in page
    assert ComplianceReport.model_validate_json(data).events == len(cloud.events)
    (recorded,) = cloud.take_recorded()
    assert (recorded.action, recorded.succeeded) == ("report.create", True)
    assert recorded.details["html_sha256"] == hashlib.sha256(page).hexdigest()


@pytest.mark.requirement("D7.4")
def test_without_a_period_it_is_the_month_before(cloud: CloudLog) -> None:
    """As the schedule calls it; a month without events is a report that says so."""
    cloud.events = make_month()[:10]
    cloud.publish()
    assert reporting.handler({}, Context())["events"] == 0
    (page,) = [key for key in cloud.list_keys("reports/") if key.endswith(".html")]
    assert b"There are no events in this period." in cloud.s3.get_object(Bucket=BUCKET, Key=page)["Body"].read()


def test_a_log_that_is_not_intact_is_reported_as_such(cloud: CloudLog) -> None:
    cloud.events = make_month()[:300]
    cloud.publish()
    bundle = cloud.s3.get_object(Bucket=BUCKET, Key="tile/entries/000")["Body"].read()
    changed = bundle.replace(b"hospital-a", b"hospital-x", 1)
    cloud.s3.put_object(Bucket=BUCKET, Key="tile/entries/000", Body=changed)
    assert reporting.handler(wanted(), Context())["intact"] is False
    (recorded,) = cloud.take_recorded()
    assert (recorded.succeeded, recorded.reason) == (False, "the log is not intact, and the report says so")


@pytest.mark.requirement("D7.4")
def test_a_log_that_is_too_long_for_one_run_is_reported_by_several(cloud: CloudLog) -> None:
    """Each leaves what it has added up, and the next one's event; the page is the one that a single run makes."""
    cloud.events = make_month()
    cloud.publish()
    tap = tap_bus(cloud)
    out_of_time = Context(milliseconds_left=1000)
    answers = [reporting.handler(wanted(), out_of_time)]
    while answers[-1]["report"] is None:
        (event,) = take_from_bus(cloud, tap)
        assert event["detail-type"] == "ComplianceReportUnfinished"
        answers.append(reporting.handler(event, out_of_time))
    assert [each.get("read") for each in answers] == [256, 512, 768, 1024, 1280, None][-len(answers) :]
    assert (answers[-1]["events"], answers[-1]["intact"]) == (len(cloud.events), True)
    in_parts = read_report(cloud, answers[-1])
    assert read_report(cloud, reporting.handler(wanted(), Context())) == in_parts
    assert take_from_bus(cloud, tap) == []


@pytest.mark.parametrize("damaged", [b"{}\n{}", b"{", b""])
def test_a_part_that_cannot_be_read_is_begun_again(cloud: CloudLog, damaged: bytes) -> None:
    """And written over: the report comes to its end all the same, with every event once."""
    cloud.events = make_month()[:600]
    cloud.publish()
    tap = tap_bus(cloud)
    out_of_time = Context(milliseconds_left=1000)
    assert reporting.handler(wanted(), out_of_time)["read"] == 256
    take_from_bus(cloud, tap)
    (path,) = [
        each["Key"] for each in cloud.s3.list_objects_v2(Bucket=TRUST_BUCKET, Prefix="reporter/").get("Contents", [])
    ]
    cloud.s3.put_object(Bucket=TRUST_BUCKET, Key=path, Body=damaged)
    assert reporting.handler(wanted(), out_of_time)["read"] == 256
    assert reporting.handler(wanted(), out_of_time)["read"] == 512
    assert reporting.handler(wanted(), Context())["events"] == 600


def test_a_part_that_could_not_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused when it is kept, not by the next run."""
    monkeypatch.setattr(parts, "ACTIVITY_LIMIT_BYTES", 10)
    memory = parts.PartMemory(NoDocuments(), since=BEGIN, until=END, framework=Framework.ALL)
    with pytest.raises(MalformedActivityError, match="at most 10"):
        memory.save(parts.Part(begin_activity(BEGIN, END), cast("CheckCursor", object())))


class NoDocuments:
    """Holds nothing, and takes nothing."""

    def find(self, path: str, *, limit_bytes: int) -> None: ...

    def replace(self, path: str, data: bytes, *, etag: str | None) -> None:
        raise AssertionError((path, data, etag))


def read_report(cloud: CloudLog, answer: dict[str, Any]) -> ComplianceReport:
    key = answer["report"].removeprefix(f"s3://{BUCKET}/").replace(".html", ".json")
    report = ComplianceReport.model_validate_json(cloud.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    return report.model_copy(update={"made_at": BEGIN})


def tap_bus(cloud: CloudLog) -> str:
    """A queue that takes what is put on the bus."""
    url = str(cloud.sqs.create_queue(QueueName="tap")["QueueUrl"])
    events = boto3.client("events")
    events.put_rule(Name="tap", EventPattern=json.dumps({"source": ["pqtransfer"]}))
    arn = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule="tap", Targets=[{"Id": "tap", "Arn": arn}])
    return url


def take_from_bus(cloud: CloudLog, url: str) -> list[dict[str, Any]]:
    messages = cloud.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for each in messages:
        cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return [json.loads(each["Body"]) for each in messages]
