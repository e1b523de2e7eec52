"""Write the project's own container vectors: `python tests/vectors/make_vectors.py` adds those that are missing.

Committed vectors never change: whatever is written today has to be readable for ever. Keys, data keys, FLOE IVs and
segment nonces come from SHAKE256 of the labels in `vectors.json`; HPKE and ML-DSA draw their own randomness, so an
envelope or a signature is there to be opened or verified, not to be made again.
"""

import json
import sys
from pathlib import Path
from unittest.mock import patch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from pqtransfer.crypto import floe  # noqa: E402
from pqtransfer.crypto.secret import SecretBytes  # noqa: E402
from tests.containers import Container, make_bytes, make_container, make_identity  # noqa: E402

CAPACITY = (1 << 20) - 32
CASES = (
    # name, suite, plaintext length, recipients, is the payload committed (or made again from the nonces)
    ("pqt-1-empty", "PQT-1", 0, ("bob",), True),
    ("pqt-1-three-bytes", "PQT-1", 3, ("alice", "bob", "carol"), True),
    ("pqt-1-two-parts", "PQT-1", CAPACITY + 1, ("bob",), True),
    ("pqt-2-three-bytes", "PQT-2", 3, ("alice", "bob"), True),
    ("pqt-2-full-segment", "PQT-2", CAPACITY, ("bob",), False),
)


class RandomSource:
    """Stands in for os.urandom while a payload is encrypted: call n gives SHAKE256("<label> n")."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.calls = 0

    def __call__(self, length: int) -> bytes:
        self.calls += 1
        return make_bytes(f"{self.label} {self.calls - 1}", length)


def make_vector(name: str, suite_id: str, length: int, recipients: tuple[str, ...]) -> Container:
    """The container of one case; its payload is the same at every run."""
    with patch.object(floe.os, "urandom", RandomSource(f"{name} random")):
        return make_container(
            make_bytes(f"{name} plaintext", length),
            suite_id=suite_id,
            recipients=recipients,
            data_key=SecretBytes(make_bytes(f"{name} data key", 32)),
            metadata={"vector": name},
        )


def describe(name: str, suite_id: str, length: int, recipients: tuple[str, ...], committed: bool) -> dict[str, object]:
    sender = make_identity("alice", suite_id)
    return {
        "name": name,
        "suite": suite_id,
        "plaintext": {"shake256_of": f"{name} plaintext", "length": length},
        "data_key": make_bytes(f"{name} data key", 32).hex(),
        "floe_iv": make_bytes(f"{name} random 0", 32).hex(),
        "segment_nonces": [
            make_bytes(f"{name} random {n + 1}", 12).hex() for n in range(max(1, -(-length // CAPACITY)))
        ],
        "payload_committed": committed,
        "sender_signing_key": sender.signing.public_key.key_id,
        "recipients": [
            {
                "name": recipient,
                "kem_seed": make_bytes(f"pqtransfer test {suite_id} kem {recipient}", 32).hex(),
                "key_id": make_identity(recipient, suite_id).kem.public_key.key_id,
            }
            for recipient in recipients
        ],
    }


def main() -> None:
    for name, suite_id, length, recipients, committed in CASES:
        directory = HERE / name
        if directory.exists():
            print(f"{name}: is there, left as it is")
            continue
        make_vector(name, suite_id, length, recipients).save(directory)
        if not committed:
            (directory / "payload").unlink()
        print(f"{name}: written")
    described = [describe(*case) for case in CASES]
    (HERE / "vectors.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
