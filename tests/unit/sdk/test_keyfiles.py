"""Key directories: private keys stay private, nothing is overwritten, damaged files end in clear errors."""

from pathlib import Path

import pytest

from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.crypto.identity import InvalidProofError, PrivateIdentity
from pqtransfer.errors import PqtransferError
from pqtransfer.sdk.keyfiles import (
    ExposedKeyError,
    KeysExistError,
    load_private_identity,
    load_public_identity,
    save_identity,
)
from pqtransfer.sdk.local_errors import NotAFileError
from pqtransfer.transfers.folder import ObjectMissingError


@pytest.fixture
def keys(tmp_path: Path, alice: PrivateIdentity) -> Path:
    save_identity(alice, tmp_path / "keys")
    return tmp_path / "keys"


def test_keys_are_read_back(keys: Path, alice: PrivateIdentity) -> None:
    """By the directory or by the file."""
    for path in (keys, keys / "private-keys.json"):
        assert load_private_identity(path).to_json() == alice.to_json()
    for path in (keys, keys / "public-keys.json"):
        assert load_public_identity(path).signing == alice.signing.public_key


def test_private_keys_are_readable_by_their_owner_alone(keys: Path) -> None:
    """0700 the directory, 0600 the file; the public half is for everybody."""
    assert keys.stat().st_mode & 0o777 == 0o700
    assert (keys / "private-keys.json").stat().st_mode & 0o777 == 0o600
    assert (keys / "public-keys.json").stat().st_mode & 0o400


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601])
def test_private_keys_that_others_can_reach_are_refused(keys: Path, mode: int) -> None:
    """The message is the command that mends it."""
    path = keys / "private-keys.json"
    path.chmod(mode)
    with pytest.raises(ExposedKeyError, match=f"chmod 600 {path}"):
        load_private_identity(keys)
    path.chmod(0o600)
    load_private_identity(keys)


@pytest.mark.parametrize("name", ["private-keys.json", "public-keys.json"])
def test_keys_are_never_overwritten(tmp_path: Path, alice: PrivateIdentity, name: str) -> None:
    """Whichever of the files is there; the other one is not made."""
    directory = tmp_path / "keys"
    directory.mkdir()
    (directory / name).write_bytes(b"precious")
    with pytest.raises(KeysExistError):
        save_identity(alice, directory)
    assert [path.name for path in directory.iterdir()] == [name]
    assert (directory / name).read_bytes() == b"precious"


def test_an_existing_directory_is_closed_or_refused(
    tmp_path: Path, alice: PrivateIdentity, bob: PrivateIdentity
) -> None:
    """An empty one is closed; one with files that others may write to is refused."""
    empty, shared = tmp_path / "empty", tmp_path / "shared"
    empty.mkdir(mode=0o755)
    save_identity(alice, empty)
    assert empty.stat().st_mode & 0o777 == 0o700
    shared.mkdir()
    (shared / "notes").touch()
    shared.chmod(0o777)
    with pytest.raises(ExposedKeyError, match="chmod 700"):
        save_identity(bob, shared)
    assert not (shared / "private-keys.json").exists()


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", MalformedDocumentError), (b"{}", MalformedDocumentError), (b"\xff" * 100_000, MalformedDocumentError)],
)
def test_what_is_no_key_file_is_refused(keys: Path, content: bytes, error: type[PqtransferError]) -> None:
    """Both kinds."""
    (keys / "public-keys.json").write_bytes(content)
    (keys / "private-keys.json").write_bytes(content)
    with pytest.raises(error):
        load_public_identity(keys)
    with pytest.raises(error):
        load_private_identity(keys)


def test_public_keys_with_another_name_are_refused(keys: Path) -> None:
    """The proof binds the name to the keys."""
    path = keys / "public-keys.json"
    path.write_bytes(path.read_bytes().replace(b'"participant":"alice"', b'"participant":"mallo"'))
    with pytest.raises(InvalidProofError):
        load_public_identity(keys)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    """A missing file, an empty directory, something that is no file."""
    with pytest.raises(ObjectMissingError, match="nowhere"):
        load_public_identity(tmp_path / "nowhere")
    with pytest.raises(ObjectMissingError, match=r"private-keys\.json"):
        load_private_identity(tmp_path)
    (tmp_path / "public-keys.json").mkdir()
    with pytest.raises(NotAFileError):
        load_public_identity(tmp_path)


def test_a_private_key_never_shows(keys: Path) -> None:
    """Not in the text of an error about the file."""
    path = keys / "private-keys.json"
    secret = path.read_bytes()
    path.write_bytes(secret[:-1])
    path.chmod(0o600)
    with pytest.raises(MalformedDocumentError) as caught:
        load_private_identity(keys)
    assert not any(word in str(caught.value) for word in secret.decode().split('"') if len(word) > 20)
