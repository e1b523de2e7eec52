"""A small secret sealed to one's own key, under a label."""

import pytest

from pqtransfer.crypto.sealing import UnsealError, seal_to_key, unseal_with_keys
from pqtransfer.crypto.secret import SecretBytes
from tests.containers import make_identity

ALICE, BOB = make_identity("alice").kem, make_identity("bob").kem
SECRET = SecretBytes(bytes(range(32)))


@pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
def test_it_opens_with_the_key_and_the_label(suite_id: str) -> None:
    """Also among other keys."""
    key = make_identity("alice", suite_id).kem
    sealed = seal_to_key(SECRET, key.public_key, label=b"label")
    assert unseal_with_keys(sealed, [BOB, key], label=b"label").reveal() == SECRET.reveal()


SEALED = seal_to_key(SECRET, ALICE.public_key, label=b"label")


@pytest.mark.parametrize(
    ("sealed", "keys", "label"),
    [
        (SEALED, [BOB], b"label"),
        (SEALED, [], b"label"),
        (SEALED, [ALICE], b"another label"),
        (SEALED[:-1], [ALICE], b"label"),
        (SEALED[:10], [ALICE], b"label"),
        (b"", [ALICE], b"label"),
        (bytes([SEALED[0] ^ 1]) + SEALED[1:], [ALICE], b"label"),
        (SEALED[:-1] + bytes([SEALED[-1] ^ 1]), [ALICE], b"label"),
        (SEALED, [make_identity("alice", "PQT-2").kem], b"label"),
    ],
    ids=[
        "another's key",
        "no key",
        "another label",
        "cut by a byte",
        "cut to ten bytes",
        "empty",
        "first bit",
        "last bit",
        "another suite",
    ],
)
def test_it_opens_with_nothing_else(sealed: bytes, keys: list, label: bytes) -> None:
    """One error, whatever is wrong."""
    with pytest.raises(UnsealError):
        unseal_with_keys(sealed, keys, label=label)


def test_the_same_secret_is_sealed_anew_each_time() -> None:
    """Two sealings tell nothing of each other."""
    assert seal_to_key(SECRET, ALICE.public_key, label=b"label") != SEALED
