"""Bad containers end in a named error, with nothing under the final name and nothing left beside it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pqtransfer.crypto.canonical_json import MalformedDocumentError, encode_base64, write_canonical_json
from pqtransfer.crypto.envelope import ENVELOPE_CONTEXT, DamagedEnvelopeError, Envelope, NotARecipientError
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.manifest import InvalidSignatureError, SignedManifest, sign_manifest
from pqtransfer.crypto.payload import DamagedPartError
from pqtransfer.crypto.suites import WeakSuiteError
from pqtransfer.sdk import (
    decrypt_directory,
    inspect_directory,
    verify_directory,
)
from pqtransfer.transfers.container import DamagedPayloadError, NotAContainerError
from tests.containers import Container, make_bytes, make_container, make_identity

MEBIBYTE = 1 << 20


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def change_file(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        path = directory / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def flip(place: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[place] ^= 1
        return bytes(changed)

    return change


def swap_segments(payload: bytes) -> bytes:
    return payload[MEBIBYTE : 2 * MEBIBYTE] + payload[:MEBIBYTE] + payload[2 * MEBIBYTE :]


OTHER_CONTAINER = make_container(
    make_bytes("another model", 3_000_000), transfer_id="0198c0de-0000-7000-8000-000000000003", recipients=("bob",)
)


def splice(payload: bytes) -> bytes:
    return payload[:MEBIBYTE] + OTHER_CONTAINER.payload[MEBIBYTE:]


def strip_stanza(data: bytes) -> bytes:
    """Take a recipient away and sign again, as an attacker with a key of its own would."""
    body = Envelope.from_json(data).body
    return sign_envelope_body(body.model_dump(mode="json") | {"stanzas": [body.stanzas[0].model_dump(mode="json")]})


def sign_envelope_body(body: dict[str, object]) -> bytes:

    key = make_identity("eve").signing
    signature = key.sign(write_canonical_json(body), context=ENVELOPE_CONTEXT)
    signed = {"public_key": encode_base64(key.public_key.raw), "signature": encode_base64(signature)}
    return write_canonical_json({"body": body, "signed": signed})


def sign_as_eve(data: bytes) -> bytes:
    return sign_manifest(SignedManifest.from_json(data).body, make_identity("eve").signing).to_json()


BAD_CONTAINERS = {
    "payload, first byte": (change_file("payload", flip(0)), DamagedPartError),
    "payload, last byte": (change_file("payload", flip(-1)), DamagedPartError),
    "payload truncated": (change_file("payload", lambda data: data[:-1]), DamagedPayloadError),
    "payload lengthened": (change_file("payload", lambda data: data + b"x"), DamagedPayloadError),
    "payload reordered": (change_file("payload", swap_segments), DamagedPartError),
    "payload spliced": (change_file("payload", splice), DamagedPartError),
    "payload of another transfer": (change_file("payload", lambda _: OTHER_CONTAINER.payload), DamagedPartError),
    "payload missing": (lambda directory: (directory / "payload").unlink(), NotAContainerError),
    "manifest missing": (lambda directory: (directory / "manifest.json").unlink(), NotAContainerError),
    "envelope missing": (lambda directory: (directory / "envelope.json").unlink(), NotAContainerError),
    "manifest is no JSON": (change_file("manifest.json", lambda _: b"model"), MalformedDocumentError),
    "manifest cut": (change_file("manifest.json", lambda data: data[:-1]), MalformedDocumentError),
    "manifest signed by somebody else": (change_file("manifest.json", sign_as_eve), InvalidSignatureError),
    "manifest of another transfer": (
        change_file("manifest.json", lambda _: OTHER_CONTAINER.manifest_json),
        DamagedEnvelopeError,
    ),
    "manifest changed": (
        change_file("manifest.json", lambda data: data.replace(b'"created_at":"2', b'"created_at":"3')),
        InvalidSignatureError,
    ),
    "envelope of another transfer": (
        change_file("envelope.json", lambda _: OTHER_CONTAINER.envelope_json),
        DamagedEnvelopeError,
    ),
    "envelope changed": (
        change_file("envelope.json", lambda data: data.replace(b'"epoch":1', b'"epoch":2')),
        InvalidSignatureError,
    ),
    "stanza stripped": (change_file("envelope.json", strip_stanza), DamagedEnvelopeError),
}
FOUND_WITHOUT_SECRET_KEY = [name for name in BAD_CONTAINERS if name != "stanza stripped"]


@pytest.mark.parametrize("name", BAD_CONTAINERS)
def test_a_bad_container_is_not_decrypted(
    tmp_path: Path, container: Path, alice: PrivateIdentity, bob: PrivateIdentity, name: str
) -> None:
    """Each kind of damage ends in its named error; nothing stands under the final name, nothing is left beside it."""
    damage, error = BAD_CONTAINERS[name]
    damage(container)
    before = names_in(tmp_path)
    with pytest.raises(error):
        decrypt_directory(container, key=bob, out=tmp_path / "out", sender=alice.to_public())
    assert names_in(tmp_path) == before


@pytest.mark.parametrize("name", FOUND_WITHOUT_SECRET_KEY)
def test_a_bad_container_is_not_verified(container: Path, alice: PrivateIdentity, name: str) -> None:
    """Anybody can find the damage, without a secret key."""
    damage, error = BAD_CONTAINERS[name]
    damage(container)
    with pytest.raises(error):
        verify_directory(container, sender=alice.to_public())


def test_a_whole_container_is_verified(container: Path, alice: PrivateIdentity) -> None:
    """And inspected, which compares no sender."""
    assert verify_directory(container, sender=alice.to_public()).sender_verified
    assert not inspect_directory(container).sender_verified


def test_a_senders_key_under_another_name_is_refused(container: Path, alice: PrivateIdentity) -> None:
    """The name in the manifest must be the one that is known for the key."""
    renamed = PrivateIdentity("mallory", kem=alice.kem, signing=alice.signing)
    with pytest.raises(InvalidSignatureError, match="mallory"):
        verify_directory(container, sender=renamed.to_public())


def test_a_suite_under_the_minimum_is_refused(
    tmp_path: Path, container: Path, alice: PrivateIdentity, bob: PrivateIdentity
) -> None:
    """PQT-1 where PQT-2 is required."""
    with pytest.raises(WeakSuiteError):
        decrypt_directory(container, key=bob, out=tmp_path / "out", minimum_suite_id="PQT-2")
    with pytest.raises(WeakSuiteError):
        verify_directory(container, sender=alice.to_public(), minimum_suite_id="PQT-2")
    assert not (tmp_path / "out").exists()


def test_a_stranger_cannot_decrypt(tmp_path: Path, container: Path, eve: PrivateIdentity) -> None:
    """The error says what to do."""
    with pytest.raises(NotARecipientError, match="rewrap"):
        decrypt_directory(container, key=eve, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_containers_bytes_are_enough(tmp_path: Path, bob: PrivateIdentity) -> None:
    """A container that came some other way (e-mail, a disk) decrypts too."""
    OTHER_CONTAINER.save(tmp_path / "container")
    decrypt_directory(tmp_path / "container", key=bob, out=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == make_bytes("another model", 3_000_000)
    assert Container.load(tmp_path / "container") == OTHER_CONTAINER
