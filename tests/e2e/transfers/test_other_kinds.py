"""What else a site may ask of a worker: verify a container, rewrap it, decrypt it into a bucket."""

import hashlib

import pytest

from pqtransfer.transfers.ledger import TransferState
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
)
from tests.e2e.workers import StartWorker

pytestmark = pytest.mark.e2e


@pytest.fixture
def small(stage: Stage, model_bytes: bytes) -> Model:
    """A model of two segments and a little."""
    return stage.put_model("models/small", model_bytes[: 2 << 20])


@pytest.fixture
def container(stage: Stage, worker: WorkerProcess, small: Model) -> str:
    """The container of a transfer from SENDER to MANAGED, whom SENDER joins."""
    transfer_id = stage.submit(small, recipients=(MANAGED, SENDER))
    stage.wait_for_completion(transfer_id)
    return f"s3://{stage.deployment.data_bucket}/transfers/{transfer_id}/"


def _id_of(container: str) -> str:
    return container.rstrip("/").rpartition("/")[2]


def test_a_worker_verifies_a_container(stage: Stage, container: str) -> None:
    """COMPLETED for a whole one, with its digests; FAILED with the reason for a damaged one. No key is needed."""
    verified = stage.wait_for_completion(stage.submit(container, kind="verify", recipients=()))
    sent = stage.status(_id_of(container))
    assert verified.result is not None
    assert sent.result is not None
    assert verified.result.composite_sha256 == sent.result.composite_sha256

    key = f"transfers/{_id_of(container)}/envelope.json"
    envelope = stage.objects(_id_of(container))["envelope.json"]
    stage.owner_s3.put_object(
        Bucket=stage.deployment.data_bucket, Key=key, Body=envelope.replace(b'"epoch":1', b'"epoch":2')
    )
    damaged = stage.wait_for_end(stage.submit(container, kind="verify", recipients=()))
    assert damaged.state is TransferState.FAILED
    assert damaged.failure is not None
    assert damaged.failure.code == "InvalidSignature"


def test_a_rewrap_changes_who_can_read(stage: Stage, container: str, small: Model) -> None:
    """A new envelope for new recipients; not one byte of payload or manifest moves."""
    before = stage.objects(_id_of(container))
    record = stage.wait_for_completion(stage.submit(container, kind="rewrap", recipients=(EXTERNAL, STRANGER)))
    assert record.result is not None
    assert record.result.envelope_epoch == 2
    after = stage.objects(_id_of(container))
    assert (after["payload"], after["manifest.json"]) == (before["payload"], before["manifest.json"])
    assert after["envelope.json"] != before["envelope.json"]
    for reader in (EXTERNAL, STRANGER):
        assert stage.receive_sha256(_id_of(container), reader=reader) == small.sha256
    client = stage.client("recipient")
    refused = stage.pqtransfer(
        "receive", _id_of(container), "--as", MANAGED, "--out", stage.folder / "no", "--json", role="recipient"
    )
    assert (refused.exit_code, refused.error["code"]) == (4, "NotARecipient")
    assert client.status(_id_of(container)).state is TransferState.COMPLETED


def test_only_who_can_open_it_can_rewrap_it(stage: Stage, worker: WorkerProcess, small: Model) -> None:
    """A managed participant that is no recipient cannot make itself one."""
    transfer_id = stage.submit(small, recipients=(EXTERNAL,))
    stage.wait_for_completion(transfer_id)
    before = stage.objects(transfer_id)
    container = f"s3://{stage.deployment.data_bucket}/transfers/{transfer_id}/"
    record = stage.wait_for_end(stage.submit(container, kind="rewrap", sender=MANAGED, recipients=(MANAGED,)))
    assert record.failure is not None
    assert record.failure.code == "NotARecipient"
    assert stage.objects(transfer_id) == before


def test_a_worker_decrypts_for_a_managed_recipient(stage: Stage, container: str, small: Model) -> None:
    """The model stands in the site's bucket, whole, under the name that was asked for."""
    destination = f"s3://{DESTINATION_BUCKET}/received/model"
    asked = {"kind": "decrypt", "sender": MANAGED, "recipients": (MANAGED,), "destination": destination}
    record = stage.wait_for_completion(stage.submit(container, **asked))
    assert record.result is not None
    assert record.result.location == destination
    body = stage.owner_s3.get_object(Bucket=DESTINATION_BUCKET, Key="received/model")["Body"].read()
    assert hashlib.sha256(body).hexdigest() == small.sha256

    assert stage.wait_for_end(stage.submit(container, **asked)).state is TransferState.COMPLETED  # it is there already
    stage.owner_s3.put_object(Bucket=DESTINATION_BUCKET, Key="received/model", Body=b"somebody's work")
    refused = stage.wait_for_end(stage.submit(container, **asked))
    assert refused.failure is not None
    assert refused.failure.code == "ObjectExists"
    stands = stage.owner_s3.get_object(Bucket=DESTINATION_BUCKET, Key="received/model")["Body"].read()
    assert stands == b"somebody's work"
    assert stage.uploads(DESTINATION_BUCKET) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sender": EXTERNAL, "recipients": (EXTERNAL,)}, "BucketNotOfSender"),
        ({"sender": SENDER, "recipients": (SENDER,)}, "BucketNotOfSender"),  # it could open it, and workers could write
        ({"destination": f"s3://{SOURCE_BUCKET}/stolen"}, "BucketNotOfSender"),
        ({"destination": f"s3://{FORBIDDEN_BUCKET}/stolen"}, "CloudAccessDenied"),
        ({"destination": "s3://{data}/plaintext"}, "PlaintextInDataBucket"),
    ],
)
def test_a_decryption_that_is_not_allowed_fails(
    stage: Stage, container: str, fields: dict[str, object], code: str
) -> None:
    """Not for a participant that keeps its keys; not into a bucket of another, one that workers may not write, nor
    among containers.
    """
    asked = {
        "kind": "decrypt",
        "sender": MANAGED,
        "recipients": (MANAGED,),
        "destination": f"s3://{DESTINATION_BUCKET}/received/no",
        **fields,
    }
    asked["destination"] = str(asked["destination"]).format(data=stage.deployment.data_bucket)
    record = stage.wait_for_end(stage.submit(container, **asked))
    assert record.failure is not None
    assert record.failure.code == code, record.failure
    assert stage.uploads(DESTINATION_BUCKET) == []
    assert "Contents" not in stage.owner_s3.list_objects_v2(Bucket=DESTINATION_BUCKET)


def test_a_killed_decryption_is_finished_by_another_worker(
    stage: Stage, worker: WorkerProcess, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """Parts that stand in the destination are not written again, and the object appears when all are there."""
    transfer_id = stage.submit(model, recipients=(MANAGED,))
    stage.wait_for_completion(transfer_id)
    container = f"s3://{stage.deployment.data_bucket}/transfers/{transfer_id}/"
    worker.pause()
    try:
        link = make_link()
        link.stop_after(PART_BYTES + PART_BYTES // 2)
        variables = {**stage.cloud.variables("worker"), "AWS_ENDPOINT_URL_S3": link.url}
        first = start_worker(variables=variables, buffer_budget_bytes=2 * PART_BYTES)
        destination = f"s3://{DESTINATION_BUCKET}/received/large"
        job_id = stage.submit(container, kind="decrypt", sender=MANAGED, recipients=(MANAGED,), destination=destination)
        link.wait_until_stopped()
        stage.wait_for_parts(job_id, 1)
        first.kill()
        link.go_on()
    finally:
        worker.resume()
    record = stage.wait_for_completion(job_id)
    assert record.attempt == 2
    body = stage.owner_s3.get_object(Bucket=DESTINATION_BUCKET, Key="received/large")["Body"].read()
    assert hashlib.sha256(body).hexdigest() == model.sha256
    stage.wait_for_empty_queue()
    assert (stage.uploads(DESTINATION_BUCKET), stage.has_checkpoint(job_id)) == ([], False)
