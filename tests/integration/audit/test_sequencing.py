"""The sequencer on S3 and DynamoDB: killed at any call, raced, attacked and fed nonsense, it loses nothing."""

import base64
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.sequence_audit_log.delivery import Delivered, Message
from functions.sequence_audit_log.handler import UnknownQueueError, find_origin
from functions.sequence_audit_log.settings import SequenceAuditLogSettings
from pqtransfer.audit.errors import DamagedTileError, LogMovedError
from pqtransfer.audit.events import EventKind, Target
from pqtransfer.audit.messages import EVENTS_AT_MOST, pack_messages
from pqtransfer.audit.origins import Origin
from pqtransfer.audit.positions import ProducerPosition
from pqtransfer.aws.audit_state import PRODUCERS_AT_MOST
from pqtransfer.aws.failures import CloudUnavailableError
from tests.fakes.folders import Crash, FaultPlan
from tests.integration.audit.conftest import BUCKET, NOW, AuditCloud
from tests.unit.audit.samples import make_event

FIRST, SECOND = range(1, 251), range(251, 311)


def make_entries(numbers: Sequence[int] | range, producer: str = "worker/a") -> list[bytes]:
    kind = EventKind.ACCESS if producer.startswith("client/") else EventKind.KEY
    return [make_event(kind, sequence=number, producer=producer).to_json() for number in numbers]


def make_messages(entries: Sequence[bytes]) -> list[Message]:
    return [Message(f"m{number}", body) for number, body in enumerate(pack_messages(entries))]


def count_calls(cloud: AuditCloud) -> int:
    """How many calls one delivery makes."""
    plan = FaultPlan()
    cloud.make_delivery(plan).take(make_messages(make_entries(SECOND)))
    return len(plan.calls)


@pytest.mark.requirement("D7.3", "D7.5", "N6", "N10")
@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(20))
def test_a_sequencer_that_dies_at_any_call_leaves_no_gap_and_no_second_leaf(
    audit_cloud: AuditCloud, at: int, after_effect: bool
) -> None:
    """Before or after the call has its effect. The delivery comes again, and is recognized where it is in the log."""
    audit_cloud.make_delivery().take(make_messages(make_entries(FIRST)))
    messages = make_messages(make_entries(SECOND))
    plan = FaultPlan(at=at, after_effect=after_effect)
    try:
        audit_cloud.make_delivery(plan).take(messages)
    except Crash:
        assert len(plan.calls) == at + 1
    else:
        assert len(plan.calls) <= at, "20 calls are more than a delivery makes"
    done = audit_cloud.make_delivery().take(messages)
    assert (done.failed, done.refused, done.appended + done.repeated) == ([], 0, 60)
    assert audit_cloud.read_entries() == make_entries([*FIRST, *SECOND])
    assert audit_cloud.check().findings == []
    assert audit_cloud.alerts.raised == []


def test_no_delivery_makes_more_calls_than_are_crashed(audit_cloud: AuditCloud) -> None:
    """So that the test before has seen every one."""
    audit_cloud.make_delivery().take(make_messages(make_entries(FIRST)))
    assert count_calls(audit_cloud) <= 20


def test_two_sequencers_at_once_append_everything_once(audit_cloud: AuditCloud) -> None:
    """Whoever is slower finds the log moved, and tries again."""
    audit_cloud.make_delivery().take(make_messages(make_entries(FIRST)))
    slow = audit_cloud.make_delivery()
    commit, raced = audit_cloud.states.commit, list[Delivered]()

    def commit_late(**arguments: object) -> None:
        if not raced:
            raced.append(Delivered())
            raced[0] = audit_cloud.make_delivery().take(make_messages(make_entries(range(1, 31), "worker/b")))
        commit(**arguments)  # type: ignore[arg-type]

    audit_cloud.states.commit = commit_late  # type: ignore[method-assign]
    done = slow.take(make_messages(make_entries(SECOND)))
    assert (done.appended, raced[0].appended) == (60, 30)
    assert len(audit_cloud.read_entries()) == 340
    assert audit_cloud.check().findings == []


def test_a_log_that_moves_on_and_on_gives_the_messages_back(audit_cloud: AuditCloud) -> None:
    """After some tries; nothing is acknowledged."""

    def lose(**_arguments: object) -> None:
        raise LogMovedError

    audit_cloud.states.commit = lose  # type: ignore[method-assign]
    messages = make_messages(make_entries(SECOND))
    assert audit_cloud.make_delivery().take(messages).failed == [message.id for message in messages]


@pytest.mark.requirement("D3.4", "S4.4")
def test_a_failed_key_exchange_is_told_at_once_and_once(audit_cloud: AuditCloud) -> None:
    """Also when the event comes again: the run that appended it may have died before it told. Other events are not."""
    long = "x" * 1024
    event = make_event(
        EventKind.SECURITY,
        sequence=1,
        action="key-exchange.fail",
        actor=long,
        target=Target(type="transfer", id=long),
        reason=long,
        details={"code": "DamagedEnvelope", "operation": long, **{f"d{number}": "-" for number in range(40)}},
    )
    again = event.model_copy(update={"sequence": 2, "event_id": "0198c0de-0000-7000-8000-000000000002"})
    messages = make_messages([event.to_json(), again.to_json(), *make_entries(range(3, 6))])
    assert audit_cloud.make_delivery().take(messages).appended == 5
    (alert,) = audit_cloud.alerts.raised
    assert (alert.code, alert.severity, alert.details["code"]) == ("key-exchange-failed", "high", "DamagedEnvelope")
    assert alert.details["event"] == event.event_id
    assert audit_cloud.make_delivery().take(messages).repeated == 5
    assert [each.key for each in audit_cloud.alerts.raised] == [alert.key] * 2


@pytest.mark.requirement("D7.3", "S4.7")
def test_what_is_no_event_is_kept_and_told(audit_cloud: AuditCloud) -> None:
    """Nonsense, a message of another kind, and another event under a used number: none of it holds the others up."""
    good = make_entries(range(1, 4))
    forged = make_event(sequence=2, actor="mallory").to_json()
    messages = [
        *make_messages([good[0]]),
        Message("nonsense", "!"),
        *make_messages([b"{}", good[1], forged, good[2]]),
    ]
    done = audit_cloud.make_delivery().take(messages)
    assert (done.appended, done.refused, done.failed) == (3, 3, [])
    assert audit_cloud.read_entries() == good
    assert audit_cloud.alerts.codes == ["audit-entry-refused"] * 3
    kept = [audit_cloud.s3.get_object(Bucket=BUCKET, Key=each.details["kept_at"]) for each in audit_cloud.alerts.raised]
    documents = [json.loads(each["Body"].read()) for each in kept]
    assert {base64.b64decode(each["data"]) for each in documents} == {b"!", b"{}", forged}
    assert all(each["reason"] for each in documents)
    again = audit_cloud.make_delivery().take(messages)
    assert (again.appended, again.repeated, again.refused) == (0, 3, 3)


@pytest.mark.requirement("D7.3", "D7.5", "S4.7")
def test_what_does_not_fit_the_queue_it_came_from_is_kept_and_told(audit_cloud: AuditCloud) -> None:
    """A site speaks for the function that purges, and purges in its own name; the system speaks for a site."""
    own = make_entries(range(1, 4), "client/a")
    purge = {"kind": EventKind.ADMINISTRATION, "action": "audit.purge", "target": Target(type="log", id="x")}
    forged = [make_event(producer=name, **purge).to_json() for name in ("archive-audit-log/a", "client/b")]  # type: ignore[arg-type]
    messages = make_messages([own[0], *forged, *own[1:]])
    done = audit_cloud.make_delivery(origin=Origin.SITES).take(messages)
    assert (done.appended, done.refused, done.failed) == (3, 2, [])
    done = audit_cloud.make_delivery().take(make_messages([forged[0], make_entries([4], "client/a")[0]]))
    assert (done.appended, done.refused) == (1, 1)
    assert audit_cloud.read_entries() == [*own, forged[0]]
    assert audit_cloud.alerts.codes == ["audit-entry-refused"] * 3
    for each in audit_cloud.alerts.raised:
        kept = json.loads(audit_cloud.s3.get_object(Bucket=BUCKET, Key=each.details["kept_at"])["Body"].read())
        assert "queue of the" in kept["reason"]


@pytest.mark.requirement("D7.3", "N10")
def test_the_sequencers_of_both_queues_race_and_lose_nothing(audit_cloud: AuditCloud) -> None:
    """Each delivery loses some races, waits a little longer each time, and is appended in the same invocation."""
    rounds, lost = 12, list[int]()
    commit = audit_cloud.states.commit
    others = [make_messages(make_entries([number], "client/a")) for number in range(1, rounds * 3 + 1)]
    racing = False

    def commit_late(**arguments: object) -> None:
        nonlocal racing
        if not racing and len(lost) % 3:  # two races of three are lost
            racing = True
            assert audit_cloud.make_delivery(origin=Origin.SITES).take(others.pop(0)).failed == []
            racing = False
        if not racing:
            lost.append(1)
        commit(**arguments)  # type: ignore[arg-type]

    audit_cloud.states.commit = commit_late  # type: ignore[method-assign]
    for number in range(1, rounds + 1):
        done = audit_cloud.make_delivery().take(make_messages(make_entries([number])))
        assert (done.appended, done.failed) == (1, [])
    sites = rounds * 3 - len(others)
    assert sites >= rounds // 2
    assert audit_cloud.waits.count(1) >= rounds // 2
    entries = audit_cloud.read_entries()
    assert sorted(entries) == sorted(
        [*make_entries(range(1, rounds + 1)), *make_entries(range(1, sites + 1), "client/a")]
    )
    assert audit_cloud.check().findings == []
    assert audit_cloud.alerts.raised == []


@pytest.mark.requirement("D7.3", "N10")
def test_two_sequencers_in_threads_lose_nothing(audit_cloud: AuditCloud) -> None:
    """As two event sources run them: at the same time, again and again."""
    failed = list[str]()

    def run(origin: Origin, producer: str) -> None:
        for number in range(1, 16):
            messages = make_messages(make_entries([number], producer))
            while audit_cloud.make_delivery(origin=origin).take(messages).failed:  # as the queue does: it comes again
                failed.append(producer)

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run, Origin.SYSTEM, "worker/a"), pool.submit(run, Origin.SITES, "client/a")]
        for each in runs:
            each.result()
    entries = audit_cloud.read_entries()
    assert sorted(entries) == sorted([*make_entries(range(1, 16)), *make_entries(range(1, 16), "client/a")])
    assert audit_cloud.check().findings == []
    assert audit_cloud.alerts.raised == []


def test_conflicts_in_the_same_moment_are_lost_races(audit_cloud: AuditCloud) -> None:
    """DynamoDB and S3 refuse one of two that come at once, or both: the delivery tries again, and nothing fails."""
    conflicts = {
        "transact_write_items": {
            "Error": {"Code": "TransactionCanceledException"},
            "CancellationReasons": [{"Code": "TransactionConflict"}],
        },
        "put_object": {"Error": {"Code": "ConditionalRequestConflict"}},
    }
    for client, call in ((audit_cloud.dynamodb, "transact_write_items"), (audit_cloud.s3, "put_object")):
        real, left = getattr(client, call), [1, 2]

        def conflict(call: str = call, real: Any = real, left: list[int] = left, **arguments: Any) -> Any:
            if left:
                left.pop()
                raise ClientError(conflicts[call], call)  # type: ignore[arg-type]
            return real(**arguments)

        setattr(client, call, conflict)
    done = audit_cloud.make_delivery().take(make_messages(make_entries(FIRST)))
    assert (done.appended, done.failed) == (250, [])
    assert audit_cloud.waits == [1, 2, 3, 4]


def test_the_origin_is_what_lambda_says() -> None:
    """The queue of each record; from another one, or from two at once, nothing is taken."""
    settings = SequenceAuditLogSettings.model_construct(audit_queue_arn="arn:system", site_audit_queue_arn="arn:sites")
    assert find_origin({"arn:system"}, settings) is Origin.SYSTEM
    assert find_origin({"arn:sites"}, settings) is Origin.SITES
    for arns in ({"arn:other"}, {"arn:system", "arn:sites"}, set[str]()):
        with pytest.raises(UnknownQueueError):
            find_origin(arns, settings)


def test_when_a_refused_entry_cannot_be_kept_its_message_comes_again(audit_cloud: AuditCloud) -> None:
    """It is not dropped, and neither is what comes behind it."""
    delivery = audit_cloud.make_delivery()

    def fail(name: str, data: bytes) -> None:
        raise CloudUnavailableError("no", aws_code="503")

    delivery.store.keep_refused = fail  # type: ignore[method-assign]
    messages = make_messages([b"{}", *make_entries(range(1, 4))])
    done = delivery.take(messages)
    assert done.failed == [message.id for message in messages]
    assert audit_cloud.make_delivery().take(messages).refused == 1


@pytest.mark.requirement("D7.5", "S4.7", "N6")
def test_a_log_that_was_changed_stops_the_sequencer_and_is_told(audit_cloud: AuditCloud) -> None:
    """The messages wait; when the log is mended they are appended."""
    audit_cloud.make_delivery().take(make_messages(make_entries(FIRST)))
    path = "tile/entries/000.p/250"
    good = audit_cloud.store.read_tile(path)
    audit_cloud.s3.put_object(Bucket=BUCKET, Key=path, Body=good.replace(b"hospital-a", b"hospital-z", 1))
    messages = make_messages(make_entries(SECOND))
    done = audit_cloud.make_delivery().take(messages)
    assert done.failed == [message.id for message in messages]
    assert audit_cloud.alerts.codes == ["audit-log-damaged"]
    audit_cloud.s3.put_object(Bucket=BUCKET, Key=path, Body=good)
    assert audit_cloud.make_delivery().take(messages).appended == 60


@pytest.mark.requirement("D7.5", "S4.7")
def test_a_file_that_somebody_wrote_beforehand_is_written_over_and_told(audit_cloud: AuditCloud) -> None:
    """The right bytes are the newest version; the others are kept below it."""
    path = "tile/entries/000.p/250"
    audit_cloud.s3.put_object(Bucket=BUCKET, Key=path, Body=b"mallory was here")
    audit_cloud.make_delivery().take(make_messages(make_entries(FIRST)))
    assert audit_cloud.alerts.codes == ["audit-log-tampered"]
    assert audit_cloud.read_entries() == make_entries(FIRST)
    versions = audit_cloud.s3.list_object_versions(Bucket=BUCKET, Prefix=path)["Versions"]
    assert len(versions) == 2


@pytest.mark.requirement("D7.5", "S4.7")
def test_nothing_is_written_over_before_somebody_is_told(audit_cloud: AuditCloud) -> None:
    """While no alert can be raised the delivery fails and what was tampered with stays; then it is told, and mended."""
    path = "tile/entries/000.p/250"
    audit_cloud.s3.put_object(Bucket=BUCKET, Key=path, Body=b"mallory was here")
    messages = make_messages(make_entries(FIRST))
    audit_cloud.alerts.failure = CloudUnavailableError("no bus", aws_code="503")
    assert audit_cloud.make_delivery().take(messages).failed
    assert audit_cloud.store.read_tile(path) == b"mallory was here"
    audit_cloud.alerts.failure = None
    assert audit_cloud.make_delivery().take(messages).failed == []
    assert audit_cloud.alerts.codes == ["audit-log-tampered"]
    assert audit_cloud.read_entries() == make_entries(FIRST)


@pytest.mark.requirement("D7.5", "S4.7", "N6")
def test_a_file_that_is_there_and_is_refused_is_damage(audit_cloud: AuditCloud) -> None:
    """Moved into a class that has to be restored first: the check names it, the sequencer writes over it and tells."""
    audit_cloud.make_delivery().take(make_messages(make_entries(FIRST)))
    path = "tile/entries/000.p/250"
    audit_cloud.s3.put_object(Bucket=BUCKET, Key=path, Body=b"mallory was here", StorageClass="GLACIER")
    with pytest.raises(DamagedTileError, match="cannot be read"):
        audit_cloud.store.read_tile(path)
    assert [str(each.kind) for each in audit_cloud.check().findings] == ["bundle-damaged"]
    audit_cloud.s3.put_object(Bucket=BUCKET, Key="purged", Body=b"x", StorageClass="GLACIER")
    with pytest.raises(DamagedTileError):
        audit_cloud.store.find_purged()
    audit_cloud.s3.delete_object(Bucket=BUCKET, Key="purged")
    ahead = "tile/entries/001.p/54"
    audit_cloud.s3.put_object(Bucket=BUCKET, Key=ahead, Body=b"mallory was here", StorageClass="GLACIER")
    good = b"".join(len(each).to_bytes(2, "big") + each for each in make_entries(FIRST))
    audit_cloud.s3.put_object(Bucket=BUCKET, Key=path, Body=good)
    assert audit_cloud.make_delivery().take(make_messages(make_entries(SECOND))).appended == 60
    assert audit_cloud.alerts.codes == ["audit-log-tampered"]


def test_when_a_checkpoint_was_written_before_a_moment(audit_cloud: AuditCloud) -> None:
    """Of all its versions the newest that is old enough; of its neighbours, none."""
    audit_cloud.make_delivery().take(make_messages(make_entries(FIRST)))
    audit_cloud.s3.put_object(Bucket=BUCKET, Key="unwitnessed-not", Body=b"x")
    written = audit_cloud.store.find_age("unwitnessed")
    assert written is not None
    assert audit_cloud.store.find_age_before("unwitnessed", written) is None
    assert audit_cloud.store.find_age_before("unwitnessed", written + timedelta(seconds=2)) == written


def test_more_producers_than_one_transaction_moves(audit_cloud: AuditCloud) -> None:
    """They are moved in several steps; each step has positions as large as they get."""
    entries = [make_event(sequence=1, producer=f"function/{number}").to_json() for number in range(250)]
    assert audit_cloud.make_delivery().take(make_messages(entries)).appended == 250
    assert audit_cloud.check().findings == []
    with pytest.raises(ValueError, match="producers"):
        audit_cloud.states.read_positions([f"p/{number}" for number in range(PRODUCERS_AT_MOST + 1)])
    state = audit_cloud.states.find_state()
    largest = ProducerPosition(last_sequence=1000, recent=bytes(range(24)) * 512)
    positions = {f"p/{number}": largest for number in range(PRODUCERS_AT_MOST)}
    assert state is not None
    audit_cloud.states.commit(expected=state, state=state, positions=positions)
    assert audit_cloud.states.read_positions(positions) == positions


def test_a_delivery_of_one_busy_producer_comes_again_whole(audit_cloud: AuditCloud) -> None:
    """Ten full messages: every event of them is recognized."""
    messages = make_messages(make_entries(range(1, 10 * EVENTS_AT_MOST + 1)))
    assert len(messages) == 10
    assert audit_cloud.make_delivery().take(messages).appended == 480
    assert audit_cloud.make_delivery().take(messages).repeated == 480
    assert audit_cloud.make_delivery().now == NOW
