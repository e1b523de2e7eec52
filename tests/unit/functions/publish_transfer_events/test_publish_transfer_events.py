"""Changes of state on the stream become events on the bus; what the bus refuses is named for the next try."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.publish_transfer_events import handler as module
from functions.publish_transfer_events.handler import EventNotPublishedError, handler, publish
from functions.publish_transfer_events.settings import Settings
from functions.publish_transfer_events.state_change import StateChange, find_state_change

ROW = {
    "transfer_id": {"S": "t-1"},
    "sender": {"S": "hospital-a"},
    "recipients": {"L": [{"S": "hospital-b"}, {"S": "hospital-c"}]},
    "correlation_id": {"S": "c-1"},
    "changed_at": {"S": "2026-01-02T03:04:05.000000Z"},
}
FAILURE = {"M": {"code": {"S": "SourceChanged"}, "message": {"S": "it changed"}}}


def image(state: str, **more: Any) -> dict[str, Any]:
    return {**ROW, "state": {"S": state}, **more}


def record(*, new: dict[str, Any] | None, old: dict[str, Any] | None, number: str = "1") -> dict[str, Any]:
    name = "REMOVE" if new is None else "INSERT" if old is None else "MODIFY"
    images = {"NewImage": new, "OldImage": old}
    return {
        "eventID": number,
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/t/stream/s",
        "dynamodb": {
            "ApproximateCreationDateTime": 1767322000,
            "Keys": {"transfer_id": {"S": "t-1"}},
            **{name: value for name, value in images.items() if value is not None},
            "SequenceNumber": number,
            "SizeBytes": 1,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def find(*, new: dict[str, Any] | None, old: dict[str, Any] | None) -> StateChange | None:
    return find_state_change(DynamoDBStreamRecordModel.model_validate(record(new=new, old=old)))


@dataclass
class Bus:
    """An event bus in memory, which can refuse some transfers."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    refuses: frozenset[str] = frozenset()

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3 calls it so
        answers = []
        for entry in Entries:
            if any(name in entry["Detail"] for name in self.refuses):
                answers.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"})
            else:
                self.entries.append(entry)
                answers.append({"EventId": str(len(self.entries))})
        return {"FailedEntryCount": 0, "Entries": answers}


@dataclass
class Context:
    function_name: str = "publish"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:publish"
    aws_request_id: str = "r-1"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, image("SUBMITTED"), (None, "SUBMITTED")),
        (image("SUBMITTED"), image("RUNNING"), ("SUBMITTED", "RUNNING")),
        (image("RUNNING"), image("RUNNING", progress={"S": "{}"}), None),  # progress is no change of state
        (image("RUNNING"), image("COMPLETED"), ("RUNNING", "COMPLETED")),
        (image("COMPLETED"), None, None),  # the row expired
    ],
)
def test_each_change_of_state_is_found(
    old: dict[str, Any] | None, new: dict[str, Any] | None, expected: tuple[str | None, str] | None
) -> None:
    """A new row and each new state count; progress and removal do not."""
    change = find(new=new, old=old)
    assert (change and (change.previous_state, change.state)) == expected


def test_a_failure_tells_why() -> None:
    """The reason goes with FAILED, and with nothing else."""
    failed = find(new=image("FAILED", failure=FAILURE), old=image("RUNNING"))
    assert failed is not None
    assert failed.reason == {"code": "SourceChanged", "message": "it changed"}
    running = find(new=image("RUNNING", failure=FAILURE), old=image("SUBMITTED"))
    assert running is not None
    assert running.reason is None


def test_an_event_says_which_transfer_and_who() -> None:
    """Source and type as documented; the time is the time of the change."""
    bus = Bus()
    change = find(new=image("RUNNING"), old=image("SUBMITTED"))
    assert change is not None
    publish(change, events=bus, bus="the-bus")
    (entry,) = bus.entries
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == (
        "the-bus",
        "pqtransfer",
        "TransferStateChanged",
    )
    assert StateChange.model_validate_json(entry["Detail"]) == change
    assert entry["Time"].isoformat() == "2026-01-02T03:04:05+00:00"


def test_a_refused_event_is_an_error() -> None:
    """The call to the bus succeeds even when the bus did not take the entry."""
    change = find(new=image("RUNNING"), old=None)
    assert change is not None
    with pytest.raises(EventNotPublishedError, match="ThrottlingException"):
        publish(change, events=Bus(refuses=frozenset({"t-1"})), bus="the-bus")


def test_a_batch_names_the_records_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken is not sent again; the stream resumes at the record that failed."""
    bus = Bus(refuses=frozenset({"t-2"}))
    monkeypatch.setattr(module, "_events_client", lambda: bus)
    monkeypatch.setattr(module, "_settings", lambda: Settings(event_bus="the-bus"))
    good = record(new=image("RUNNING"), old=None, number="1")
    bad = record(new=image("RUNNING", transfer_id={"S": "t-2"}), old=None, number="2")
    answer = handler({"Records": [good, bad]}, cast(LambdaContext, Context()))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert len(bus.entries) == 1
