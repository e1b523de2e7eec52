"""Participants and key versions as items of a DynamoDB table. Items of before a field was added stay readable."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from pqtransfer.crypto.keypairs import KeyPurpose, PublicKey
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import KeyVersion, PairProof, Participant, RegisteredParticipant, Revocation
from pqtransfer.keys.registry import RegistryDamagedError
from pqtransfer.keys.rotation import KeySummary

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

Item: TypeAlias = "Mapping[str, AttributeValueTypeDef]"
PARTICIPANT_ITEM = "PARTICIPANT"
KEY_ITEM_PREFIX = "KEY#"


def key_of(key: KeyVersion) -> "dict[str, AttributeValueTypeDef]":
    """The primary key of a key version's item."""
    return {"participant": {"S": key.participant}, "item": {"S": KEY_ITEM_PREFIX + key.key_id}}


def participant_key_of(name: str) -> "dict[str, AttributeValueTypeDef]":
    """The primary key of a participant's own item."""
    return {"participant": {"S": name}, "item": {"S": PARTICIPANT_ITEM}}


def write_participant(registered: RegisteredParticipant) -> "dict[str, AttributeValueTypeDef]":
    """The participant's own item: who it is, and what it says about its keys."""
    participant = registered.participant
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
    for purpose in KeyPurpose:
        active = registered.find_active_key(purpose)
        item[f"newest_{purpose}"] = {"N": str(registered.newest_version(purpose))}
        if active is not None:
            item[f"active_{purpose}"] = {"S": active.key_id}
    if registered.pair_proof is not None:
        item["pair_proof"] = {
            "M": {
                "kem_key_id": {"S": registered.pair_proof.kem_key_id},
                "signing_key_id": {"S": registered.pair_proof.signing_key_id},
                "proof": {"B": registered.pair_proof.proof},
            }
        }
    return item


def write_key(key: KeyVersion) -> "dict[str, AttributeValueTypeDef]":
    """The item of one key version."""
    item: dict[str, AttributeValueTypeDef] = {
        "participant": {"S": key.participant},
        "item": {"S": KEY_ITEM_PREFIX + key.key_id},
        "version": {"N": str(key.version)},
        "public_key": {"S": key.public_key.to_json().decode("ascii")},
        "purpose": {"S": key.purpose},
        "suite_id": {"S": key.suite_id},
        "state": {"S": key.state},
        "created_at": {"S": key.created_at.isoformat()},
        "activated_at": write_time(key.activated_at),
        "state_changed_at": write_time(key.state_changed_at),
    }
    if key.revocation is not None:
        item["revocation"] = write_revocation(key.revocation)
    if key.secret_id is not None:
        item["secret_id"] = {"S": key.secret_id}
    if key.proof is not None:
        item["proof"] = {"B": key.proof}
    return item


def write_revocation(revocation: Revocation) -> "AttributeValueTypeDef":
    """Why a key was revoked."""
    return {
        "M": {
            "reason": {"S": revocation.reason},
            "revoked_at": write_time(revocation.revoked_at),
            "compromised_at": write_time(revocation.compromised_at),
            "reported_by": {"S": revocation.reported_by},
        }
    }


def write_time(time: datetime | None) -> "AttributeValueTypeDef":
    """A time, or none."""
    return {"NULL": True} if time is None else {"S": time.isoformat()}


def read_registered(name: str, items: Iterable[Item]) -> RegisteredParticipant:
    """What all items of one participant say.

    Raises:
        RegistryDamagedError: they are not a participant and its keys.
    """
    participant: Participant | None = None
    pair_proof: PairProof | None = None
    keys = []
    try:
        for item in items:
            if item["item"]["S"] == PARTICIPANT_ITEM:
                participant, pair_proof = _read_participant(item), _read_pair_proof(item)
            else:
                keys.append(_read_key(item))
        if participant is None:
            raise RegistryDamagedError(name, "it has keys and no participant")
        keys.sort(key=lambda key: (key.version, key.purpose))
        return RegisteredParticipant(participant=participant, keys=tuple(keys), pair_proof=pair_proof)
    except RegistryDamagedError:
        raise
    except (KeyError, ValueError, PqtransferError) as error:
        reason = _explain(error) if isinstance(error, ValidationError) else str(error)
        raise RegistryDamagedError(name, reason) from error


def is_torn(registered: RegisteredParticipant, items: Iterable[Item]) -> bool:
    """True when these items, which `registered` was read from, cannot have been stored at one time.

    The participant's item names the ACTIVE key of each purpose, and changes in one transaction with the keys: whoever
    reads other keys as ACTIVE has seen that transaction in part. Where it names none, there is none, or it is from
    before keys rotated; then it is only known that there are never two.
    """
    told = next((item for item in items if item["item"]["S"] == PARTICIPANT_ITEM), {})
    for purpose in KeyPurpose:
        active = [key.key_id for key in registered.keys if key.purpose is purpose and key.state is KeyState.ACTIVE]
        named = _optional(told, f"active_{purpose}", "S")
        if len(active) > 1 or (named is not None and active != [named]):
            return True
    return False


def read_summary(item: Item) -> KeySummary:
    """What the policy must know of a key version's item; the public key need not be there.

    Raises:
        RegistryDamagedError: it is not a key version's item.
    """
    try:
        return KeySummary(
            participant=item["participant"]["S"],
            purpose=KeyPurpose(item["purpose"]["S"]),
            key_id=item["item"]["S"].removeprefix(KEY_ITEM_PREFIX),
            state=KeyState(item["state"]["S"]),
            created_at=datetime.fromisoformat(item["created_at"]["S"]),
            activated_at=_read_time(item, "activated_at"),
            state_changed_at=_read_time(item, "state_changed_at"),
            secret_id=_optional(item, "secret_id", "S"),
        )
    except (KeyError, ValueError) as error:
        raise RegistryDamagedError(item["participant"].get("S", ""), str(error)) from error


def _read_time(item: Item, name: str) -> datetime | None:
    text = item.get(name, {}).get("S")
    return None if text is None else datetime.fromisoformat(text)


def _read_participant(item: Item) -> Participant:
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


def _read_pair_proof(item: Item) -> PairProof | None:
    pair = _optional(item, "pair_proof", "M")
    if pair is None:
        return None
    return PairProof.model_validate(
        {
            "kem_key_id": pair["kem_key_id"]["S"],
            "signing_key_id": pair["signing_key_id"]["S"],
            "proof": pair["proof"]["B"],
        }
    )


def _read_revocation(item: Item) -> Revocation | None:
    revocation = _optional(item, "revocation", "M")
    if revocation is None:
        return None
    return Revocation.model_validate(
        {
            "reason": revocation["reason"]["S"],
            "revoked_at": revocation["revoked_at"]["S"],
            "compromised_at": revocation["compromised_at"].get("S"),
            "reported_by": revocation["reported_by"]["S"],
        }
    )


def _read_key(item: Item) -> KeyVersion:
    key = KeyVersion.model_validate(
        {
            "participant": item["participant"]["S"],
            "version": int(item["version"]["N"]),
            "public_key": PublicKey.from_json(item["public_key"]["S"].encode()),
            "state": item["state"]["S"],
            "created_at": item["created_at"]["S"],
            "activated_at": item["activated_at"].get("S"),
            "state_changed_at": item.get("state_changed_at", {}).get("S"),
            "revocation": _read_revocation(item),
            "secret_id": _optional(item, "secret_id", "S"),
            "proof": _optional(item, "proof", "B"),
        }
    )
    if item["item"]["S"] != KEY_ITEM_PREFIX + key.key_id:
        raise RegistryDamagedError(key.participant, f"{item['item']['S']} is not the id of the key stored under it")
    return key


def _optional(item: Item, attribute: str, kind: str) -> Any:
    value: Mapping[str, Any] | None = item.get(attribute)
    return None if value is None else value[kind]


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)[:5]
    )
