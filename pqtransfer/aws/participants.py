"""The key registry in DynamoDB.

One partition a participant (`participant`), one item for itself (`item` = `PARTICIPANT`) and one for each key version
(`KEY#<key id>`). Every write is one transaction under conditions, so that no reader ever sees half a participant, and
every read is strongly consistent.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pqtransfer.aws.failures import ConditionFailedError, translated
from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import KeyVersion, Participant, RegisteredParticipant
from pqtransfer.keys.registry import (
    ParticipantExistsError,
    ParticipantUnknownError,
    RegistryConflictError,
    RegistryDamagedError,
    describe_difference,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

    Item = Mapping[str, AttributeValueTypeDef]

PARTICIPANT_ITEM = "PARTICIPANT"
KEY_ITEM_PREFIX = "KEY#"


class DynamoKeyRegistry:
    """A `KeyRegistry` in one DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", *, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def load(self, name: str) -> RegisteredParticipant:
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
        return _read_registered(name, items)

    def list_all(self) -> list[RegisteredParticipant]:
        items_by_name: dict[str, list[Item]] = {}
        with translated(action=f"list the participants in table {self._table_name}"):
            pages = self._client.get_paginator("scan").paginate(TableName=self._table_name, ConsistentRead=True)
            for page in pages:
                for item in page["Items"]:
                    items_by_name.setdefault(item["participant"].get("S", ""), []).append(item)
        return [_read_registered(name, items) for name, items in sorted(items_by_name.items())]

    def add(self, registered: RegisteredParticipant) -> RegisteredParticipant:
        puts = [_write_participant(registered.participant), *(_write_key(key) for key in registered.keys)]
        try:
            self._write(registered.name, [self._put_new(item) for item in puts])
        except RegistryConflictError:
            existing = self.load(registered.name)
            difference = describe_difference(existing, registered)
            if difference is not None:
                raise ParticipantExistsError(registered.name, difference=difference) from None
            return existing
        return registered

    def start_over(self, begun: RegisteredParticipant, afresh: RegisteredParticipant, *, at: datetime) -> None:
        if begun.was_ready:
            raise RegistryConflictError(begun.name)
        replace: TransactWriteItemTypeDef = {
            "Put": {
                "TableName": self._table_name,
                "Item": _write_participant(afresh.participant),
                "ConditionExpression": "attribute_exists(participant)",
            }
        }
        self._write(
            begun.name,
            [
                replace,
                *(self._move(key, key.move_to(KeyState.REVOKED, at=at)) for key in begun.pending_keys),
                *(self._put_new(_write_key(key)) for key in afresh.keys),
            ],
        )

    def change_state(self, keys: Iterable[KeyVersion], state: KeyState, *, at: datetime) -> tuple[KeyVersion, ...]:
        before = tuple(keys)
        after = tuple(key.move_to(state, at=at) for key in before)
        if before:
            moves = [self._move(*step) for step in zip(before, after, strict=True)]
            self._write(before[0].participant, moves)
        return after

    def _put_new(self, item: "Item") -> "TransactWriteItemTypeDef":
        return {
            "Put": {
                "TableName": self._table_name,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(participant)",
            }
        }

    def _move(self, before: KeyVersion, after: KeyVersion) -> "TransactWriteItemTypeDef":
        return {
            "Update": {
                "TableName": self._table_name,
                "Key": {"participant": {"S": before.participant}, "item": {"S": KEY_ITEM_PREFIX + before.key_id}},
                "UpdateExpression": "SET #state = :after, activated_at = :activated_at",
                "ConditionExpression": "#state = :before",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {
                    ":before": {"S": before.state},
                    ":after": {"S": after.state},
                    ":activated_at": _write_time(after.activated_at),
                },
            }
        }

    def _write(self, name: str, actions: "list[TransactWriteItemTypeDef]") -> None:
        try:
            with translated(action=f"write participant {name} in table {self._table_name}"):
                self._client.transact_write_items(TransactItems=actions)
        except ConditionFailedError:
            raise RegistryConflictError(name) from None


def _write_participant(participant: Participant) -> "dict[str, AttributeValueTypeDef]":
    item: dict[str, AttributeValueTypeDef] = {
        "participant": {"S": participant.name},
        "item": {"S": PARTICIPANT_ITEM},
        "kind": {"S": participant.kind},
        "created_at": {"S": participant.created_at.isoformat()},
        "principals": {"L": [{"S": principal} for principal in participant.principals]},
        "buckets": {"L": [{"S": bucket} for bucket in participant.buckets]},
    }
    if participant.role_arn is not None:
        item["role_arn"] = {"S": participant.role_arn}
    return item


def _write_key(key: KeyVersion) -> "dict[str, AttributeValueTypeDef]":
    item: dict[str, AttributeValueTypeDef] = {
        "participant": {"S": key.participant},
        "item": {"S": KEY_ITEM_PREFIX + key.key_id},
        "version": {"N": str(key.version)},
        "public_key": {"S": key.public_key.to_json().decode("ascii")},
        "purpose": {"S": key.purpose},
        "suite_id": {"S": key.suite_id},
        "state": {"S": key.state},
        "created_at": {"S": key.created_at.isoformat()},
        "activated_at": _write_time(key.activated_at),
    }
    if key.secret_id is not None:
        item["secret_id"] = {"S": key.secret_id}
    if key.proof is not None:
        item["proof"] = {"B": key.proof}
    return item


def _write_time(time: datetime | None) -> "AttributeValueTypeDef":
    return {"NULL": True} if time is None else {"S": time.isoformat()}


def _read_registered(name: str, items: "Iterable[Item]") -> RegisteredParticipant:
    participant: Participant | None = None
    keys = []
    try:
        for item in items:
            if item["item"]["S"] == PARTICIPANT_ITEM:
                participant = _read_participant(item)
            else:
                keys.append(_read_key(item))
        if participant is None:
            raise RegistryDamagedError(name, "it has keys and no participant")
        keys.sort(key=lambda key: (key.version, key.purpose))
        return RegisteredParticipant(participant=participant, keys=tuple(keys))
    except RegistryDamagedError:
        raise
    except (KeyError, ValueError, PqtransferError) as error:
        reason = _explain(error) if isinstance(error, ValidationError) else str(error)
        raise RegistryDamagedError(name, reason) from error


def _read_participant(item: "Item") -> Participant:
    return Participant.model_validate(
        {
            "name": item["participant"]["S"],
            "kind": item["kind"]["S"],
            "created_at": item["created_at"]["S"],
            "principals": [principal["S"] for principal in item["principals"]["L"]],
            "buckets": [bucket["S"] for bucket in _optional(item, "buckets", "L") or []],
            "role_arn": _optional(item, "role_arn", "S"),
        }
    )


def _read_key(item: "Item") -> KeyVersion:
    key = KeyVersion.model_validate(
        {
            "participant": item["participant"]["S"],
            "version": int(item["version"]["N"]),
            "public_key": PublicKey.from_json(item["public_key"]["S"].encode()),
            "state": item["state"]["S"],
            "created_at": item["created_at"]["S"],
            "activated_at": item["activated_at"].get("S"),
            "secret_id": _optional(item, "secret_id", "S"),
            "proof": _optional(item, "proof", "B"),
        }
    )
    if item["item"]["S"] != KEY_ITEM_PREFIX + key.key_id:
        raise RegistryDamagedError(key.participant, f"{item['item']['S']} is not the id of the key stored under it")
    return key


def _optional(item: "Item", attribute: str, kind: str) -> Any:
    value: Mapping[str, Any] | None = item.get(attribute)
    return None if value is None else value[kind]


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)[:5]
    )
