"""A busy or broken network: what is tried again and recovers, and what is given up after the bounded attempts."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import pytest

from pqtransfer.aws.failures import CloudAccessDeniedError, CloudUnavailableError
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.transfers.folder import Folder, PartsChangedError
from pqtransfer.transfers.ledger import Lease
from pqtransfer.transfers.upload import complete_upload, make_tag
from tests.fakes.clocks import BEGINNING
from tests.fakes.cloud_server import Fault
from tests.fakes.folders import fill_with, read_whole
from tests.integration.transfers.conftest import SITE_BUCKET, Cloud
from tests.integration.transfers.test_ledger import FAILURE, IDS, PROGRESS, RESULT, make_request

Step: TypeAlias = Callable[[DynamoTransferLedger, Lease], object]
DATA = secrets.token_bytes(300_000)
FAULTS = ["500 InternalError", "503 SlowDown", "503 ServiceUnavailable", "reset", "lost answer"]


def write_part(folder: Folder, upload_id: str) -> None:
    digest = hashlib.sha256(DATA).digest()
    place = ByteRange(0, len(DATA))
    folder.write_part("payload", upload_id, index=0, byte_range=place, fill=fill_with(DATA, sha256=digest))


@pytest.mark.parametrize("kind", FAULTS)
def test_a_part_gets_through(cloud: Cloud, quick_retries: int, kind: str) -> None:
    """One attempt fewer fails than there are: the part is stored, whole."""
    folder = cloud.folder()
    upload_id = folder.start_upload("payload", tag="t", size_bytes=0)
    cloud.server.faults = [Fault(kind, "PUT", "partNumber=1", times=quick_retries - 1)]
    write_part(folder, upload_id)
    ((_, part),) = (folder.list_parts("payload", upload_id) or {}).items()
    assert part.size_bytes == len(DATA)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_part_is_given_up(cloud: Cloud, quick_retries: int, kind: str) -> None:
    """After the last attempt: an error that says what was being done, and that later may be better."""
    folder = cloud.folder()
    upload_id = folder.start_upload("payload", tag="t", size_bytes=0)
    cloud.server.faults = [Fault(kind, "PUT", "partNumber=1", times=99)]
    with pytest.raises(CloudUnavailableError, match="write part 0 of s3://models/payload"):
        write_part(folder, upload_id)
    assert cloud.server.faults[0].times == 99 - quick_retries


@pytest.mark.parametrize("kind", ["500 InternalError", "503 SlowDown", "reset", "truncate"])
def test_a_range_gets_through(cloud: Cloud, quick_retries: int, kind: str) -> None:
    """Also when the body ends early."""
    cloud.put("model", DATA)
    folder = cloud.folder(SITE_BUCKET)
    source = folder.open(folder.find("model"))
    cloud.server.faults = [Fault(kind, "GET", "/model", times=quick_retries - 1)]
    assert read_whole(source, ByteRange(1000, 250_000)) == DATA[1000:250_000]


@pytest.mark.parametrize("kind", ["500 InternalError", "503 SlowDown", "reset", "truncate"])
def test_a_range_is_given_up(cloud: Cloud, kind: str) -> None:
    """No endless loop, and no short read taken for the whole."""
    cloud.put("model", DATA)
    folder = cloud.folder(SITE_BUCKET)
    source = folder.open(folder.find("model"))
    cloud.server.faults = [Fault(kind, "GET", "/model", times=99)]
    with pytest.raises(CloudUnavailableError, match="s3://site/model"):
        read_whole(source, ByteRange(1000, 250_000))
    assert cloud.server.faults[0].times > 90


def test_access_denied_is_not_tried_again(cloud: Cloud) -> None:
    """It would be denied again."""
    cloud.put("model", DATA)
    folder = cloud.folder(SITE_BUCKET)
    source = folder.open(folder.find("model"))
    cloud.server.faults = [Fault("403 AccessDenied", "GET", "/model", times=99)]
    with pytest.raises(CloudAccessDeniedError, match="s3://site/model"):
        read_whole(source, ByteRange(0, 10))
    assert cloud.server.faults[0].times == 98


def test_a_lost_answer_to_a_completion(cloud: Cloud) -> None:
    """The object is there; the second attempt finds it, and its tag says that it is ours."""
    folder = cloud.folder()
    upload_id = folder.start_upload("payload", tag=make_tag(b"header"), size_bytes=0)
    write_part(folder, upload_id)
    parts = folder.list_parts("payload", upload_id) or {}
    cloud.server.faults = [Fault("lost answer", "POST", "uploadId")]
    try:
        stored = complete_upload(folder, "payload", upload_id, parts, floe_header=b"header")
    except PartsChangedError:  # as a store may answer; the next round finds the object by its tag
        stored = folder.find("payload")
    assert (stored.size_bytes, stored.tag) == (len(DATA), make_tag(b"header"))


def claim(cloud: Cloud) -> Lease:
    cloud.ledger.submit(make_request(IDS[0]), at=BEGINNING)
    until = BEGINNING + timedelta(seconds=60)
    return cloud.ledger.claim(IDS[0], owner="worker-1", at=BEGINNING, lease_expires_at=until)


def test_a_lost_answer_to_a_claim(cloud: Cloud) -> None:
    """The second attempt finds its own claim, and takes it: the transfer need not wait for the lease to end."""
    cloud.ledger.submit(make_request(IDS[0]), at=BEGINNING)
    cloud.server.faults = [Fault("lost answer", "POST")]
    lease = claim(cloud)
    record = cloud.ledger.get(IDS[0])
    assert (lease.attempt, lease.tries) == (record.attempt, record.tries) == (1, 1)


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (lambda ledger, lease: ledger.complete(lease, at=BEGINNING, result=RESULT, progress=PROGRESS), "COMPLETED"),
        (lambda ledger, lease: ledger.fail(lease, at=BEGINNING, failure=FAILURE), "FAILED"),
        (lambda ledger, lease: ledger.release(lease, at=BEGINNING, error=None, progress=PROGRESS), "RUNNING"),
        (lambda ledger, _lease: ledger.cancel(IDS[0], at=BEGINNING), "CANCELLED"),
    ],
)
def test_a_lost_answer_to_a_step(cloud: Cloud, step: Step, state: str) -> None:
    """It was taken, and taking it again is a success: a finished transfer is not reported as lost."""
    lease = claim(cloud)
    cloud.server.faults = [Fault("lost answer", "POST")]
    step(cloud.ledger, lease)
    record = cloud.ledger.get(IDS[0])
    assert record.state == state
    assert record.tries == (0 if state == "RUNNING" else 1)
