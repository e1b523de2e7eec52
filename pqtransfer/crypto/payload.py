"""Encrypt and decrypt whole parts of a payload, segment by segment, in memory that the caller gives.

A part is the unit of upload, of digest and of resumption. Digests are over the ciphertext, once, part by part. Each
segment is hashed beside its encryption or decryption, while the processor's cache still holds it.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeAlias

from cryptography.utils import Buffer

from pqtransfer.crypto.canonical_json import write_canonical_json
from pqtransfer.crypto.floe import DamagedSegmentError, FloeCipher
from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES, PayloadGeometry
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import IntegrityError

PAYLOAD_FORMAT = "pqtransfer-payload/1"

Room: TypeAlias = Callable[[int], memoryview]
"""Gives memory for the next so many bytes of a part. The caller fills it before it asks for more, or ends."""


class DamagedPartError(IntegrityError):
    """A part of the payload is not the one that the manifest names."""

    def __init__(self, part_index: int) -> None:
        super().__init__(f"part {part_index} of the payload is not the one that the manifest names; fetch it again")
        self.part_index = part_index


class PartBuffer:
    """Room for one part in a buffer of exactly its length."""

    def __init__(self, buffer: Buffer) -> None:
        self._view = memoryview(buffer)
        self._taken_bytes = 0

    def take(self, length: int) -> memoryview:
        """A `Room`: the next `length` bytes of the buffer.

        Raises:
            ValueError: there are not as many left.
        """
        start = self._taken_bytes
        if start + length > len(self._view):
            raise ValueError(f"a part of {len(self._view)} bytes has no room for {start + length}")
        self._taken_bytes += length
        return self._view[start : self._taken_bytes]

    def require_full(self) -> None:
        """Make sure that nothing of the buffer is left from before.

        Raises:
            ValueError: some of it is.
        """
        if self._taken_bytes != len(self._view):
            raise ValueError(f"a part of {len(self._view)} bytes was ended after {self._taken_bytes}")


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


def encrypt_part(
    cipher: FloeCipher, geometry: PayloadGeometry, part_index: int, plaintext: Iterable[Buffer], room: Room
) -> bytes:
    """Encrypt part `part_index` segment by segment into `room` and return the SHA-256 (32 bytes) of what went there.

    `plaintext` is exactly `geometry.part_plaintext(part_index)`, in slices of one segment each; none of an empty model.

    Raises:
        ValueError: there is no such part, or the plaintext has another length: a caller whose source ended early must
            not get a payload out of it.
    """
    digest = hashlib.sha256()
    if geometry.plaintext_length_bytes == 0:
        plaintext = chain(plaintext, [b""])  # it has a segment, too
    for segment_index, chunk in zip(geometry.part_segments(part_index), plaintext, strict=True):
        source, expected = memoryview(chunk).cast("B"), geometry.segment_plaintext(segment_index).length
        if len(source) != expected:
            raise ValueError(f"segment {segment_index} has {expected} bytes of plaintext, not {len(source)}")
        out = room(geometry.segment_ciphertext(segment_index).length)
        cipher.encrypt_segment_into(segment_index, source, out, final=geometry.is_final(segment_index))
        digest.update(out)
    return digest.digest()


def decrypt_part(
    cipher: FloeCipher,
    geometry: PayloadGeometry,
    part_index: int,
    ciphertext: Iterable[Buffer],
    room: Room,
    *,
    expected_sha256: bytes,
) -> None:
    """Decrypt part `part_index` segment by segment into `room`, and check all of it against its digest.

    `ciphertext` is exactly `geometry.part_ciphertext(part_index)`, in slices of one segment each. What stands in `room`
    counts once this returns, and not before: each segment is authentic there, but maybe not the one that was signed.

    Raises:
        DamagedPartError: the bytes are not those that the manifest names, whatever their segments are.
        DamagedSegmentError: they are, and a segment of them does not authenticate.
        ValueError: the ciphertext has another number of segments.
    """
    digest, damaged = hashlib.sha256(), None
    for segment_index, segment in zip(geometry.part_segments(part_index), ciphertext, strict=True):
        digest.update(segment)
        if damaged is None:
            out = room(geometry.segment_plaintext(segment_index).length)
            try:
                cipher.decrypt_segment_into(segment_index, segment, out, final=geometry.is_final(segment_index))
            except DamagedSegmentError as error:  # the rest is read for its digest: that tells whose fault it is
                damaged = error
    if not hmac.compare_digest(digest.digest(), expected_sha256):
        raise DamagedPartError(part_index)
    if damaged is not None:
        raise damaged
