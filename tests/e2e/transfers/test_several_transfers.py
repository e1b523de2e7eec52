"""Several workers on one queue, and transfers that are cancelled."""

import time

import pytest

from pqtransfer.transfers.ledger import TransferState
from tests.e2e.transfers.conftest import MakeLink
from tests.e2e.transfers.stage import PART_BYTES, Model, Stage, wait_for
from tests.e2e.workers import StartWorker

pytestmark = pytest.mark.e2e

CANCEL_SECONDS = 10.0
"""A worker notices at its next heartbeat, a second later, and waits for the parts in flight; machines may be busy."""


def test_two_workers_do_each_transfer_once(stage: Stage, model_bytes: bytes, start_worker: StartWorker) -> None:
    """Four transfers, of which one was submitted twice: each is done by one worker in one attempt."""
    model = stage.put_model("models/small.safetensors", model_bytes[: PART_BYTES + 7])
    workers = [start_worker(), start_worker()]
    for worker in workers:
        worker.wait_until_ready()
    requests = [stage.request(model) for _ in range(4)]
    for request in [*requests, requests[0]]:
        stage.submit_request(request)
    records = [stage.wait_for_completion(request.transfer_id) for request in requests]
    assert [record.attempt for record in records] == [1, 1, 1, 1]
    assert {record.owner for record in records} == {worker.name for worker in workers}
    begun = [
        line["transfer_id"]
        for worker in workers
        for line in worker.read_log()
        if line.get("message") == "transfer begins"
    ]
    assert sorted(begun) == sorted(request.transfer_id for request in requests)
    for request in requests:
        assert stage.receive_sha256(request.transfer_id) == model.sha256
    stage.wait_for_empty_queue()


def test_cancelling_stops_the_worker(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """CANCELLED within seconds; upload, checkpoint and message go, and the worker takes the next transfer."""
    link = make_link(bytes_per_second=20e6)
    worker = start_worker(data_endpoint_url=link.url, lease_seconds=60, buffer_budget_bytes=2 * PART_BYTES)
    transfer_id = stage.submit(model)
    stage.wait_for_parts(transfer_id, 1)
    assert stage.uploads() == [f"transfers/{transfer_id}/payload"]
    began = time.monotonic()
    cancelled = stage.client("submitter").cancel(transfer_id)
    assert cancelled.state is TransferState.CANCELLED
    wait_for("the upload to go", lambda: None if stage.uploads() or stage.has_checkpoint(transfer_id) else True)
    stage.wait_for_empty_queue()
    assert time.monotonic() - began < CANCEL_SECONDS
    assert stage.objects(transfer_id) == {}
    following = stage.submit(stage.put_model("models/tiny", b"tiny"))
    assert stage.wait_for_completion(following).owner == worker.name
    assert stage.status(transfer_id).state is TransferState.CANCELLED


def test_a_transfer_cancelled_before_it_began_is_never_begun(
    stage: Stage, model: Model, start_worker: StartWorker
) -> None:
    """Its message is taken off the queue and nothing is written; a completed transfer cannot be cancelled."""
    transfer_id = stage.submit(model)
    cancelled = stage.pqtransfer("cancel", transfer_id, "--json", role="submitter")
    assert (cancelled.exit_code, cancelled.answer["state"]) == (0, "CANCELLED")
    other = stage.submit(stage.put_model("models/tiny", b"tiny"))
    start_worker()
    stage.wait_for_completion(other)
    stage.wait_for_empty_queue()
    assert (stage.status(transfer_id).state, stage.status(transfer_id).attempt) == (TransferState.CANCELLED, 0)
    assert stage.objects(transfer_id) == {}
    refused = stage.pqtransfer("cancel", other, "--json", role="submitter")
    assert (refused.exit_code, refused.error["code"]) == (2, "IllegalStep")
