"""FLOE: random-access authenticated encryption of a message in segments (C2SP FLOE, eprint 2025/2275).

AES-256-GCM with HKDF-Expand-SHA-384 and a 32-byte IV. Segments of one message can be encrypted and decrypted in any
order and by several threads: AES-GCM releases the GIL. FLOE authenticates each segment's position and finality; that
all segments are there, each once, is for the layer above to enforce (the signed manifest).
"""

import hmac
import os
import struct
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.utils import Buffer

from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import IntegrityError

DATA_KEY_LENGTH_BYTES = 32
IV_LENGTH_BYTES = 32
HEADER_TAG_LENGTH_BYTES = 32
PARAMETERS_LENGTH_BYTES = 10
HEADER_LENGTH_BYTES = PARAMETERS_LENGTH_BYTES + IV_LENGTH_BYTES + HEADER_TAG_LENGTH_BYTES
OVERHEAD_BYTES = 32  # mark or length (4) + nonce (12) + tag (16)
MAXIMUM_SEGMENTS = 1 << 40

_NONCE_LENGTH_BYTES = 12
_TAG_LENGTH_BYTES = 16
_BODY_OFFSET = 4 + _NONCE_LENGTH_BYTES
_INTERNAL_MARK = b"\xff\xff\xff\xff"
_SEGMENTS_PER_KEY_LOG2 = 20


class WrongDataKeyError(IntegrityError):
    """The header tag does not fit the data key and the associated data."""

    def __init__(self) -> None:
        super().__init__(
            "the payload header does not belong to this data key, transfer and sender; "
            "the container was changed or put together from two"
        )


class DamagedSegmentError(IntegrityError):
    """A segment is not what was encrypted at its place."""

    def __init__(self, segment_index: int) -> None:
        super().__init__(f"segment {segment_index} of the payload was changed, moved or cut; fetch the payload again")
        self.segment_index = segment_index


class FloeCipher:
    """One message: its header, and encryption and decryption of any of its segments.

    Memory: one AES key schedule for each 2^20 segments touched (1 TiB of payload at 1 MiB segments).
    """

    def __init__(self, data_key: SecretBytes, *, associated_data: bytes, segment_size_bytes: int, iv: bytes) -> None:
        if len(data_key) != DATA_KEY_LENGTH_BYTES:
            raise WrongDataKeyError
        self.segment_size_bytes: Final = segment_size_bytes
        self.capacity_bytes: Final = segment_size_bytes - OVERHEAD_BYTES
        self._parameters = struct.pack(">BBII", 0, 0, segment_size_bytes, IV_LENGTH_BYTES)
        self._iv = iv
        self._associated_data = associated_data
        header_tag = self._derive(data_key.reveal(), b"HEADER_TAG:", HEADER_TAG_LENGTH_BYTES)
        self.header: Final = self._parameters + iv + header_tag
        self._message_key = self._derive(data_key.reveal(), b"MESSAGE_KEY:", 48)
        self._segment_keys: dict[int, AESGCM] = {}

    @classmethod
    def create(cls, data_key: SecretBytes, *, associated_data: bytes, segment_size_bytes: int) -> Self:
        """A new message with a fresh random IV."""
        return cls(
            data_key,
            associated_data=associated_data,
            segment_size_bytes=segment_size_bytes,
            iv=os.urandom(IV_LENGTH_BYTES),
        )

    @classmethod
    def open(cls, data_key: SecretBytes, *, header: bytes, associated_data: bytes, segment_size_bytes: int) -> Self:
        """The cipher of an existing message.

        Raises:
            WrongDataKeyError: the header has other parameters, or its tag (compared in constant time) does not fit.
        """
        if len(header) != HEADER_LENGTH_BYTES:
            raise WrongDataKeyError
        iv = header[PARAMETERS_LENGTH_BYTES : PARAMETERS_LENGTH_BYTES + IV_LENGTH_BYTES]
        cipher = cls(data_key, associated_data=associated_data, segment_size_bytes=segment_size_bytes, iv=iv)
        if not hmac.compare_digest(cipher.header, header):
            raise WrongDataKeyError
        return cipher

    def encrypt_segment_into(self, index: int, plaintext: Buffer, out: memoryview, *, final: bool) -> int:
        """Encrypt segment `index` into the start of `out`; returns its length, `len(plaintext)` + 32.

        An internal (not final) segment takes exactly `capacity_bytes` of plaintext, a final one 0 to that many. A fresh
        nonce is drawn at every call, so encrypting a segment again is safe for confidentiality.

        Raises:
            ValueError: the index or the plaintext's length is not allowed, or `out` is too short.
        """
        segment_data = _segment_data(index, final=final)
        length = memoryview(plaintext).nbytes + OVERHEAD_BYTES
        if length > self.segment_size_bytes or (not final and length != self.segment_size_bytes):
            raise ValueError("a segment is full, or final and not longer than full")
        nonce = os.urandom(_NONCE_LENGTH_BYTES)
        out[:4] = struct.pack(">I", length) if final else _INTERNAL_MARK
        out[4:_BODY_OFFSET] = nonce
        body = out[_BODY_OFFSET:length]
        self._segment_key(index).encrypt_into(nonce, plaintext, segment_data, body)
        return length

    def decrypt_segment_into(self, index: int, segment: Buffer, out: memoryview, *, final: bool) -> int:
        """Decrypt segment `index` into the start of `out`; returns the plaintext's length.

        `out` holds nothing of the segment when this raises.

        Raises:
            DamagedSegmentError: it is not the segment that was encrypted at this place with this finality.
        """
        segment_data = _segment_data(index, final=final)
        view = memoryview(segment).cast("B")
        length = len(view)
        if not OVERHEAD_BYTES <= length <= self.segment_size_bytes or (not final and length != self.segment_size_bytes):
            raise DamagedSegmentError(index)
        expected_mark = struct.pack(">I", length) if final else _INTERNAL_MARK
        if view[:4] != expected_mark:
            raise DamagedSegmentError(index)
        nonce = bytes(view[4:_BODY_OFFSET])
        plaintext_length = length - OVERHEAD_BYTES
        target = out[:plaintext_length]
        try:
            self._segment_key(index).decrypt_into(nonce, view[_BODY_OFFSET:], segment_data, target)
        except InvalidTag:
            target[:] = bytes(plaintext_length)  # decrypt_into leaves what it deciphered before it saw the tag
            raise DamagedSegmentError(index) from None
        return plaintext_length

    def _segment_key(self, index: int) -> AESGCM:
        epoch = index >> _SEGMENTS_PER_KEY_LOG2
        key = self._segment_keys.get(epoch)
        if key is None:
            masked_index = epoch << _SEGMENTS_PER_KEY_LOG2
            key = AESGCM(self._derive(self._message_key, b"DEK:" + struct.pack(">Q", masked_index), 32))
            self._segment_keys[epoch] = key
        return key

    def _derive(self, key: bytes, purpose: bytes, length_bytes: int) -> bytes:
        info = self._parameters + self._iv + purpose + self._associated_data
        return HKDFExpand(algorithm=hashes.SHA384(), length=length_bytes, info=info).derive(key)


def _segment_data(index: int, *, final: bool) -> bytes:
    if not 0 <= index < MAXIMUM_SEGMENTS:
        raise ValueError("a message has at most 2^40 segments")
    return struct.pack(">QB", index, 1 if final else 0)
