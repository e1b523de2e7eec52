"""The function that archives and purges does it in S3, under the bucket's locks, and the log tells of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.archive_audit_log import handler as archive
from functions.archive_audit_log.settings import ArchiveAuditLogSettings
from pqtransfer.audit.checking import check_log
from pqtransfer.audit.errors import BundleLockedError
from pqtransfer.audit.upkeep import RetentionOutcome
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.environment import load_settings
from tests.integration.audit_readers.conftest import BUCKET, CloudLog
from tests.unit.audit.keys import POLICY
from tests.unit.audit.samples import make_event

EVENTS = [
    make_event(producer="worker/a", sequence=number, event_id=f"0198c0de-0000-7000-8000-{number:012x}")
    for number in range(1, 601)
]


@dataclass
class Context:
    """What the handler needs of a Lambda's context."""

    function_name: str = "archive"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:archive"
    aws_request_id: str = "00000000-0000-0000-0000-000000000001"
    milliseconds_left: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds_left


@pytest.fixture(autouse=True)
def _fresh_trail() -> None:
    archive.connect_trail.cache_clear()


def run(days: int) -> RetentionOutcome:
    """A run so many days from now."""
    upkeep = archive.connect_upkeep(load_settings(ArchiveAuditLogSettings))
    return upkeep.run(now=datetime.now(UTC) + timedelta(days=days), correlation_id="retention-1")


def publish(cloud: CloudLog) -> None:
    """What was recorded comes into the log, by the numbers of its producer."""
    cloud.events += cloud.take_recorded()
    cloud.publish()


@pytest.mark.requirement("D7.6", "S4.6")
def test_the_log_is_archived_and_purged_by_its_rules(cloud: CloudLog) -> None:
    """Tagged for the lifecycle rule; announced, then deleted with every version and partial bundle; still verified."""
    cloud.events = EVENTS[:300]
    cloud.publish()  # leaves a partial bundle behind, that a full one replaces
    cloud.events = list(EVENTS)
    cloud.publish()
    assert run(0) == RetentionOutcome()
    first = run(2)
    assert (first.archived, first.announced, first.purged) == (512, 512, 0)
    tags = cloud.s3.get_object_tagging(Bucket=BUCKET, Key="tile/entries/001")["TagSet"]
    assert tags == [{"Key": "retention", "Value": "archive"}]
    publish(cloud)
    second = run(3)
    assert (second.purged, second.first_kept) == (512, 512)
    assert cloud.list_versions("tile/entries/000") == []
    assert cloud.list_versions("tile/entries/001") == []
    assert {"tile/0/000", "tile/0/001"} <= set(cloud.list_keys("tile/0/"))
    checked = check_log(S3LogFiles(cloud.s3, bucket=BUCKET), POLICY)
    assert (checked.report.findings, checked.first_kept) == ([], 512)
    recorded = [event for event in cloud.events if event.producer.startswith("archive-audit-log")]
    assert [event.action for event in recorded] == ["audit.archive", "audit.purge"]


@pytest.mark.requirement("D7.6")
def test_a_legal_hold_in_the_bucket_wins(cloud: CloudLog) -> None:
    cloud.events = list(EVENTS)
    cloud.publish()
    hold: Any = {"Status": "ON"}
    cloud.s3.put_object_legal_hold(Bucket=BUCKET, Key="tile/entries/001", LegalHold=hold)
    assert (run(2).announced, run(2).held_at) == (256, 256)
    publish(cloud)
    assert run(3).purged == 256
    assert cloud.list_versions("tile/entries/001") == ["tile/entries/001"]


@pytest.mark.requirement("D7.6")
def test_a_lock_that_has_not_ended_wins(cloud: CloudLog) -> None:
    """The function has no right to lift it, and says which bundle it is."""
    cloud.events = list(EVENTS)
    cloud.publish()
    lock: Any = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=30)}
    cloud.s3.put_object_retention(Bucket=BUCKET, Key="tile/entries/000", Retention=lock)
    run(2)
    publish(cloud)
    with pytest.raises(BundleLockedError, match="tile/entries/000"):
        run(3)
    assert check_log(S3LogFiles(cloud.s3, bucket=BUCKET), POLICY).report.is_intact


def test_the_handler_runs_on_a_schedule_and_dry(cloud: CloudLog) -> None:
    """Nothing is due of a new log, and of none."""
    cloud.events = list(EVENTS)
    cloud.publish()
    answer = archive.handler({}, Context())
    assert (answer["archived"], answer["purged"], answer["announced"]) == (0, 0, 0)
    assert archive.handler({"dry_run": True}, Context())["announced"] == 0
    assert cloud.take_recorded() == []


def test_of_a_log_that_was_never_written_nothing_is_asked(cloud: CloudLog) -> None:
    cloud.s3.delete_object(Bucket="audit-trust", Key="keys/log")
    assert archive.handler({}, Context()) == {}
