"""What an operator publishes is what a reader checks by; a wrong file is refused by name."""

import json

import pytest

from pqtransfer.audit.errors import InvalidNoteKeyError
from pqtransfer.audit.published_keys import KEYS_FILE_LIMIT_BYTES, InvalidPublishedKeysError, PublishedKeys
from tests.unit.audit.keys import POLICY

PUBLISHED = PublishedKeys.from_policy(POLICY)


def test_published_keys_are_the_policy_that_was_published() -> None:
    """Also when a person has indented the file."""
    indented = json.dumps(json.loads(PUBLISHED.to_json()), indent=2).encode()
    for data in (PUBLISHED.to_json(), indented):
        assert PublishedKeys.from_json(data).to_policy() == POLICY


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        PUBLISHED.to_json().replace(b"keys/1", b"keys/2"),
        PUBLISHED.to_json().replace(b"{", b'{"more":1,', 1),
        b" " * (KEYS_FILE_LIMIT_BYTES + 1),
    ],
)
def test_a_file_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidPublishedKeysError, match="ask the log's operator"):
        PublishedKeys.from_json(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"log_keys": ()},
        {"log_keys": ("name+00000000+AAAA",)},
        {"witnesses_required": 2},
        {"witness_keys": PUBLISHED.log_keys},
    ],
)
def test_keys_that_cannot_be_used_are_refused(changes: dict[str, object]) -> None:
    """No key of the log, a key that is none, more witnesses than there are, a witness that is the log itself."""
    data = PUBLISHED.model_copy(update=changes).to_json()
    with pytest.raises(InvalidNoteKeyError):
        PublishedKeys.from_json(data)
