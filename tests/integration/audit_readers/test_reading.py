"""The log in S3 is read as the one on disk is: verified, searched, proven, copied."""

from pathlib import Path

import pytest

from pqtransfer.audit.errors import DamagedTileError, TileMissingError
from pqtransfer.audit.findings import FindingKind
from pqtransfer.audit.selection import EventFilter
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_trust import S3TrustBucket
from pqtransfer.aws.failures import CloudNotFoundError
from pqtransfer.sdk.audit_directory import DirectoryLog
from pqtransfer.sdk.audit_log import AuditLog, check_proof
from tests.integration.audit_readers.conftest import BUCKET, TRUST_BUCKET, CloudLog
from tests.unit.audit.keys import ORIGIN, POLICY
from tests.unit.audit.log_directories import make_events

EVENTS = make_events(300)


@pytest.fixture
def log(cloud: CloudLog) -> AuditLog:
    cloud.events = list(EVENTS)
    cloud.publish()
    return AuditLog(S3LogFiles(cloud.s3, bucket=BUCKET), POLICY)


@pytest.mark.requirement("D4.6")
def test_the_log_of_a_deployment_is_read_under_its_published_keys(
    cloud: CloudLog, log: AuditLog, tmp_path: Path
) -> None:
    """Verified, searched, proven, and copied to be checked offline."""
    assert S3TrustBucket(cloud.s3, bucket=TRUST_BUCKET).load_keys(ORIGIN).to_policy() == POLICY
    assert log.verify().report.findings == []
    assert [found.event for found in log.search(EventFilter(actor="hospital-b"))] == [
        event for event in EVENTS if event.actor == "hospital-b"
    ]
    assert check_proof(log.prove(299).to_bytes(), POLICY).event == EVENTS[299]
    log.fetch(tmp_path / "copy")
    assert AuditLog(DirectoryLog(tmp_path / "copy"), POLICY).verify().report.findings == []


def test_what_is_wrong_in_the_bucket_is_named(cloud: CloudLog, log: AuditLog) -> None:
    cloud.s3.delete_object(Bucket=BUCKET, Key="tile/entries/000")
    assert FindingKind.ENTRIES_MISSING in [each.kind for each in log.verify().report.findings]


def test_an_object_that_is_too_large_is_damage(cloud: CloudLog) -> None:
    """It is not read whole."""
    cloud.s3.put_object(Bucket=BUCKET, Key="tile/0/000", Body=bytes(9000))
    with pytest.raises(DamagedTileError):
        S3LogFiles(cloud.s3, bucket=BUCKET).read_tile("tile/0/000")
    with pytest.raises(TileMissingError):
        S3LogFiles(cloud.s3, bucket=BUCKET).read_tile("tile/0/001")


def test_a_bucket_that_is_not_there_is_no_empty_log(cloud: CloudLog) -> None:
    with pytest.raises(CloudNotFoundError):
        S3LogFiles(cloud.s3, bucket="nowhere").find_checkpoint()
