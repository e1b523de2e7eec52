"""A model's whole way, by the command line: S3 source, queue, worker, container, and each recipient's verified file."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pqtransfer.crypto.canonical_json import encode_base64
from pqtransfer.transfers.ledger import TransferState
from tests.e2e.transfers.conftest import MakeLink
from tests.e2e.transfers.stage import EXTERNAL, MANAGED, SENDER, STRANGER, Model, Stage, wait_for
from tests.e2e.workers import StartWorker

pytestmark = pytest.mark.e2e

PROGRESS_EVERY_SECONDS = 2.0


@pytest.fixture
def state_changes(stage: Stage) -> Iterator[str]:
    """A queue of the test's own that a rule on the deployment's bus fills with changes of state."""
    owner = stage.cloud.session()
    events, queues = owner.client("events"), owner.client("sqs")
    url = queues.create_queue(QueueName="e2e-transfers")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"source": ["pqtransfer"], "detail-type": ["TransferStateChanged"]})
    bus = stage.deployment.event_bus
    events.put_rule(Name="e2e-transfers", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="e2e-transfers", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    yield url
    events.remove_targets(Rule="e2e-transfers", EventBusName=bus, Ids=["queue"])
    events.delete_rule(Name="e2e-transfers", EventBusName=bus)
    queues.delete_queue(QueueUrl=url)


@pytest.mark.requirement("D5.4", "D7.2")
def test_a_model_reaches_its_recipients(
    stage: Stage, model: Model, start_worker: StartWorker, state_changes: str, tmp_path: Path
) -> None:
    """What three readers receive is what was sent; the record, the list and the bus tell who sent what to whom."""
    start_worker()
    sent = stage.pqtransfer(
        "send", model.uri, "--as", SENDER, "--to", MANAGED, "--to", EXTERNAL,
        "--expect-sha256", model.sha256, "--metadata", "round=7", "--json", role="submitter",
    )  # fmt: skip
    assert sent.exit_code == 0, sent.stderr
    transfer_id = sent.answer["transfer_id"]

    for reader in (["--as", MANAGED], ["--key", stage.key_folder(EXTERNAL)], ["--as", SENDER]):
        out = tmp_path / f"received-{reader[-1] if reader[0] == '--as' else EXTERNAL}"
        received = stage.pqtransfer("receive", transfer_id, *reader, "--out", out, "--json", role="recipient")
        assert received.exit_code == 0, received.stderr
        assert received.answer["metadata"] == {"filename": "model.safetensors", "round": "7"}
        with out.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == model.sha256
        out.unlink()

    status = stage.pqtransfer("status", transfer_id, "--json", role="recipient").answer
    assert (status["state"], status["sender"], status["recipients"]) == (
        "COMPLETED",
        SENDER,
        [MANAGED, EXTERNAL, SENDER],
    )
    assert (status["bytes_done"], status["bytes_total"]) == (model.size_bytes, model.size_bytes)
    assert (status["parts_done"], status["attempt"]) == (model.part_count, 1)
    listed = stage.pqtransfer("list", "--sender", SENDER, "--json", role="recipient")
    assert transfer_id in [each["transfer_id"] for each in json.loads(listed.stdout)]

    result, manifest = stage.status(transfer_id).result, stage.manifest(transfer_id).body
    assert result is not None
    assert result.plaintext_sha256 == encode_base64(bytes.fromhex(model.sha256))
    assert result.composite_sha256 == encode_base64(manifest.composite_sha256)
    assert (result.plaintext_length, result.part_count) == (model.size_bytes, len(manifest.part_sha256))
    assert result.object_version_id == manifest.object_version_id
    assert _see_states(stage, state_changes, transfer_id) == [
        (None, "SUBMITTED"),
        ("SUBMITTED", "RUNNING"),
        ("RUNNING", "COMPLETED"),
    ]
    assert stage.uploads() == []
    assert not stage.has_checkpoint(transfer_id)
    stage.wait_for_empty_queue()


def test_only_those_whom_it_was_wrapped_to_can_open_it(
    stage: Stage, model: Model, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Somebody who may read the bucket, but is no recipient, gets nothing."""
    start_worker()
    transfer_id = stage.submit(model, recipients=(MANAGED,))
    stage.wait_for_completion(transfer_id)
    for reader in (["--key", stage.key_folder(STRANGER)], ["--as", SENDER]):
        out = tmp_path / "out"
        refused = stage.pqtransfer("receive", transfer_id, *reader, "--out", out, "--json", role="recipient")
        assert refused.exit_code == 4
        assert refused.error["code"] == "NotARecipient"
        assert list(tmp_path.glob("*out*")) == []


@pytest.mark.requirement("D3.6")
def test_progress_shows_while_it_runs(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """The record moves at least every two seconds, and whoever watches sees bytes, speed and the time left.

    The beat does not depend on the size of the model: a slow link makes this one take as long as a large one.
    """
    link = make_link(bytes_per_second=25e6)
    start_worker(data_endpoint_url=link.url, buffer_budget_bytes=64 << 20)
    transfer_id = stage.submit(model)
    watcher = stage.start_pqtransfer("status", transfer_id, "--watch", "--json", role="recipient")
    seen: list[datetime] = []

    def look() -> bool | None:
        record = stage.status(transfer_id)
        if record.progress_at is not None and record.progress_at not in seen:
            seen.append(record.progress_at)
        return True if record.state is TransferState.COMPLETED else None

    wait_for("completion", look)
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(seen)]
    assert len(gaps) >= 3
    assert max(gaps) <= PROGRESS_EVERY_SECONDS
    stdout, stderr = watcher.communicate(timeout=30)
    assert stderr == ""
    *shown, last = [json.loads(line) for line in stdout.splitlines()]
    assert (last["state"], last["transfer_id"]) == ("COMPLETED", transfer_id)
    done = [each["bytes_done"] for each in shown]
    assert done == sorted(done)
    assert len(set(done)) >= 3
    assert [each for each in shown if each["bytes_per_second"] > 0 and each["seconds_left"]]


def _see_states(stage: Stage, url: str, transfer_id: str) -> list[tuple[str | None, str]]:
    """Each change of the transfer that the bus told, once, in the order of time."""
    details: dict[str, dict[str, Any]] = {}

    def look() -> bool | None:
        answer = stage.owner_sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            if detail["transfer_id"] == transfer_id:
                details[detail["state"]] = detail
        return True if "COMPLETED" in details and len(details) >= 3 else None

    wait_for("the changes on the bus", look)
    for detail in details.values():
        assert (detail["sender"], detail["recipients"]) == (SENDER, [MANAGED, EXTERNAL, SENDER])
        assert detail["correlation_id"] == transfer_id
    ordered = sorted(details.values(), key=lambda each: str(each["at"]))
    return [(each.get("previous_state"), each["state"]) for each in ordered]
