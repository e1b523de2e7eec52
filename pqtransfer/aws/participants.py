"""The key registry in DynamoDB.

One partition a participant (`participant`), one item for itself (`item` = `PARTICIPANT`) and one for each key version
(`KEY#<key id>`). Every write is one transaction under conditions, so that no reader ever sees half a participant, and
every read is strongly consistent.

The participant's item names the ACTIVE key of each purpose and the number of the newest version. A transaction that
changes either compares it with what its caller read: so there is one ACTIVE key of a purpose, whoever rotates at the
same time. The conditions are on values, not on a counter, because a query may see one transaction in part. Such a torn
read is made again and never handed out: see `participant_reads`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from pqtransfer.aws.failures import ConditionFailedError, translated
from pqtransfer.aws.participant_items import (
    key_of,
    participant_key_of,
    write_key,
    write_participant,
    write_revocation,
    write_time,
)
from pqtransfer.aws.participant_reads import ParticipantReads
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys import changes
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import KeyVersion, PairProof, RegisteredParticipant, Revocation
from pqtransfer.keys.registry import (
    ParticipantExistsError,
    RegistryConflictError,
    RegistryTornError,
    describe_difference,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef, UpdateTypeDef

KEYS_AT_ONCE = 90
"""A transaction takes 100 actions; the participant's own item may be one."""
MOST_REVOKE_ATTEMPTS = 10
"""A revocation does not depend on what it finds, so it is tried again when another call was faster."""

REVOCATION_ATTRIBUTES = (
    "participant",
    "item",
    "state",
    "activated_at",
    "state_changed_at",
    "revocation",
    *(f"active_{purpose}" for purpose in KeyPurpose),
    "pair_proof",
)
"""All that a revocation names of the items that it writes. Whoever only revokes may touch no more."""


class DynamoKeyRegistry:
    """A `KeyRegistry` in one DynamoDB table."""

    def __init__(
        self, client: "DynamoDBClient", *, table_name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._table_name = table_name
        self._reads = ParticipantReads(client, table_name=table_name, sleep=sleep)

    def load(self, name: str) -> RegisteredParticipant:
        return self._reads.load(name)

    def load_to_revoke(self, name: str) -> RegisteredParticipant:
        return self._reads.load_to_revoke(name)

    def list_all(self) -> list[RegisteredParticipant]:
        return self._reads.list_all()

    def add(self, registered: RegisteredParticipant) -> RegisteredParticipant:
        puts = [write_participant(registered), *(write_key(key) for key in registered.keys)]
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
                "Item": write_participant(afresh),
                "ConditionExpression": "attribute_exists(participant)",
            }
        }
        self._write(
            begun.name,
            [
                replace,
                *(self._change(key, key.move_to(KeyState.REVOKED, at=at)) for key in begun.pending_keys),
                *(self._put_new(write_key(key)) for key in afresh.keys),
            ],
        )

    def change_state(self, keys: Iterable[KeyVersion], state: KeyState, *, at: datetime) -> tuple[KeyVersion, ...]:
        before = tuple(keys)
        return self._change_current(before, lambda current: changes.move_keys(current, before, state, at=at))

    def add_versions(self, registered: RegisteredParticipant, keys: Iterable[KeyVersion]) -> RegisteredParticipant:
        return self._commit(registered, changes.add_versions(registered, keys))

    def activate(
        self,
        registered: RegisteredParticipant,
        keys: Iterable[KeyVersion],
        *,
        proof: PairProof | None,
        at: datetime,
    ) -> RegisteredParticipant:
        return self._commit(registered, changes.activate_versions(registered, keys, proof=proof, at=at))

    def revoke(self, keys: Iterable[KeyVersion], revocation: Revocation) -> tuple[KeyVersion, ...]:
        """As many in one step as a transaction takes; what may be used comes first, so both keys of a pair go together.

        A crash between two steps leaves the rest as it was; the same call again goes on.
        """
        named = tuple(keys)
        by_use = sorted(named, key=lambda key: key.state is not KeyState.ACTIVE)
        revoked = [self._revoke(step, revocation) for step in _in_steps(by_use)]
        return _same_keys(named, revoked[-1]) if revoked else ()

    def _revoke(self, keys: Sequence[KeyVersion], revocation: Revocation) -> RegisteredParticipant:
        """A participant that stays torn: its keys alone. Its own item names them as ACTIVE still, so it is refused."""
        name = keys[0].participant
        for _ in range(MOST_REVOKE_ATTEMPTS):
            try:
                current = self.load(name)
                return self._commit(current, changes.revoke_keys(current, keys, revocation))
            except RegistryTornError:
                with suppress(RegistryConflictError):
                    return self._revoke_torn(name, keys, revocation)
            except RegistryConflictError:
                continue
        raise RegistryConflictError(name)

    def _revoke_torn(self, name: str, keys: Sequence[KeyVersion], revocation: Revocation) -> RegisteredParticipant:
        before = self._reads.load_torn(name)
        after = changes.revoke_keys(before, keys, revocation)
        actions = [self._change(was, becomes) for was, becomes in changes.changed_keys(before, after)]
        if actions:
            self._write(name, actions)
        return after

    def give_up(self, key: KeyVersion, revocation: Revocation) -> KeyVersion:
        (given_up,) = self._change_current((key,), lambda current: changes.give_up_key(current, key, revocation))
        return given_up

    def forget_secrets(self, keys: Iterable[KeyVersion]) -> None:
        before = tuple(keys)
        self._change_current(before, lambda current: changes.forget_secrets(current, before))

    def _change_current(
        self, keys: tuple[KeyVersion, ...], change: Callable[[RegisteredParticipant], RegisteredParticipant]
    ) -> tuple[KeyVersion, ...]:
        if not keys:
            return ()
        current = self.load(keys[0].participant)
        return _same_keys(keys, self._commit(current, change(current)))

    def _commit(self, before: RegisteredParticipant, after: RegisteredParticipant) -> RegisteredParticipant:
        actions = [self._change(was, becomes) for was, becomes in changes.changed_keys(before, after)]
        actions += [self._put_new(write_key(key)) for key in changes.new_keys(before, after)]
        if changes.changes_pair(before, after) or changes.new_keys(before, after):
            actions.append(self._point(before, after))
        if actions:
            self._write(before.name, actions)
        return after

    def _put_new(self, item: "dict[str, AttributeValueTypeDef]") -> "TransactWriteItemTypeDef":
        return {
            "Put": {
                "TableName": self._table_name,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(participant)",
            }
        }

    def _change(self, before: KeyVersion, after: KeyVersion) -> "TransactWriteItemTypeDef":
        sets = ["#state = :after", "activated_at = :activated_at", "state_changed_at = :state_changed_at"]
        values: dict[str, AttributeValueTypeDef] = {
            ":before": {"S": before.state},
            ":after": {"S": after.state},
            ":activated_at": write_time(after.activated_at),
            ":state_changed_at": write_time(after.state_changed_at),
        }
        if after.revocation is not None:
            sets.append("revocation = :revocation")
            values[":revocation"] = write_revocation(after.revocation)
        forget = " REMOVE secret_id" if after.secret_id is None and before.secret_id is not None else ""
        return {
            "Update": {
                "TableName": self._table_name,
                "Key": key_of(before),
                "UpdateExpression": f"SET {', '.join(sets)}{forget}",
                "ConditionExpression": "#state = :before",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": values,
            }
        }

    def _point(self, before: RegisteredParticipant, after: RegisteredParticipant) -> "TransactWriteItemTypeDef":
        """Bring the participant's item from what it says of its keys before to what it says after."""
        was, becomes = write_participant(before), write_participant(after)
        compared = [f"newest_{key.purpose}" for key in changes.first_new_keys(before, after)]
        told = list(compared)
        if changes.changes_pair(before, after):
            compared += [f"active_{purpose}" for purpose in KeyPurpose]
            told = [*compared, "pair_proof"]
        sets = [f"{name} = :{name}" for name in told if name in becomes]
        removes = [name for name in told if name not in becomes]
        values = {f":{name}": becomes[name] for name in told if name in becomes}
        values.update({f":was_{name}": was[name] for name in compared if name in was})
        update: UpdateTypeDef = {
            "TableName": self._table_name,
            "Key": participant_key_of(before.name),
            "UpdateExpression": " ".join(
                f"{word} {', '.join(changed)}" for word, changed in (("SET", sets), ("REMOVE", removes)) if changed
            ),
            "ConditionExpression": " AND ".join(
                ["attribute_exists(participant)", *(_unchanged(name, known=name in was) for name in compared)]
            ),
        }
        if values:
            update["ExpressionAttributeValues"] = values
        return {"Update": update}

    def _write(self, name: str, actions: "list[TransactWriteItemTypeDef]") -> None:
        try:
            with translated(action=f"write participant {name} in table {self._table_name}"):
                self._client.transact_write_items(TransactItems=actions)
        except ConditionFailedError:
            raise RegistryConflictError(name) from None


def _unchanged(name: str, *, known: bool) -> str:
    """The condition that an attribute is as it was. Items of before there were such attributes get them here."""
    absent = f"attribute_not_exists({name})"
    return f"({absent} OR {name} = :was_{name})" if known else absent


def _in_steps(keys: Sequence[KeyVersion]) -> Iterator[Sequence[KeyVersion]]:
    for start in range(0, len(keys), KEYS_AT_ONCE):
        yield keys[start : start + KEYS_AT_ONCE]


def _same_keys(keys: tuple[KeyVersion, ...], registered: RegisteredParticipant) -> tuple[KeyVersion, ...]:
    asked = {key.key_id for key in keys}
    return tuple(key for key in registered.keys if key.key_id in asked)
