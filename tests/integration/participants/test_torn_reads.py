"""A read of the registry that sees one transaction in part is made again, and never handed out."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from pqtransfer.aws.participant_reads import MOST_READS
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.keys.registry import RegistryTornError
from tests.integration.participants.test_key_changes import LATER, REVOCATION, TABLE, Site

Items = list[dict[str, Any]]
Read = Callable[[DynamoKeyRegistry], RegisteredParticipant]


class TearingClient:
    """Answers its first reads with torn items, and the others as the table does."""

    def __init__(self, client: Any, torn: Items, *, times: int) -> None:
        self._client, self._torn, self._left = client, torn, times
        self.reads = 0

    def get_paginator(self, operation: str) -> Any:
        self.reads += 1
        self._left -= 1
        return TornPages(self._torn) if self._left >= 0 else self._client.get_paginator(operation)


class TornPages:
    """An item a page."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def paginate(self, **_: Any) -> list[dict[str, Items]]:
        return [{"Items": [item]} for item in self._items]


@pytest.fixture(params=["participant first", "keys first", "old key first", "new key first"])
def torn(request: pytest.FixtureRequest, registry: DynamoKeyRegistry, dynamodb: Any) -> Items:
    """A rotation of the KEM key, of which some items are read from before and some from after."""
    site = Site()
    read = registry.add(site.registered)
    new = site.make_version(read, KeyPurpose.KEM)
    read = registry.add_versions(read, [new])
    before = _items_by_key(dynamodb)
    registry.activate(read, [new], proof=site.prove(read, new), at=LATER)
    after = _items_by_key(dynamodb)
    old = read.keys[0]
    changed = {
        "participant first": ["PARTICIPANT"],
        "keys first": [f"KEY#{old.key_id}", f"KEY#{new.key_id}"],
        "old key first": [f"KEY#{old.key_id}"],
        "new key first": [f"KEY#{new.key_id}"],
    }[request.param]
    return [after[item] if item in changed else before[item] for item in before]


READS: dict[str, Read] = {
    "load": lambda registry: registry.load("site-a"),
    "list": lambda registry: registry.list_all()[0],
}


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("times", [1, MOST_READS - 1])
def test_a_torn_read_is_made_again(
    torn: Items, registry: DynamoKeyRegistry, dynamodb: Any, read: Read, times: int
) -> None:
    """Whatever is seen of a rotation in the middle, what is handed out has one ACTIVE key of each purpose."""
    client, waits = TearingClient(dynamodb, torn, times=times), list[float]()
    found = read(DynamoKeyRegistry(cast("Any", client), table_name=TABLE, sleep=waits.append))
    assert found == registry.load("site-a")
    assert found.to_identity() is not None
    assert client.reads == times + 1


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_stays_torn_is_refused(torn: Items, dynamodb: Any, read: Read) -> None:
    """After some reads, with growing waits between; the caller may come again."""
    client, waits = TearingClient(dynamodb, torn, times=1000), list[float]()
    with pytest.raises(RegistryTornError, match=r"site-a.*try again"):
        read(DynamoKeyRegistry(cast("Any", client), table_name=TABLE, sleep=waits.append))
    assert client.reads in (MOST_READS, MOST_READS + 1)
    assert len(waits) == MOST_READS - 1
    assert 0 < sum(waits) < 1


@pytest.mark.requirement("D4.4")
def test_what_stays_torn_is_revoked_all_the_same(registry: DynamoKeyRegistry, dynamodb: Any) -> None:
    """Changed by hand, say. Nobody is given any of the keys then; to revoke them again changes nothing."""
    site = Site()
    registry.add(site.registered)
    dynamodb.update_item(
        TableName=TABLE,
        Key={"participant": {"S": "site-a"}, "item": {"S": "PARTICIPANT"}},
        UpdateExpression="SET active_kem = :other",
        ExpressionAttributeValues={":other": {"S": "0" * 64}},
    )
    patient = DynamoKeyRegistry(dynamodb, table_name=TABLE, sleep=lambda _: None)
    keys = patient.load_to_revoke("site-a").keys
    for _ in range(2):
        revoked = patient.revoke(keys, REVOCATION)
        assert [(key.state, key.revocation) for key in revoked] == [(KeyState.REVOKED, REVOCATION)] * 2
    assert patient.load_to_revoke("site-a").keys == revoked
    with pytest.raises(RegistryTornError):
        patient.load("site-a")


def _items_by_key(dynamodb: Any) -> dict[str, dict[str, Any]]:
    return {item["item"]["S"]: item for item in dynamodb.scan(TableName=TABLE)["Items"]}
