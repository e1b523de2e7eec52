"""All keys of the registry in DynamoDB, page by page, without the public keys themselves."""

import json
from typing import TYPE_CHECKING, Any

from pqtransfer.aws.failures import translated
from pqtransfer.aws.participant_items import KEY_ITEM_PREFIX, Item, read_summary
from pqtransfer.errors import InputError
from pqtransfer.keys.rotation import KeyPage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SUMMARY_ATTRIBUTES = "#item, participant, purpose, #state, created_at, activated_at, state_changed_at, secret_id"
CURSOR_FIELDS = {"participant", "item"}


class InvalidCursorError(InputError):
    """Where a list of keys is to go on is not a place in the registry."""

    def __init__(self) -> None:
        super().__init__("the list of keys cannot go on from there; begin anew, without a cursor")


class DynamoKeyCatalogue:
    """A `KeyCatalogue` on the registry's table. It reads a page of at most 1 MiB at a time."""

    def __init__(self, client: "DynamoDBClient", *, table_name: str, page_items: int | None = None) -> None:
        self._client = client
        self._table_name = table_name
        self._limit: dict[str, Any] = {} if page_items is None else {"Limit": page_items}

    def list_keys(self, *, cursor: str | None = None) -> KeyPage:
        start: dict[str, Any] = {} if cursor is None else {"ExclusiveStartKey": _read_cursor(cursor)}
        with translated(action=f"list the keys in table {self._table_name}"):
            page = self._client.scan(
                TableName=self._table_name,
                ProjectionExpression=SUMMARY_ATTRIBUTES,
                FilterExpression="begins_with(#item, :key)",
                ExpressionAttributeNames={"#item": "item", "#state": "state"},
                ExpressionAttributeValues={":key": {"S": KEY_ITEM_PREFIX}},
                **self._limit,
                **start,
            )
        items: list[Item] = list(page["Items"])
        last = page.get("LastEvaluatedKey")
        return KeyPage(
            keys=tuple(read_summary(item) for item in items),
            next_cursor=None if not last else json.dumps({name: value["S"] for name, value in last.items()}),
        )


def _read_cursor(cursor: str) -> dict[str, Any]:
    try:
        place = json.loads(cursor)
    except ValueError:
        raise InvalidCursorError from None
    if (
        not isinstance(place, dict)
        or set(place) != CURSOR_FIELDS
        or not all(isinstance(v, str) for v in place.values())
    ):
        raise InvalidCursorError
    return {name: {"S": value} for name, value in place.items()}
