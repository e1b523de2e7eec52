"""Whole containers in memory, for tests of every level: keys from fixed seeds, a payload, a manifest, an envelope.

`open_container` follows the order of checks that docs/spec/container.md gives to a reader.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pqtransfer.crypto.envelope import Envelope, generate_data_key, open_envelope, seal_envelope
from pqtransfer.crypto.geometry import SEGMENT_CAPACITY_BYTES, SEGMENT_SIZE_BYTES, ByteRange, plan_payload
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey
from pqtransfer.crypto.manifest import Manifest, SignedManifest, composite_sha256, sign_manifest
from pqtransfer.crypto.payload import (
    DamagedPartError,
    PartBuffer,
    create_payload_cipher,
    decrypt_part,
    encrypt_part,
    open_payload_cipher,
)
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import require_minimum_suite

TRANSFER_ID = "0198c0de-0000-7000-8000-000000000001"
OTHER_TRANSFER_ID = "0198c0de-0000-7000-8000-000000000002"
CREATED_AT = "2026-01-31T12:00:00Z"
ONE_MEBIBYTE = 1 << 20


def make_bytes(label: str, length: int) -> bytes:
    """`length` bytes that look random and are the same at every run: SHAKE256 of the label."""
    return hashlib.shake_256(label.encode()).digest(length)


def cut_slices(data: bytes, byte_range: ByteRange, slice_size_bytes: int) -> list[memoryview]:
    """What a source that reads `data` gives for the range."""
    view = memoryview(data)[byte_range.start : byte_range.end]
    return [view[start : start + slice_size_bytes] for start in range(0, len(view), slice_size_bytes)]


def make_identity(name: str, suite_id: str = "PQT-1") -> PrivateIdentity:
    """The identity of `name`, from seeds that depend on name and suite alone."""

    def make_key(purpose: KeyPurpose) -> PrivateKey:
        return PrivateKey(
            purpose, suite_id, SecretBytes(make_bytes(f"pqtransfer test {suite_id} {purpose} {name}", 32))
        )

    return PrivateIdentity(name, kem=make_key(KeyPurpose.KEM), signing=make_key(KeyPurpose.SIGNING))


@dataclass(frozen=True)
class Container:
    """The three files of a container directory."""

    payload: bytes
    manifest_json: bytes
    envelope_json: bytes

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "payload").write_bytes(self.payload)
        (directory / "manifest.json").write_bytes(self.manifest_json)
        (directory / "envelope.json").write_bytes(self.envelope_json)

    @classmethod
    def load(cls, directory: Path) -> "Container":
        return cls(
            (directory / "payload").read_bytes(),
            (directory / "manifest.json").read_bytes(),
            (directory / "envelope.json").read_bytes(),
        )

    def with_payload(self, change: Callable[[bytes], bytes]) -> "Container":
        return replace(self, payload=change(self.payload))


def make_container(
    plaintext: bytes,
    *,
    suite_id: str = "PQT-1",
    sender: str = "alice",
    recipients: Sequence[str] = ("bob",),
    transfer_id: str = TRANSFER_ID,
    part_size_bytes: int = ONE_MEBIBYTE,
    data_key: SecretBytes | None = None,
    metadata: dict[str, str] | None = None,
) -> Container:
    """What a sender writes."""
    author = make_identity(sender, suite_id)
    data_key = data_key or generate_data_key()
    geometry = plan_payload(len(plaintext), part_size_bytes=part_size_bytes)
    cipher = create_payload_cipher(data_key, suite_id=suite_id, transfer_id=transfer_id, sender=sender)
    payload = bytearray(geometry.ciphertext_length_bytes)
    digests = tuple(
        encrypt_part(
            cipher,
            geometry,
            part,
            cut_slices(plaintext, geometry.part_plaintext(part), SEGMENT_CAPACITY_BYTES),
            PartBuffer(memoryview(payload)[geometry.part_ciphertext(part).start :]).take,
        )
        for part in range(geometry.part_count)
    )
    body = Manifest(
        suite=suite_id,
        transfer_id=transfer_id,
        sender=sender,
        created_at=CREATED_AT,
        plaintext_length=len(plaintext),
        ciphertext_length=geometry.ciphertext_length_bytes,
        part_size=part_size_bytes,
        part_sha256=digests,
        composite_sha256=composite_sha256(digests),
        floe_header=cipher.header,
        metadata=metadata or {},
    )
    envelope = seal_envelope(
        data_key,
        suite_id=suite_id,
        transfer_id=transfer_id,
        floe_header=cipher.header,
        recipients=[make_identity(name, suite_id).kem.public_key for name in recipients],
        signer=sender,
        signing_key=author.signing,
    )
    return Container(bytes(payload), sign_manifest(body, author.signing).to_json(), envelope.to_json())


def open_container(
    container: Container,
    *keys: PrivateKey,
    sender: PublicKey | None = None,
    minimum_suite_id: str = "PQT-1",
) -> bytes:
    """What a recipient reads: the whole plaintext, or an error and nothing."""
    manifest = SignedManifest.from_json(container.manifest_json)
    require_minimum_suite(manifest.body.suite, minimum_suite_id=minimum_suite_id)
    envelope = Envelope.from_json(container.envelope_json)
    if sender is not None:
        manifest.require_signer(sender)
        envelope.require_signer(sender)
    body = manifest.body
    data_key = open_envelope(envelope, body, keys)
    cipher = open_payload_cipher(
        data_key, header=body.floe_header, suite_id=body.suite, transfer_id=body.transfer_id, sender=body.sender
    )
    geometry = body.geometry
    if len(container.payload) != geometry.ciphertext_length_bytes:
        raise DamagedPartError(geometry.part_count - 1)
    plaintext = bytearray(geometry.plaintext_length_bytes)
    for part, digest in enumerate(body.part_sha256):
        decrypt_part(
            cipher,
            geometry,
            part,
            cut_slices(container.payload, geometry.part_ciphertext(part), SEGMENT_SIZE_BYTES),
            PartBuffer(memoryview(plaintext)[geometry.part_plaintext(part).start :]).take,
            expected_sha256=digest,
        )
    return bytes(plaintext)
