"""Secrets that a test knows, and every way in which they could show up where they must not."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ahocorasick_rs import BytesAhoCorasick

from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey
from pqtransfer.crypto.secret import SecretBytes

LEAST_BYTES = 16
"""Half of a key is a leak too: each half is looked for by itself."""


@dataclass
class Canaries:
    """Known secrets, and what each looks like raw, in hexadecimal, in base64, escaped, and as numbers."""

    forms: dict[bytes, str] = field(default_factory=dict, repr=False)

    def add(self, name: str, secret: bytes) -> None:
        """Look for these bytes, and for each half of them."""
        half = len(secret) // 2
        pieces = {name: secret, f"{name}, first half": secret[:half], f"{name}, second half": secret[half:]}
        for piece_name, piece in pieces.items():
            if len(piece) >= LEAST_BYTES:
                self.forms |= {form: f"{piece_name} ({how})" for how, form in spell(piece).items()}

    def add_data_key(self, name: str, data_key: SecretBytes) -> None:
        """Look for a data key."""
        self.add(name, data_key.reveal())

    def add_key(self, name: str, key: PrivateKey) -> None:
        """Look for a private key: its seed, and what the seed is expanded to."""
        seed = base64.b64decode(json.loads(key.to_json().reveal())["seed"])
        self.add(f"{name}: seed", seed)
        if key.purpose is KeyPurpose.KEM:
            expanded = hashlib.shake_256(seed).digest(96)
            self.add(f"{name}: ML-KEM d", expanded[:32])
            self.add(f"{name}: ML-KEM z", expanded[32:64])
            self.add(f"{name}: traditional half", expanded[64:])
        else:  # FIPS 204, algorithm 6: H(xi | k | l) gives rho, rho' and K; rho is public
            rows_and_columns = bytes([6, 5]) if key.suite_id == "PQT-1" else bytes([8, 7])
            expanded = hashlib.shake_256(seed + rows_and_columns).digest(128)
            self.add(f"{name}: ML-DSA rho'", expanded[32:96])
            self.add(f"{name}: ML-DSA K", expanded[96:])

    def find(self, places: Mapping[str, bytes]) -> list[str]:
        """`place: which secret, and how`, for every secret that is somewhere. A place is read once for all forms."""
        descriptions, automaton = list(self.forms.values()), BytesAhoCorasick(list(self.forms))
        return [
            f"{place}: {descriptions[index]}"
            for place, data in places.items()
            for index in sorted({match[0] for match in automaton.find_matches_as_indexes(data, overlapping=True)})
        ]


def spell(secret: bytes) -> Mapping[str, bytes]:
    """The spellings of some bytes. In base64 they look otherwise at each of the three places where they may begin."""
    spelled = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "hex with colons": secret.hex(":").encode(),
        "numbers": ", ".join(map(str, secret)).encode(),
        "numbers without blanks": ",".join(map(str, secret)).encode(),
        "repr": repr(secret)[2:-1].encode(),
        "base85": base64.b85encode(secret),
        "base32": base64.b32encode(secret).rstrip(b"="),
        "an integer": str(int.from_bytes(secret, "big")).encode(),
    }
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret)
        inner = encoded[(0, 2, 3)[offset] : len(encoded) // 4 * 4 - 4]  # what the neighbours do not change
        spelled[f"base64 at {offset}"] = inner
        spelled[f"URL-safe base64 at {offset}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    return spelled


def require_absent(canaries: Canaries, places: Mapping[str, bytes]) -> None:
    """No secret is anywhere; and there was something to look at."""
    assert canaries.forms
    empty = [name for name, data in places.items() if not data]
    assert places
    assert len(empty) < len(places), f"nothing to look at in {empty}"
    assert canaries.find(places) == []


def join(parts: Iterable[bytes | str]) -> bytes:
    """Texts and bytes as one place."""
    return b"\n".join(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts)
