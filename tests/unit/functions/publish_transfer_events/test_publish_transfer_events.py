"""Changes of state on the stream become events on the bus; what cannot be put there now is named for the next try."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.publish_transfer_events import handler as module
from functions.publish_transfer_events.handler import SOURCE, handler
from functions.publish_transfer_events.state_change import StateChange, UnreadableRowError, find_state_change
from pqtransfer.audit.events import AuditEvent, EventKind, Severity
from pqtransfer.audit.producing import ProducerTrail
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.aws.events import EventBridgeBus
from tests.fakes.audit_queues import InMemoryEventSink
from tests.fakes.trails import InMemoryAuditTrail
from tests.ocsf import require_all_ocsf

ROW = {
    "transfer_id": {"S": "t-1"},
    "sender": {"S": "hospital-a"},
    "recipients": {"L": [{"S": "hospital-b"}, {"S": "hospital-c"}]},
    "correlation_id": {"S": "c-1"},
    "changed_at": {"S": "2026-01-02T03:04:05.000000Z"},
}
UNREACHABLE, TOO_LARGE = "unreachable", "the whole call: too large"
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
class EventsClient:
    """EventBridge in memory, which refuses some transfers with a code each; UNREACHABLE: it does not even answer."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3 calls it so
        answers = []
        for entry in Entries:
            code = self.refuses.get(json.loads(entry["Detail"])["transfer_id"])
            if code == UNREACHABLE:
                raise EndpointConnectionError(endpoint_url="https://events")
            if code == TOO_LARGE:
                refusal = {"Code": "ValidationException", "Message": "Total size of the entries is over the limit"}
                raise ClientError({"Error": refusal, "ResponseMetadata": {"HTTPStatusCode": 400}}, "PutEvents")  # type: ignore[typeddict-item]
            if code is None:
                self.entries.append(entry)
            answers.append({"EventId": "e"} if code is None else {"ErrorCode": code, "ErrorMessage": "no"})
        return {"FailedEntryCount": len(self.refuses), "Entries": answers}

    @property
    def published(self) -> list[str]:
        """The transfers whose change arrived."""
        return [json.loads(entry["Detail"])["transfer_id"] for entry in self.entries]


@pytest.fixture
def trail(monkeypatch: pytest.MonkeyPatch) -> InMemoryAuditTrail:
    """Where the function records what it sees."""
    made = InMemoryAuditTrail()
    monkeypatch.setattr(module, "_connect_trail", lambda: made)
    return made


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, trail: InMemoryAuditTrail) -> EventsClient:
    """What the function puts events on."""
    made = EventsClient()
    bus = EventBridgeBus(made, bus="the-bus", source=SOURCE)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "_connect_bus", lambda: bus)
    return made


def invoke(*records: dict[str, Any]) -> list[str]:
    """Run the function over the records; the numbers of those that it asks for again."""
    answer: Any = handler({"Records": list(records)}, cast(LambdaContext, Context()))
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


def running(transfer_id: str, *, number: str) -> dict[str, Any]:
    """A transfer that began to run."""
    return record(new=image("RUNNING", transfer_id={"S": transfer_id}), old=image("SUBMITTED"), number=number)


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
        (image("COMPLETED"), None, None),  # somebody deleted the row
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


def test_an_event_says_which_transfer_and_who(client: EventsClient) -> None:
    """Source and type as documented; the time is the time of the change."""
    assert invoke(record(new=image("RUNNING"), old=image("SUBMITTED"))) == []
    (entry,) = client.entries
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == (
        "the-bus",
        "pqtransfer",
        "TransferStateChanged",
    )
    assert StateChange.model_validate_json(entry["Detail"]) == find(new=image("RUNNING"), old=image("SUBMITTED"))
    assert entry["Time"].isoformat() == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "InternalFailure",
        "AccessDeniedException",
        "RedactionFailure",
        "NotAuthorizedForSourceException",
        "NobodyHasHeardOfIt",  # a code without an HTTP status tells nothing about the next try
        UNREACHABLE,
    ],
)
def test_a_batch_names_the_records_that_may_succeed_later(client: EventsClient, code: str) -> None:
    """What was taken is not sent again; the stream resumes at the record that failed."""
    client.refuses["t-2"] = code
    assert invoke(running("t-1", number="1"), running("t-2", number="2")) == ["2"]
    assert client.published == ["t-1"]


def test_a_batch_of_failures_alone_is_a_failure(client: EventsClient) -> None:
    """Then nothing of it was done, and the whole of it is tried again."""
    client.refuses["t-1"] = "ThrottlingException"
    with pytest.raises(BatchProcessingError, match="no"):
        invoke(running("t-1", number="1"))


MALFORMED: list[dict[str, Any]] = [
    {"transfer_id": {"S": "t-2"}},
    {**ROW, "state": {"N": "1"}},
    {**ROW, "state": {"NULL": True}},
    image("RUNNING", changed_at={"S": "yesterday"}),
    image("RUNNING", changed_at={"S": "2026-01-02T03:04:05"}),  # in no time zone
    *(
        image("RUNNING", changed_at={"S": at})
        for at in (
            "0001-01-01T00:00:00+14:00",  # in UTC before the first year
            "9999-12-31T23:59:59-14:00",  # in UTC after the last one
            "0001-01-01T00:00:00Z",
            "1999-12-31T23:59:59Z",
            "2200-01-01T00:00:00Z",
        )
    ),
    image("RUNNING", recipients={"S": "everyone"}),
    image("RUNNING", sender={"M": {}}),
    {"transfer_id": {"S": "t-2"}, "state": {"S": "FAILED"}, "failure": {"S": "?"}},
]


@pytest.mark.parametrize("malformed", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("before", [None, {}, {"state": {"N": "1"}}, image("SUBMITTED")], ids=range(4))
def test_a_row_that_can_never_be_read_holds_nothing_up(
    client: EventsClient, caplog: pytest.LogCaptureFixture, malformed: dict[str, Any], before: dict[str, Any] | None
) -> None:
    """Whoever may submit may also write nonsense: it is logged and left out, and the transfers behind it go on."""
    bad = record(new=malformed, old=before, number="1")
    assert invoke(bad, running("t-3", number="2")) == []
    assert client.published == ["t-3"]
    (error,) = [vars(each) for each in caplog.records if each.levelname == "ERROR"]
    assert (error["error_code"], error["sequence_number"]) == ("UnreadableRow", "1")
    assert "find out who wrote it" in error["reason"]


@pytest.mark.parametrize("at", ["2000-01-01T00:00:00Z", "2199-12-31T23:59:59Z", "2000-01-01T14:00:00+14:00"])
def test_the_first_and_the_last_time_that_is_told(client: EventsClient, at: str) -> None:
    """Two centuries, whatever the zone."""
    assert invoke(record(new=image("RUNNING", changed_at={"S": at}), old=None)) == []
    assert client.entries[0]["Time"] == datetime.fromisoformat(at)


def test_what_a_malformed_row_holds_is_not_logged() -> None:
    """Its id and the names of the fields are enough."""
    with pytest.raises(UnreadableRowError) as caught:
        find(new=image("RUNNING", sender={"N": "4711"}), old=None)
    assert "sender" in str(caught.value)
    assert "4711" not in str(caught.value)


def test_a_row_that_was_malformed_and_is_mended_is_told(client: EventsClient) -> None:
    """The state before is then not known."""
    assert invoke(record(new=image("RUNNING"), old={"state": {"N": "1"}})) == []
    assert "previous_state" not in json.loads(client.entries[0]["Detail"])


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidArgument", TOO_LARGE])
def test_an_event_that_the_bus_never_takes_holds_nothing_up(
    client: EventsClient, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    """Too large, for instance: no later try would end otherwise."""
    client.refuses["t-2"] = code
    assert invoke(running("t-2", number="1"), running("t-3", number="2")) == []
    assert client.published == ["t-3"]
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == ["state change skipped"]


@pytest.mark.requirement("D7.2", "S4.1", "S4.5")
def test_each_change_is_on_record(client: EventsClient, trail: InMemoryAuditTrail) -> None:
    """Which transfer, from which state to which, under the correlation id of its sender; why, when it failed."""
    failed = record(new=image("FAILED", failure=FAILURE), old=image("RUNNING"), number="2")
    assert invoke(record(new=image("RUNNING"), old=image("SUBMITTED")), failed) == []
    require_all_ocsf(trail.events)
    begun, ended = trail.facts
    assert {each.action for each in trail.facts} == {"transfer.update"}
    assert (begun.target.id, begun.actor, begun.correlation_id) == ("t-1", "hospital-a", "c-1")
    assert (begun.details["previous_state"], begun.details["state"]) == ("SUBMITTED", "RUNNING")
    assert (begun.details["record"], begun.details["recipients"]) == ("1", "hospital-b hospital-c")
    assert (ended.details["code"], ended.details["message"]) == ("SourceChanged", "it changed")


@pytest.mark.requirement("D7.1")
def test_what_cannot_be_recorded_is_not_published(client: EventsClient, trail: InMemoryAuditTrail) -> None:
    """The stream gives it again until the audit log has it."""
    trail.failure = AuditUnavailableError("the queue does not answer")
    with pytest.raises(BatchProcessingError):
        invoke(running("t-1", number="1"))
    assert client.published == []
    trail.failure = None
    assert invoke(running("t-1", number="1")) == []
    assert client.published == ["t-1"]


@pytest.mark.requirement("D7.3")
@pytest.mark.parametrize("malformed", MALFORMED, ids=range(len(MALFORMED)))
def test_a_row_that_no_ledger_wrote_is_a_finding(
    client: EventsClient, trail: InMemoryAuditTrail, malformed: dict[str, Any]
) -> None:
    """Somebody writes to the table without this system's programs."""
    assert invoke(record(new=malformed, old=None, number="7")) == []
    require_all_ocsf(trail.events)
    (found,) = trail.facts
    assert (found.kind, found.severity, found.details["code"]) == (EventKind.SECURITY, Severity.HIGH, "UnreadableRow")


def test_whatever_a_row_says_can_be_recorded(client: EventsClient, trail: InMemoryAuditTrail) -> None:
    """Too long, not an id, empty: the event is taken, and says what fits."""
    huge = image("RUNNING", transfer_id={"S": "t" * 9000}, correlation_id={"S": "no id!"}, sender={"S": ""})
    assert invoke(record(new=huge, old=None, number="9")) == []
    require_all_ocsf(trail.events)
    assert trail.facts[0].correlation_id == "record-9"


def test_a_row_with_more_text_than_an_event_holds_holds_nothing_up(
    client: EventsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign that JSON writes with six bytes, in every field: its beginnings are on record, with a digest."""
    sink = InMemoryEventSink()
    trail = ProducerTrail("publish-transfer-events/1", sink=sink, now_ms=lambda: 1)
    monkeypatch.setattr(module, "_connect_trail", lambda: trail)
    text = {"S": "\x01" * 2000}
    failure = {"M": {"code": text, "message": text}}
    row = image("FAILED", transfer_id=text, sender=text, correlation_id=text, failure=failure)
    row["recipients"] = {"L": [text] * 40}
    assert invoke(record(new=row, old=image("\x01" * 2000)), running("t-2", number="2")) == []
    large, small = (AuditEvent.from_json(each) for each in sink.sent)
    assert (large.action, large.details["state"], len(large.details["change_sha256"])) == (
        "transfer.update",
        "FAILED",
        64,
    )
    assert (small.sequence, small.target.id) == (2, "t-2")
