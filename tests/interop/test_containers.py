"""Whole containers between the Python code and container.mjs, which was written from docs/spec/container.md alone."""

from pathlib import Path
from typing import Any

import pytest

from pqtransfer.crypto.manifest import SignedManifest
from tests.containers import TRANSFER_ID, Container, make_bytes, make_container, make_identity, open_container
from tests.interop.javascript import Ask

CAPACITY = (1 << 20) - 32
LENGTHS = (0, 1, 1000, CAPACITY, CAPACITY + 1, 2 * CAPACITY)

each_suite = pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])


def get_seed(suite_id: str, purpose: str, name: str) -> str:
    return make_bytes(f"pqtransfer test {suite_id} {purpose} {name}", 32).hex()


@pytest.mark.parametrize(("suite_id", "hpke"), [("PQT-1", "library"), ("PQT-1", "noble"), ("PQT-2", "noble")])
def test_javascript_opens_what_we_write(ask: Ask, tmp_path: Path, suite_id: str, hpke: str) -> None:
    """HPKE, info, MAC, FLOE, digests and both signatures, at every kind of length. PQT-1's HPKE also by @hpke/core."""
    jobs: list[dict[str, Any]] = []
    for length in LENGTHS:
        container = make_container(
            make_bytes("model", length), suite_id=suite_id, recipients=("carol", "bob"), metadata={"ключ": "Ω\n"}
        )
        container.save(tmp_path / str(length))
        jobs.append(
            {
                "op": "openContainer",
                "directory": str(tmp_path / str(length)),
                "seed": get_seed(suite_id, "kem", "bob"),
                "output": str(tmp_path / f"{length}.out"),
                "hpke": hpke,
            }
        )
    signer = make_identity("alice", suite_id).signing.public_key.key_id
    expected = {"signer": signer, "wrapper": signer, "metadata": {"ключ": "Ω\n"}}
    assert ask(*jobs) == [expected] * len(LENGTHS)
    assert [(tmp_path / f"{length}.out").read_bytes() for length in LENGTHS] == [
        make_bytes("model", length) for length in LENGTHS
    ]


@each_suite
def test_we_open_what_javascript_writes(ask: Ask, tmp_path: Path, suite_id: str) -> None:
    jobs: list[dict[str, Any]] = []
    for length in LENGTHS:
        (tmp_path / f"{length}.in").write_bytes(make_bytes("model", length))
        jobs.append(
            {
                "op": "writeContainer",
                "directory": str(tmp_path / str(length)),
                "plaintext": str(tmp_path / f"{length}.in"),
                "suiteId": suite_id,
                "transferId": TRANSFER_ID,
                "sender": "alice",
                "signingSeed": get_seed(suite_id, "signing", "alice"),
                "recipients": [make_identity(name, suite_id).kem.public_key.raw.hex() for name in ("bob", "carol")],
                "partSize": 1 << 20,
                "metadata": {"written-by": "JavaScript", "\U0001f600": "\ufb33"},
            }
        )
    assert ask(*jobs) == [{}] * len(LENGTHS)
    alice, carol = make_identity("alice", suite_id), make_identity("carol", suite_id)
    for length in LENGTHS:
        container = Container.load(tmp_path / str(length))
        plaintext = open_container(container, carol.kem, sender=alice.signing.public_key)
        assert plaintext == make_bytes("model", length)
        assert SignedManifest.from_json(container.manifest_json).body.metadata["written-by"] == "JavaScript"


@each_suite
def test_javascript_refuses_what_was_changed(ask: Ask, tmp_path: Path, suite_id: str) -> None:
    """The other implementation finds a changed payload, an envelope of another transfer, and a wrong recipient."""
    container = make_container(make_bytes("model", 100), suite_id=suite_id)
    other = make_container(make_bytes("model", 100), suite_id=suite_id, transfer_id=TRANSFER_ID[:-1] + "9")
    container.with_payload(lambda payload: payload[:-1] + bytes([payload[-1] ^ 1])).save(tmp_path / "changed")
    Container(container.payload, container.manifest_json, other.envelope_json).save(tmp_path / "mixed")
    container.save(tmp_path / "right")

    def job(directory: str, reader: str) -> dict[str, Any]:
        return {
            "op": "openContainer",
            "directory": str(tmp_path / directory),
            "seed": get_seed(suite_id, "kem", reader),
            "output": str(tmp_path / "out"),
        }

    answers = ask(job("changed", "bob"), job("mixed", "bob"), job("right", "mallory"))
    assert [answer["error"] for answer in answers] == [
        "refused: digest of part 0",
        "refused: envelope of another transfer",
        "refused: not a recipient",
    ]
    assert not (tmp_path / "out").exists()
