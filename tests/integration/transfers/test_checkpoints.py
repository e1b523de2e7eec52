"""Checkpoints in DynamoDB and data keys sealed by KMS."""

import boto3
import pytest
from moto import mock_aws

from pqtransfer.aws.checkpoints import CHECKPOINT_LIFETIME_SECONDS, DynamoCheckpointStore, encryption_context
from pqtransfer.aws.failures import CloudError
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.folder import StoredPart
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID
from tests.integration.transfers.conftest import REGION, Cloud, make_table

HEAD = Checkpoint(TRANSFER_ID, "upload-1", '"etag"', "v1", 20 << 30, 32 << 20, b"\x00header\xff", b"\x00sealed\xff")
MANY_PARTS = 1_000


def make_part(index: int, *, etag: str = "e") -> StoredPart:
    return StoredPart(index, f'"{etag}{index}"', 32 << 20, index.to_bytes(32, "big"))


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        Checkpoint(TRANSFER_ID, "upload-1", '"etag"', None, 0, 1 << 20, b"header"),  # no version, no data key
    ],
)
def test_a_head_comes_back_as_it_was(cloud: Cloud, head: Checkpoint) -> None:
    """Every field, of that transfer only."""
    cloud.checkpoints.create(head)
    assert cloud.checkpoints.load(TRANSFER_ID) == head
    assert cloud.checkpoints.load(OTHER_TRANSFER_ID) is None
    assert cloud.checkpoints.load_parts(OTHER_TRANSFER_ID) == {}


@pytest.mark.requirement("D4.5")
def test_more_parts_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts over many pages: all come back, and all are cleared."""
    monkeypatch.setattr("moto.dynamodb.models.table.RESULT_SIZE_LIMIT", 20_000)  # so that a page holds about a hundred
    for name, value in {"AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t", "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        make_table(boto3.client("dynamodb"), "checkpoints")
        table = boto3.resource("dynamodb").Table("checkpoints")
        store = DynamoCheckpointStore(table)
        store.create(HEAD)
        store.record_part(TRANSFER_ID, "upload-1", make_part(0))
        row = table.get_item(Key={"transfer_id": TRANSFER_ID, "item": "PART#00000"})["Item"]
        with table.batch_writer() as batch:  # as `record_part` writes them, in fewer calls
            for part in map(make_part, range(1, MANY_PARTS)):
                item = {"item": f"PART#{part.index:05}", "index": part.index, "etag": part.etag, "sha256": part.sha256}
                batch.put_item(Item=row | item)
        assert store.load_parts(TRANSFER_ID) == {index: make_part(index) for index in range(MANY_PARTS)}
        store.clear(TRANSFER_ID)
        assert table.scan()["Items"] == []


def test_parts_of_an_older_upload_never_count(cloud: Cloud) -> None:
    """Not those recorded before the new head, nor those that a worker that was overtaken records after it."""
    store = cloud.checkpoints
    store.create(HEAD)
    for index in range(3):
        store.record_part(TRANSFER_ID, "upload-1", make_part(index))
    store.create(Checkpoint(**{**vars(HEAD), "upload_id": "upload-2"}))
    assert store.load_parts(TRANSFER_ID) == {}
    store.record_part(TRANSFER_ID, "upload-2", make_part(0, etag="new"))
    store.record_part(TRANSFER_ID, "upload-1", make_part(1, etag="late"))
    assert store.load_parts(TRANSFER_ID) == {0: make_part(0, etag="new")}


def test_a_part_without_a_digest(cloud: Cloud) -> None:
    """Decrypted parts of a destination that checks none."""
    cloud.checkpoints.create(HEAD)
    part = StoredPart(0, "e", 1, None)
    cloud.checkpoints.record_part(TRANSFER_ID, "upload-1", part)
    assert cloud.checkpoints.load_parts(TRANSFER_ID) == {0: part}


def test_parts_without_a_head_do_not_count(cloud: Cloud) -> None:
    """A part that is recorded after the checkpoint was cleared revives nothing."""
    cloud.checkpoints.create(HEAD)
    cloud.checkpoints.clear(TRANSFER_ID)
    cloud.checkpoints.record_part(TRANSFER_ID, "upload-1", make_part(0))
    assert (cloud.checkpoints.load(TRANSFER_ID), cloud.checkpoints.load_parts(TRANSFER_ID)) == (None, {})


def test_clearing_what_is_not_there(cloud: Cloud) -> None:
    """Changes nothing."""
    cloud.checkpoints.clear(TRANSFER_ID)


def test_everything_goes_away_by_itself(cloud: Cloud) -> None:
    """Head and parts carry a time to live."""
    cloud.checkpoints.create(HEAD)
    cloud.checkpoints.record_part(TRANSFER_ID, "upload-1", make_part(0))
    expiries = [int(item["expires_at"]) for item in cloud.table("checkpoints").scan()["Items"]]
    assert len(expiries) == 2
    assert max(expiries) - min(expiries) <= 60
    assert CHECKPOINT_LIFETIME_SECONDS >= 7 * 24 * 3600


def test_a_data_key_is_sealed_for_one_transfer(cloud: Cloud) -> None:
    """KMS gives it back under that transfer's context and refuses another's."""
    data_key = SecretBytes(bytes(range(32)))
    sealed = cloud.sealer.seal(data_key, transfer_id=TRANSFER_ID)
    assert data_key.reveal() not in sealed
    assert cloud.sealer.unseal(sealed, transfer_id=TRANSFER_ID).reveal() == data_key.reveal()
    with pytest.raises(CloudError, match=OTHER_TRANSFER_ID):
        cloud.sealer.unseal(sealed, transfer_id=OTHER_TRANSFER_ID)


def test_the_context_is_what_the_keys_policy_asks_for() -> None:
    """Both names are written down in the infrastructure too."""
    assert encryption_context("id") == {"pqtransfer:purpose": "checkpoint", "pqtransfer:transfer_id": "id"}
