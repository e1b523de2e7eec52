"""Seal a small secret to one's own KEM key, under a label that says what for (HPKE single-shot, base mode)."""

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag

from pqtransfer.crypto.keypairs import PrivateKey, PublicKey
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import get_suite
from pqtransfer.errors import IntegrityError


class UnsealError(IntegrityError):
    """What was sealed cannot be opened with these keys under this label."""

    def __init__(self) -> None:
        super().__init__("what was sealed earlier does not open with this key; start the transfer again")


def seal_to_key(secret: SecretBytes, key: PublicKey, *, label: bytes) -> bytes:
    """The sealed secret: HPKE encapsulation and ciphertext, with `label` as `info`."""
    return get_suite(key.suite_id).hpke_suite().encrypt(secret.reveal(), key.to_hpke(), label)


def unseal_with_keys(sealed: bytes, keys: Sequence[PrivateKey], *, label: bytes) -> SecretBytes:
    """The secret, opened with the first key that fits.

    Raises:
        UnsealError: none does.
    """
    for key in keys:
        try:
            return SecretBytes(get_suite(key.suite_id).hpke_suite().decrypt(sealed, key.to_hpke(), label))
        except (InvalidTag, ValueError):
            continue
    raise UnsealError
