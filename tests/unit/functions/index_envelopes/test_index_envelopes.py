"""Which stream records name a container to look at, and how older containers are read, however often it is cut off."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel

from functions.index_envelopes.backfill import Backfill, BackfillReport
from functions.index_envelopes.ended import Ended, find_ended
from pqtransfer.keys.dependents import DependentsUnknownError
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, Folder
from pqtransfer.transfers.request import TransferRequest
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID, make_container, make_identity
from tests.fakes.dependencies import InMemoryDependencyIndex
from tests.fakes.folders import InMemoryFolder

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CONTAINER = f"s3://models/transfers/{OTHER_TRANSFER_ID}/"
BOB = make_identity("bob").kem.public_key.key_id


def record(state: str, **fields: Any) -> DynamoDBStreamRecordModel:
    known = {
        "transfer_id": TRANSFER_ID,
        "kind": "encrypt",
        "source": "s3://site/model",
        "sender": "alice",
        "recipients": ("bob",),
        "correlation_id": "c-1",
    }
    request = TransferRequest.model_validate({**known, **fields})
    image = {"transfer_id": {"S": TRANSFER_ID}, "state": {"S": state}, "request": {"S": request.to_json()}}
    return make_record(image)


def make_record(image: dict[str, Any]) -> DynamoDBStreamRecordModel:
    return DynamoDBStreamRecordModel.model_validate(
        {
            "eventID": "1",
            "eventName": "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-central-1",
            "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/t/stream/s",
            "dynamodb": {
                "ApproximateCreationDateTime": 1767322000,
                "Keys": {"transfer_id": {"S": TRANSFER_ID}},
                "NewImage": image,
                "SequenceNumber": "1",
                "SizeBytes": 1,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        }
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (record("COMPLETED"), Ended(TRANSFER_ID, has_container=True, correlation_id="c-1")),
        (record("COMPLETED", kind="upload", source=None), Ended(TRANSFER_ID, has_container=True, correlation_id="c-1")),
        (record("FAILED"), Ended(TRANSFER_ID, has_container=False, correlation_id="c-1")),
        (record("CANCELLED"), Ended(TRANSFER_ID, has_container=False, correlation_id="c-1")),
        (record("RUNNING"), None),
        (
            record("COMPLETED", kind="rewrap", source=CONTAINER),
            Ended(OTHER_TRANSFER_ID, has_container=True, correlation_id="c-1"),
        ),
        (
            record("FAILED", kind="rewrap", source=CONTAINER),
            Ended(OTHER_TRANSFER_ID, has_container=True, correlation_id="c-1"),
        ),
        (record("COMPLETED", kind="rewrap", source="s3://models/elsewhere/"), None),
        (record("COMPLETED", kind="verify", source=CONTAINER, recipients=()), None),
        (make_record({"state": {"S": "COMPLETED"}, "request": {"S": "{}"}}), None),
        (make_record({"state": {"N": "1"}}), None),
    ],
)
def test_ended_transfers_name_their_container(seen: DynamoDBStreamRecordModel, expected: Ended | None) -> None:
    """Those that made or rewrapped one; what no ledger wrote names nothing."""
    assert find_ended(seen) == expected


class OldContainers:
    """Containers of before there was an index, by id."""

    def __init__(self, *transfer_ids: str) -> None:
        self.folders = {each: self._make(each) for each in transfer_ids}
        self.opened: list[str] = []

    def _make(self, transfer_id: str) -> InMemoryFolder:
        folder, made = InMemoryFolder(), make_container(b"model", transfer_id=transfer_id)
        folder.put(MANIFEST_NAME, made.manifest_json)
        folder.put(ENVELOPE_NAME, made.envelope_json)
        return folder

    def list_ids(self, *, after: str | None) -> Iterator[str]:
        return iter(sorted(each for each in self.folders if after is None or each > after))

    def container(self, prefix: str) -> Folder:
        transfer_id = prefix.split("/")[1]
        self.opened.append(transfer_id)
        return self.folders[transfer_id]


def test_older_containers_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, from where the last run ended; until then nobody is told that a key is not needed."""
    monkeypatch.setattr("functions.index_envelopes.reading.CONTAINERS_AT_A_TIME", 1)
    index, containers = InMemoryDependencyIndex(complete=False), OldContainers(TRANSFER_ID, OTHER_TRANSFER_ID)
    with pytest.raises(DependentsUnknownError):
        index.has_dependents(BOB)
    clock = count()
    backfill = Backfill(index=index, containers=containers, monotonic=lambda: float(next(clock)))
    assert backfill.run(now=NOW, seconds=0) == BackfillReport(complete=False, read=1)
    assert backfill.run(now=NOW, seconds=60) == BackfillReport(complete=True, read=1)
    assert backfill.run(now=NOW, seconds=60) == BackfillReport(complete=True)
    assert containers.opened == [TRANSFER_ID, OTHER_TRANSFER_ID]
    assert index.has_dependents(BOB)
    assert not index.has_dependents("aa" * 32)


def test_a_damaged_container_does_not_hold_up_the_others() -> None:
    """Nobody can open it, so no key is kept for it; it is counted."""
    index, containers = InMemoryDependencyIndex(complete=False), OldContainers(TRANSFER_ID, OTHER_TRANSFER_ID)
    containers.folders[TRANSFER_ID].put(ENVELOPE_NAME, b"{}")
    report = Backfill(index=index, containers=containers).run(now=NOW, seconds=60)
    assert report == BackfillReport(complete=True, read=2, damaged=1)
    assert {row.transfer_id for row in index.rows} == {OTHER_TRANSFER_ID}
