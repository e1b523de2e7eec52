"""Re-encrypt: the model of a container under a new data key, from store to store, without a plaintext on the way.

The old container is a source like any other, which decrypts segment by segment as it is read; what is made of it is a
container like any other. So a re-encryption is resumed, bounded and verified as an encryption is. Each part of the old
payload is checked against the digest in its manifest before the new part that was made of it counts.

Memory: that of an encryption (`pqtransfer.transfers.parts`), and one segment of ciphertext and one of plaintext, 2 MiB,
for each part in flight.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping

from cryptography.utils import Buffer

from pqtransfer.crypto.floe import FloeCipher
from pqtransfer.crypto.geometry import SEGMENT_CAPACITY_BYTES, SEGMENT_SIZE_BYTES, ByteRange
from pqtransfer.crypto.manifest import Manifest, require_metadata
from pqtransfer.crypto.payload import DamagedPartError
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import InputError
from pqtransfer.transfers.container import find_payload, open_cipher
from pqtransfer.transfers.folder import Folder, RangeSource, StoredObject

REENCRYPTS = "pqtransfer.reencrypts"
"""The name in the metadata of a manifest under which a sender says whose model it holds: a transfer id."""


def name_origin(metadata: Mapping[str, str], transfer_id: str) -> dict[str, str]:
    """The metadata of a re-encryption of this transfer. Where there is no room for the id, it is left out."""
    try:
        return require_metadata({**metadata, REENCRYPTS: transfer_id})
    except InputError:
        return dict(metadata)


def find_difference(before: Manifest, after: Manifest) -> str | None:
    """Why `after` does not show that it holds the model of `before`; None when it does.

    Whoever follows a re-encryption and whoever removes what was re-encrypted ask this: what cannot be followed stays.
    """
    if (before.plaintext_length, before.suite) != (after.plaintext_length, after.suite):
        return "its model has another length, or is encrypted by another suite"
    if before.plaintext_sha256 is None or after.plaintext_sha256 is None:
        named = after.metadata.get(REENCRYPTS) == before.transfer_id
        return None if named else "neither a digest nor its sender says that it is the same model"
    same = hmac.compare_digest(before.plaintext_sha256, after.plaintext_sha256)
    return None if same else "its model has another digest"


class DecryptedContainer:
    """A `SourceFolder` with one object: the model in a container, as if it stood there in the clear."""

    def __init__(self, container: Folder, manifest: Manifest, data_key: SecretBytes) -> None:
        """Look for the payload.

        Raises:
            NotAContainerError, DamagedPayloadError, WrongDataKeyError: they do not belong together.
        """
        self._container = container
        self._manifest = manifest
        self._cipher = open_cipher(manifest, data_key)
        self._payload = find_payload(container, manifest)

    @property
    def model(self) -> StoredObject:
        """The model: the payload's state, with the length of its plaintext."""
        payload = self._payload
        return StoredObject(
            payload.name, self._manifest.plaintext_length, etag=payload.etag, version_id=payload.version_id
        )

    def locate(self, name: str) -> str:
        return self._container.locate(name)

    def open(self, stored: StoredObject) -> RangeSource:  # noqa: ARG002 - there is one model
        return _DecryptedSource(self._container.open(self._payload), self._manifest, self._cipher)


class _DecryptedSource:
    """Reads whole parts of the plaintext, and checks each against its digest when its last segment has been read."""

    def __init__(self, ciphertext: RangeSource, manifest: Manifest, cipher: FloeCipher) -> None:
        self._ciphertext = ciphertext
        self._manifest = manifest
        self._cipher = cipher

    def read(self, byte_range: ByteRange, *, slice_size_bytes: int) -> Iterator[Buffer]:
        """The plaintext of one part, segment by segment.

        Raises:
            ValueError: the range is not that of a part, or the slices are not segments.
            DamagedSegmentError: a segment does not authenticate.
            DamagedPartError: all of them do, and are not those that the manifest names.
        """
        geometry = self._manifest.geometry
        index = byte_range.start // geometry.part_plaintext(0).length if byte_range.start else 0
        if byte_range != geometry.part_plaintext(index) or slice_size_bytes != SEGMENT_CAPACITY_BYTES:
            raise ValueError(f"{byte_range} is not a part of the model, read in segments")
        digest = hashlib.sha256()
        slices = self._ciphertext.read(geometry.part_ciphertext(index), slice_size_bytes=SEGMENT_SIZE_BYTES)
        for segment, data in zip(geometry.part_segments(index), slices, strict=True):
            digest.update(data)
            plaintext = bytearray(geometry.segment_plaintext(segment).length)
            self._cipher.decrypt_segment_into(segment, data, memoryview(plaintext), final=geometry.is_final(segment))
            if plaintext:
                yield plaintext
        if not hmac.compare_digest(digest.digest(), self._manifest.part_sha256[index]):
            raise DamagedPartError(index)
