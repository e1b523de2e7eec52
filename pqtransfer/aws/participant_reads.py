"""Reading the key registry in DynamoDB, so that what is handed out was registered at one time.

A query may see one transaction in part. Such a torn read is never handed out: where the key items do not agree with
what the participant's item says is ACTIVE, it is read again, a few times, and then refused to all but who revokes: that
stands on nothing but the state of each key. Of an item from before it named ACTIVE keys, this cannot be told.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from pqtransfer.aws.failures import translated
from pqtransfer.aws.participant_items import Item, is_torn, read_registered
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.keys.registry import ParticipantUnknownError, RegistryTornError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_READS = 6
FIRST_WAIT_SECONDS = 0.02
"""Doubled before each further read: a transaction takes some milliseconds, and the last wait is 0.3 s."""


class ParticipantReads:
    """`load` and `list_all` of a `KeyRegistry`, strongly consistent."""

    def __init__(self, client: "DynamoDBClient", *, table_name: str, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._table_name = table_name
        self._sleep = sleep

    def load(self, name: str) -> RegisteredParticipant:
        """The participant and all of its keys; raises as `KeyRegistry.load`."""
        for read in range(MOST_READS):
            if read:
                self._sleep(random.uniform(0.5, 1) * FIRST_WAIT_SECONDS * 2.0 ** (read - 1))  # noqa: S311 - jitter
            items = self._query(name)
            registered = read_registered(name, items)
            if not is_torn(registered, items):
                return registered
        raise RegistryTornError(name)

    def load_to_revoke(self, name: str) -> RegisteredParticipant:
        """As `load`; what stays torn is handed out as it stands."""
        try:
            return self.load(name)
        except RegistryTornError:
            return self.load_torn(name)

    def load_torn(self, name: str) -> RegisteredParticipant:
        """The participant as its items stand, torn or not: what it says of ACTIVE keys is not to be relied on."""
        return read_registered(name, self._query(name))

    def list_all(self) -> list[RegisteredParticipant]:
        """Every participant, ordered by name; those that were torn in the listing are loaded one by one."""
        items_by_name: dict[str, list[Item]] = {}
        with translated(action=f"list the participants in table {self._table_name}"):
            pages = self._client.get_paginator("scan").paginate(TableName=self._table_name, ConsistentRead=True)
            for page in pages:
                for item in page["Items"]:
                    items_by_name.setdefault(item["participant"].get("S", ""), []).append(item)
        listed = []
        for name, items in sorted(items_by_name.items()):
            registered = read_registered(name, items)
            listed.append(self.load(name) if is_torn(registered, items) else registered)
        return listed

    def _query(self, name: str) -> list[Item]:
        items: list[Item] = []
        with translated(action=f"read participant {name} in table {self._table_name}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table_name,
                KeyConditionExpression="participant = :name",
                ExpressionAttributeValues={":name": {"S": name}},
                ConsistentRead=True,
            )
            for page in pages:
                items.extend(page["Items"])
        if not items:
            raise ParticipantUnknownError(name)
        return items
