"""Encrypt and decrypt whole parts of a payload, in buffers that the caller owns and reuses.

A part is the unit of upload, of digest and of resumption. Digests are over the ciphertext, once, part by part.
"""

import hashlib
import hmac

from cryptography.utils import Buffer

from pqtransfer.crypto.canonical_json import write_canonical_json
from pqtransfer.crypto.floe import FloeCipher
from pqtransfer.crypto.geometry import SEGMENT_CAPACITY_BYTES, SEGMENT_SIZE_BYTES, PayloadGeometry
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import IntegrityError

PAYLOAD_FORMAT = "pqtransfer-payload/1"


class DamagedPartError(IntegrityError):
    """A part of the payload is not the one that the manifest names."""

    def __init__(self, part_index: int) -> None:
        super().__init__(f"part {part_index} of the payload is not the one that the manifest names; fetch it again")
        self.part_index = part_index


def payload_associated_data(*, suite_id: str, transfer_id: str, sender: str) -> bytes:
    """FLOE's associated data: binds the payload to its format, suite, transfer and sender, never to recipients."""
    return write_canonical_json(
        {
            "format": PAYLOAD_FORMAT,
            "segment_size": SEGMENT_SIZE_BYTES,
            "sender": sender,
            "suite": suite_id,
            "transfer_id": transfer_id,
        }
    )


def create_payload_cipher(data_key: SecretBytes, *, suite_id: str, transfer_id: str, sender: str) -> FloeCipher:
    """The cipher of a new payload."""
    associated_data = payload_associated_data(suite_id=suite_id, transfer_id=transfer_id, sender=sender)
    return FloeCipher.create(data_key, associated_data=associated_data, segment_size_bytes=SEGMENT_SIZE_BYTES)


def open_payload_cipher(
    data_key: SecretBytes, *, header: bytes, suite_id: str, transfer_id: str, sender: str
) -> FloeCipher:
    """The cipher of an existing payload.

    Raises:
        WrongDataKeyError: header, data key, suite, transfer and sender do not belong together.
    """
    associated_data = payload_associated_data(suite_id=suite_id, transfer_id=transfer_id, sender=sender)
    return FloeCipher.open(
        data_key, header=header, associated_data=associated_data, segment_size_bytes=SEGMENT_SIZE_BYTES
    )


def encrypt_part_into(
    cipher: FloeCipher, geometry: PayloadGeometry, part_index: int, plaintext: Buffer, out: memoryview
) -> bytes:
    """Encrypt part `part_index` into the start of `out` and return the SHA-256 (32 bytes) of what stands there.

    `plaintext` is exactly `geometry.part_plaintext(part_index)`; `out` has room for `part_ciphertext(part_index)`.

    Raises:
        ValueError: there is no such part, or the plaintext has another length: a caller whose source ended early must
            not get a payload out of it.
    """
    source = memoryview(plaintext).cast("B")
    expected = geometry.part_plaintext(part_index).length
    if len(source) != expected:
        raise ValueError(f"part {part_index} has {expected} bytes of plaintext, not {len(source)}")
    written = 0
    for place, segment_index in enumerate(geometry.part_segments(part_index)):
        first = place * SEGMENT_CAPACITY_BYTES
        chunk = source[first : first + SEGMENT_CAPACITY_BYTES]
        final = geometry.is_final(segment_index)
        written += cipher.encrypt_segment_into(segment_index, chunk, out[written:], final=final)
    return hashlib.sha256(out[:written]).digest()


def decrypt_part_into(
    cipher: FloeCipher,
    geometry: PayloadGeometry,
    part_index: int,
    ciphertext: Buffer,
    out: memoryview,
    *,
    expected_sha256: bytes,
) -> int:
    """Check part `part_index` against its digest, decrypt it into the start of `out`, return the plaintext's length.

    Raises:
        DamagedPartError: the bytes are not those that the manifest names.
        DamagedSegmentError: a segment does not authenticate.
    """
    source = memoryview(ciphertext)
    if len(source) != geometry.part_ciphertext(part_index).length or not hmac.compare_digest(
        hashlib.sha256(source).digest(), expected_sha256
    ):
        raise DamagedPartError(part_index)
    written = 0
    for place, segment_index in enumerate(geometry.part_segments(part_index)):
        first = place * SEGMENT_SIZE_BYTES
        segment = source[first : first + SEGMENT_SIZE_BYTES]
        final = geometry.is_final(segment_index)
        written += cipher.decrypt_segment_into(segment_index, segment, out[written:], final=final)
    return written
