"""Keys, a small model and its container on disk, for the tests of the SDK."""

from pathlib import Path

import pytest

from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.sdk import encrypt_file
from tests.containers import make_bytes, make_identity

MODEL = make_bytes("a model on disk", 3_000_000)  # three segments


@pytest.fixture(scope="session")
def alice() -> PrivateIdentity:
    return make_identity("alice")


@pytest.fixture(scope="session")
def bob() -> PrivateIdentity:
    return make_identity("bob")


@pytest.fixture(scope="session")
def eve() -> PrivateIdentity:
    return make_identity("eve")


@pytest.fixture
def model() -> bytes:
    return MODEL


@pytest.fixture
def container(tmp_path: Path, model: bytes, alice: PrivateIdentity, bob: PrivateIdentity) -> Path:
    """Alice's container for Bob."""
    source = tmp_path / "model.bin"
    source.write_bytes(model)
    out = tmp_path / "container"
    encrypt_file(source, sender=alice, recipients=[bob.to_public()], out=out)
    return out
