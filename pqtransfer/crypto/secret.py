"""Bytes that must not be shown: they hide themselves from `repr`, `str`, formatting, pickling and JSON."""

import hmac
from typing import Final, NoReturn


class SecretBytes:
    """Secret bytes. Only `reveal()` gives them out, so every use of a secret can be found by searching for it."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value: Final = bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves, for the cryptographic call or the secret store that needs them."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretBytes):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a secret has no hash: it must not become a dictionary key")

    def __repr__(self) -> str:
        return f"SecretBytes({len(self._value)} bytes)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
