"""Requests that cannot be done: each ends as FAILED or among the dead letters, with its reason, and leaves nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pqtransfer.transfers.ledger import TransferNotFoundError, TransferRecord, TransferState
from scripts.worker_process import WorkerProcess
from tests.e2e.transfers.conftest import FORBIDDEN_BUCKET, MakeLink
from tests.e2e.transfers.stage import (
    DESTINATION_BUCKET,
    EXTERNAL,
    MANAGED,
    PART_BYTES,
    SENDER,
    SOURCE_BUCKET,
    STRANGER,
    Model,
    Stage,
    to_base64,
    wait_for,
)
from tests.e2e.workers import StartWorker

pytestmark = pytest.mark.e2e

VERIFY = {"kind": "verify", "recipients": ()}
NO_CONTAINER = "s3://{data}/transfers/0190b8c2-0000-7000-8000-000000000000/"


@pytest.fixture
def small(stage: Stage) -> Model:
    """A small model."""
    return stage.put_model("models/small", b"a model of some bytes")


def _ask(**fields: Any) -> Callable[[Model], dict[str, Any]]:
    return lambda small: {"model": small, **fields}


@pytest.mark.parametrize(
    ("ask", "code", "words"),
    [
        (_ask(model=f"s3://{SOURCE_BUCKET}/no/such/model"), "ObjectMissing", "does not exist"),
        (_ask(model=f"s3://{SOURCE_BUCKET}/models/small?versionId=no-such-version"), "ObjectMissing", "does not exist"),
        (_ask(model=f"s3://{FORBIDDEN_BUCKET}/model"), "CloudAccessDenied", FORBIDDEN_BUCKET),
        (_ask(expected_size_bytes=22), "SourceSize", "has 21 bytes, smaller than the 22"),
        (_ask(expected_size_bytes=20), "SourceSize", "has 21 bytes, larger than the 20"),
        (_ask(expected_sha256=to_base64("00" * 32)), "SourceDigest", "not the one that was announced"),
        (_ask(recipients=("nobody-knows",)), "ParticipantUnknown", "nobody-knows"),
        (_ask(sender=MANAGED), "BucketNotOfSender", f"for {MANAGED}; name one of its own"),
        (_ask(model=f"s3://{DESTINATION_BUCKET}/model"), "BucketNotOfSender", f"--bucket {DESTINATION_BUCKET}"),
        (_ask(model="s3://{data}/sources/model"), "BucketNotOfSender", f"for {SENDER}; name one of its own"),
        (_ask(sender=EXTERNAL), "BucketNotOfSender", f"for {EXTERNAL}; it keeps its own keys"),
        (_ask(suite="PQT-9"), "UnknownSuite", "PQT-9"),
        (_ask(deadline="2026-01-01T00:00:00Z"), "DeadlinePassed", "submit it again"),
        (_ask(**VERIFY, model="s3://{data}/transfers/none/"), "ContainerElsewhere", "transfers/ID/"),
        (_ask(**VERIFY, model=f"s3://{SOURCE_BUCKET}/models/"), "ContainerElsewhere", SOURCE_BUCKET),
        (_ask(**VERIFY, model=NO_CONTAINER), "TransferNotFound", "there is no transfer"),
        (_ask(model="s3://{data}/transfers/some/payload"), "NotAModel", "part of a container"),
    ],
    ids=[
        "source missing", "version missing", "bucket denied", "smaller", "larger", "other digest", "unknown recipient",
        "source of another site", "bucket of another site", "data bucket", "sender keeps its keys", "unknown suite",
        "deadline over", "not an id", "another bucket", "no container", "no model",
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_done_fails_with_its_reason(
    stage: Stage, worker: WorkerProcess, small: Model, ask: Callable[[Model], dict[str, Any]], code: str, words: str
) -> None:
    """FAILED, in words that help; no container, no upload, no checkpoint and no message; the worker lives on."""
    if FORBIDDEN_BUCKET in words:
        stage.owner_s3.put_object(Bucket=FORBIDDEN_BUCKET, Key="model", Body=b"somebody else's")
    asked = ask(small)
    if isinstance(asked["model"], str):
        asked["model"] = asked["model"].format(data=stage.deployment.data_bucket)
    transfer_id = stage.submit(**asked)
    record = stage.wait_for_end(transfer_id)
    assert record.state is TransferState.FAILED
    assert record.failure is not None
    assert record.failure.code == code, record.failure
    assert words in record.failure.message
    stage.wait_for_empty_queue()
    assert (stage.objects(transfer_id), stage.uploads(), stage.has_checkpoint(transfer_id)) == ({}, [], False)
    assert stage.queue_length(stage.deployment.dead_letter_queue_url) == (0, 0)
    assert worker.is_running


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("this is not JSON", "MalformedRequest"),
        ("{}", "MalformedRequest"),
        ('{"format": "pqtransfer-request/2"', "MalformedRequest"),
        ("[" * 10_000, "MalformedRequest"),
        ("known, of another version", "MalformedRequest"),
        ("known, with a field more", "MalformedRequest"),
        ("known, and recorded as something else", "TransferConflict"),
        ("known, and not signed", "MalformedRequest"),
        ("known, and signed by another managed participant", "KeyNotFound"),
        ("known, and signed by a participant that keeps its keys", "KeyNotFound"),
        ("known, and changed after it was signed", "UntrustedRequest"),
        ("known, and of a sender that is not", "ParticipantUnknown"),
    ],
)
def test_a_message_that_is_no_request_ends_among_the_dead(
    stage: Stage, worker: WorkerProcess, small: Model, body: str, code: str
) -> None:
    """With the reason as attributes, word for word as it came; the worker takes the next one."""
    if body.startswith("known, "):
        body = _spoil(stage, small, body.removeprefix("known, "))
    stage.send_message(body)
    letter = stage.wait_for_dead_letter(lambda dead: dead == body)
    assert letter["reason_code"] == code
    assert letter["reason"]
    assert letter["message_id"]
    stage.wait_for_empty_queue()
    assert stage.wait_for_completion(stage.submit(small)).owner == worker.name


def _spoil(stage: Stage, small: Model, how: str) -> str:
    """A message that was a good one but for this."""
    request = stage.request(small)
    good = stage.sign(request)
    if how == "of another version":
        return json.dumps({**json.loads(good), "format": "pqtransfer-signed-request/2"})
    if how == "with a field more":
        return json.dumps({**json.loads(good), "shell": "rm -rf /"})
    if how == "and recorded as something else":
        done = stage.submit(small)
        stage.wait_for_completion(done)
        return stage.sign(request.model_copy(update={"transfer_id": done, "recipients": (STRANGER,)}))
    if how == "and not signed":
        return request.to_json()
    if how == "and signed by another managed participant":
        return stage.sign(request, by=MANAGED)
    if how == "and signed by a participant that keeps its keys":
        return stage.sign(request, by=EXTERNAL)
    if how == "and changed after it was signed":
        changed = request.model_copy(update={"recipients": (STRANGER,)}).to_json()
        return json.dumps({**json.loads(good), "request": changed})
    assert how == "and of a sender that is not"
    return stage.sign(request.model_copy(update={"sender": "nobody-knows"}), by=SENDER)


def test_a_raw_message_is_as_good_as_the_command(stage: Stage, worker: WorkerProcess, small: Model) -> None:
    """A site may put the message on the queue itself, without recording anything first."""
    request = stage.request(small)
    stage.send_message(stage.sign(request))
    wait_for("the record", lambda: _find(stage, request.transfer_id))
    assert stage.wait_for_completion(request.transfer_id).request == request
    assert stage.receive_sha256(request.transfer_id) == small.sha256


@pytest.mark.parametrize("size_bytes", [0, 1])
def test_the_smallest_models_are_valid(stage: Stage, worker: WorkerProcess, size_bytes: int) -> None:
    """An empty model and one of a single byte round-trip."""
    model = stage.put_model(f"models/of-{size_bytes}", b"x" * size_bytes)
    transfer_id = stage.submit(model, expected_size_bytes=size_bytes, expected_sha256=to_base64(model.sha256))
    record = stage.wait_for_completion(transfer_id)
    assert record.result is not None
    assert record.result.plaintext_length == size_bytes
    for reader in (MANAGED, EXTERNAL):
        assert stage.receive_sha256(transfer_id, reader=reader) == model.sha256


def test_a_suite_under_the_minimum_is_refused(
    stage: Stage, worker: WorkerProcess, small: Model, start_worker: StartWorker
) -> None:
    """A worker that asks for CNSA 2.0 strength does not encrypt in the default suite."""
    worker.pause()
    try:
        strict = start_worker(minimum_suite="PQT-2")
        strict.wait_until_ready()
        record = stage.wait_for_end(stage.submit(small))
        assert record.failure is not None
        assert record.failure.code == "WeakSuite"
        assert record.owner == strict.name
    finally:
        worker.resume()


def test_a_source_that_changed_between_two_attempts_fails(
    stage: Stage, worker: WorkerProcess, model_bytes: bytes, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """Killed half-way, the source overwritten meanwhile: the next worker says so, and drops the half."""
    worker.pause()
    try:
        changing = stage.put_model("models/changing", model_bytes[: 2 * PART_BYTES])
        link = make_link()
        link.stop_after(PART_BYTES + PART_BYTES // 2)
        first = start_worker(data_endpoint_url=link.url, buffer_budget_bytes=2 * PART_BYTES)
        transfer_id = stage.submit(changing)
        link.wait_until_stopped()
        first.kill()
        link.go_on()
        stage.put_model("models/changing", model_bytes[PART_BYTES : 3 * PART_BYTES])
    finally:
        worker.resume()
    record = stage.wait_for_end(transfer_id)
    assert record.failure is not None
    assert record.failure.code == "SourceChanged"
    stage.wait_for_empty_queue()
    assert (stage.objects(transfer_id), stage.uploads(), stage.has_checkpoint(transfer_id)) == ({}, [], False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("s3://{bucket}/models/small", "--as", "nobody-knows", "--to", MANAGED), "ParticipantUnknown"),
        (("s3://{bucket}/models/small", "--as", "site-a", "--to", "nobody-knows"), "ParticipantUnknown"),
        (("s3://{bucket}/models/small", "--as", "site-a", "--to", MANAGED, "--suite", "PQT-9"), "UnknownSuite"),
        (("no-such-file", "--key", "{keys}", "--to", MANAGED), "ObjectMissing"),
        (("{folder}", "--key", "{keys}", "--to", MANAGED), "NotAFile"),
    ],
)
def test_the_command_refuses_what_cannot_be_sent(
    stage: Stage, worker: WorkerProcess, small: Model, arguments: tuple[str, ...], code: str
) -> None:
    """Exit code 2 at once, and nothing is recorded."""
    before = len(list(stage.client("recipient").list_recent(limit=1000)))
    told = [
        each.format(bucket=SOURCE_BUCKET, keys=stage.key_folder(EXTERNAL), folder=stage.folder) for each in arguments
    ]
    refused = stage.pqtransfer("send", *told, "--no-wait", "--json", role="submitter")
    assert (refused.exit_code, refused.error["code"]) == (2, code)
    assert len(list(stage.client("recipient").list_recent(limit=1000))) == before


def _find(stage: Stage, transfer_id: str) -> TransferRecord | None:
    try:
        return stage.status(transfer_id)
    except TransferNotFoundError:
        return None
