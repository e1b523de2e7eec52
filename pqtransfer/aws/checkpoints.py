"""Checkpoints in DynamoDB, and data keys sealed by KMS under an encryption context that names the transfer.

The head is one item; each part is an item of its own (about 150 bytes), so 10,000 parts fit and each is written once.
Everything carries `expires_at`, so what a crash leaves behind goes away by itself.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key

from pqtransfer.aws.failures import translated
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.folder import StoredPart

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_kms import KMSClient

CHECKPOINT_LIFETIME_SECONDS = 14 * 24 * 3600
_HEAD = "HEAD"
_PART_PREFIX = "PART#"


class DynamoCheckpointStore:
    """`CheckpointStore` on a DynamoDB table with the key `transfer_id`, `item`."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    def load(self, transfer_id: str) -> Checkpoint | None:
        with translated(action=f"read the checkpoint of {transfer_id}"):
            answer = self._table.get_item(Key={"transfer_id": transfer_id, "item": _HEAD}, ConsistentRead=True)
        item: Any = answer.get("Item")
        if item is None:
            return None
        return Checkpoint(
            transfer_id=transfer_id,
            upload_id=item["upload_id"],
            source_etag=item["source_etag"],
            source_version_id=item.get("source_version_id"),
            source_size_bytes=int(item["source_size_bytes"]),
            part_size_bytes=int(item["part_size_bytes"]),
            floe_header=bytes(item["floe_header"]),
            sealed_data_key=bytes(item["sealed_data_key"]) if "sealed_data_key" in item else None,
        )

    def load_parts(self, transfer_id: str) -> Mapping[int, StoredPart]:
        head = self.load(transfer_id)
        if head is None:
            return {}
        return {
            int(item["index"]): StoredPart(
                index=int(item["index"]),
                etag=item["etag"],
                size_bytes=int(item["size_bytes"]),
                sha256=bytes(item["sha256"]) if "sha256" in item else None,
            )
            for item in self._query_parts(transfer_id)
            if item["upload_id"] == head.upload_id
        }

    def create(self, checkpoint: Checkpoint) -> None:
        item: dict[str, Any] = {
            "transfer_id": checkpoint.transfer_id,
            "item": _HEAD,
            "upload_id": checkpoint.upload_id,
            "source_etag": checkpoint.source_etag,
            "source_size_bytes": checkpoint.source_size_bytes,
            "part_size_bytes": checkpoint.part_size_bytes,
            "floe_header": checkpoint.floe_header,
            "expires_at": _expiry(),
        }
        if checkpoint.source_version_id is not None:
            item["source_version_id"] = checkpoint.source_version_id
        if checkpoint.sealed_data_key is not None:
            item["sealed_data_key"] = checkpoint.sealed_data_key
        with translated(action=f"write the checkpoint of {checkpoint.transfer_id}"):
            self._table.put_item(Item=item)

    def record_part(self, transfer_id: str, upload_id: str, part: StoredPart) -> None:
        item: dict[str, Any] = {
            "transfer_id": transfer_id,
            "item": f"{_PART_PREFIX}{part.index:05}",
            "upload_id": upload_id,
            "index": part.index,
            "etag": part.etag,
            "size_bytes": part.size_bytes,
            "expires_at": _expiry(),
        }
        if part.sha256 is not None:
            item["sha256"] = part.sha256
        with translated(action=f"write the checkpoint of {transfer_id}"):
            self._table.put_item(Item=item)

    def clear(self, transfer_id: str) -> None:
        with translated(action=f"clear the checkpoint of {transfer_id}"):
            self._table.delete_item(Key={"transfer_id": transfer_id, "item": _HEAD})
            with self._table.batch_writer() as batch:
                for item in self._query_parts(transfer_id):
                    batch.delete_item(Key={"transfer_id": transfer_id, "item": item["item"]})

    def _query_parts(self, transfer_id: str) -> list[Any]:
        items: list[Any] = []
        start: dict[str, Any] = {}
        while True:
            with translated(action=f"read the checkpoint of {transfer_id}"):
                page = self._table.query(
                    KeyConditionExpression=Key("transfer_id").eq(transfer_id) & Key("item").begins_with(_PART_PREFIX),
                    ConsistentRead=True,
                    **start,
                )
            items.extend(page["Items"])
            if "LastEvaluatedKey" not in page:
                return items
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


class KmsDataKeySealer:
    """`DataKeySealer` with a KMS key: KMS refuses to unseal under another transfer's name."""

    def __init__(self, client: "KMSClient", *, key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def seal(self, data_key: SecretBytes, *, transfer_id: str) -> bytes:
        with translated(action=f"seal the data key of {transfer_id}"):
            answer = self._client.encrypt(
                KeyId=self._key_id, Plaintext=data_key.reveal(), EncryptionContext=encryption_context(transfer_id)
            )
        return answer["CiphertextBlob"]

    def unseal(self, sealed: bytes, *, transfer_id: str) -> SecretBytes:
        with translated(action=f"unseal the data key of {transfer_id}"):
            answer = self._client.decrypt(
                KeyId=self._key_id, CiphertextBlob=sealed, EncryptionContext=encryption_context(transfer_id)
            )
        return SecretBytes(answer["Plaintext"])


def encryption_context(transfer_id: str) -> dict[str, str]:
    """The KMS encryption context of a checkpoint; it appears in CloudTrail, and the key's policy asks for it."""
    return {"pqtransfer:purpose": "checkpoint", "pqtransfer:transfer_id": transfer_id}


def _expiry() -> int:
    return int(time.time()) + CHECKPOINT_LIFETIME_SECONDS
