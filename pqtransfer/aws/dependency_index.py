"""The index of which containers need which keys, in DynamoDB.

One partition a key (`key_id`); `item` is `ROLE#TRANSFER#EPOCH`, so that a row is never changed: writing it again writes
the same, and an older epoch cannot overwrite a newer one. `transfer-index` finds the rows of one container; it lags a
little, and only deletions use it. The rows of `backfill` say how far it is in reading what was there before the index,
and in reading all of it again; whoever may note rows for transfers of their own may write none of these.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key

from pqtransfer.aws.clients import Session, client_config
from pqtransfer.aws.failures import translated
from pqtransfer.keys.dependents import DependentsUnknownError
from pqtransfer.transfers.dependencies import Dependency, DependencyPage, KeyRole, RereadingPass

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

TRANSFER_INDEX = "transfer-index"
BACKFILL_PARTITION = "backfill"
COMPLETE_KEY = {"key_id": BACKFILL_PARTITION, "item": "complete"}
POSITION_KEY = {"key_id": BACKFILL_PARTITION, "item": "position"}
REREAD_KEY = {"key_id": BACKFILL_PARTITION, "item": "reread"}
PASS_KEY = {"key_id": BACKFILL_PARTITION, "item": "pass"}
_EPOCH_DIGITS = 10


class DynamoDependencyIndex:
    """`DependencyIndex` and `KeyDependents` on a table with the key `key_id`, `item`."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    @classmethod
    def open(cls, session: Session, table_name: str, *, endpoint_url: str | None = None) -> "DynamoDependencyIndex":
        """The index in a table."""
        resource = session.resource("dynamodb", endpoint_url=endpoint_url, config=client_config())
        return cls(resource.Table(table_name))

    def note(self, dependencies: Iterable[Dependency]) -> None:
        """One row a request: a permission to write batches would be one to delete, which those who note do not have."""
        with translated(action="note which keys a container needs"):
            for each in dict.fromkeys(dependencies):
                self._table.put_item(Item={**_key_of(each), "transfer_id": each.transfer_id})

    def has_any(self, key_id: str, role: KeyRole) -> bool:
        return bool(self._query(key_id, role, limit=1)["Items"])

    def has_dependents(self, key_id: str, *, since: datetime | None = None) -> bool:
        """`KeyDependents`: whether an envelope is wrapped to the key, or is about to be.

        Raises:
            DependentsUnknownError: containers of before there was an index have not all been read yet, or not all
                containers have been read again after `since`.
            CloudError: the index does not answer.
        """
        complete = self.is_complete()  # first: rows that complete the index later are not seen by what was asked before
        reread = None if since is None else self.read_reread()
        if self.has_any(key_id, KeyRole.RECIPIENT):
            return True
        if not complete:
            raise DependentsUnknownError(key_id, "older containers have not all been read yet")
        if since is not None and (reread is None or reread <= since):
            raise DependentsUnknownError(key_id, "the containers have not all been read again since it is out of use")
        return False

    def list_page(self, key_id: str, role: KeyRole, *, cursor: str | None, limit: int) -> DependencyPage:
        start = None if cursor is None else {"key_id": key_id, "item": cursor}
        answer = self._query(key_id, role, limit=limit, start=start)
        found = [_read(item).transfer_id for item in answer["Items"]]
        last = answer.get("LastEvaluatedKey")
        return DependencyPage(
            transfer_ids=tuple(dict.fromkeys(found)), cursor=None if last is None else str(last["item"])
        )

    def find_of(self, transfer_id: str) -> list[Dependency]:
        found: list[Dependency] = []
        start: dict[str, Any] = {}
        while True:
            with translated(action=f"find the keys that transfer {transfer_id} needs"):
                page = self._table.query(
                    IndexName=TRANSFER_INDEX, KeyConditionExpression=Key("transfer_id").eq(transfer_id), **start
                )
            found += [_read(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:  # whoever notes can note a row of another container under this one
                return [each for each in found if each.transfer_id == transfer_id]
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def forget(self, dependencies: Iterable[Dependency]) -> None:
        with translated(action="forget which keys a container needed"), self._table.batch_writer() as batch:
            for each in dict.fromkeys(dependencies):
                batch.delete_item(Key=_key_of(each))

    def is_complete(self) -> bool:
        """Whether the containers of before there was an index are in it."""
        with translated(action="look whether the index of envelopes is complete"):
            return "Item" in self._table.get_item(Key=COMPLETE_KEY, ConsistentRead=True)

    def read_backfill(self) -> str | None:
        """The id of the older container that was read last; None before the first."""
        with translated(action="look how far the index of envelopes is"):
            item = self._table.get_item(Key=POSITION_KEY, ConsistentRead=True).get("Item")
        return None if item is None else str(item["last_id"])

    def advance_backfill(self, transfer_id: str) -> None:
        """Note that the older containers up to this one were read."""
        with translated(action="note how far the index of envelopes is"):
            self._table.put_item(Item={**POSITION_KEY, "last_id": transfer_id})

    def mark_complete(self, *, at: datetime) -> None:
        """Note that they are."""
        with translated(action="note that the index of envelopes is complete"):
            self._table.put_item(Item={**COMPLETE_KEY, "completed_at": at.astimezone(UTC).isoformat()})

    def read_reread(self) -> datetime | None:
        """When the last pass over all containers began that came to its end; None before the first."""
        with translated(action="look when the containers were read again"):
            item = self._table.get_item(Key=REREAD_KEY, ConsistentRead=True).get("Item")
        return None if item is None else datetime.fromisoformat(str(item["began_at"]))

    def read_pass(self) -> RereadingPass | None:
        """The pass that goes on; None when there is none."""
        with translated(action="look how far the containers were read again"):
            item = self._table.get_item(Key=PASS_KEY, ConsistentRead=True).get("Item")
        if item is None:
            return None
        last_id = item.get("last_id")
        return RereadingPass(
            began_at=datetime.fromisoformat(str(item["began_at"])), last_id=None if last_id is None else str(last_id)
        )

    def write_pass(self, done: RereadingPass) -> None:
        """Note how far it is."""
        item = {**PASS_KEY, "began_at": done.began_at.astimezone(UTC).isoformat()}
        with translated(action="note how far the containers were read again"):
            self._table.put_item(Item=item if done.last_id is None else {**item, "last_id": done.last_id})

    def end_pass(self, done: RereadingPass) -> None:
        """Note that it has come to the end. One that began earlier than another that has ended changes nothing."""
        began_at = done.began_at.astimezone(UTC).isoformat()
        with translated(action="note that the containers were read again"):
            ended = self.read_reread()
            if ended is None or ended < done.began_at:
                self._table.put_item(Item={**REREAD_KEY, "began_at": began_at})
            self._table.delete_item(Key=PASS_KEY)

    def _query(self, key_id: str, role: KeyRole, *, limit: int, start: dict[str, str] | None = None) -> Any:
        more: dict[str, Any] = {} if start is None else {"ExclusiveStartKey": start}
        with translated(action=f"find what needs key {key_id[:16]}"):
            return self._table.query(
                KeyConditionExpression=Key("key_id").eq(key_id) & Key("item").begins_with(f"{role}#"),
                ConsistentRead=True,
                Limit=limit,
                **more,
            )


def _key_of(dependency: Dependency) -> dict[str, str]:
    epoch = str(dependency.epoch).zfill(_EPOCH_DIGITS)
    return {"key_id": dependency.key_id, "item": f"{dependency.role}#{dependency.transfer_id}#{epoch}"}


def _read(item: Any) -> Dependency:
    role, transfer_id, epoch = str(item["item"]).split("#")
    return Dependency(key_id=str(item["key_id"]), role=KeyRole(role), transfer_id=transfer_id, epoch=int(epoch))
