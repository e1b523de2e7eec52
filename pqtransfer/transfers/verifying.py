"""Verify a container without any secret key: signatures, lengths, and the digest of every part of the payload."""

import hashlib
import hmac

from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.crypto.payload import DamagedPartError
from pqtransfer.transfers.container import find_payload
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.parts import run_parts


def verify_payload(manifest: Manifest, *, container: Folder, context: JobContext) -> None:
    """Check every part of the payload against the manifest, whose signature the caller has checked.

    Raises:
        NotAContainerError, DamagedPayloadError, DamagedPartError: what is wrong.
        PqtransferError: what the stop signal carries, or what the store reported.
    """
    geometry = manifest.geometry
    source = container.open(find_payload(container, manifest))
    meter = context.start_meter(bytes_total=geometry.ciphertext_length_bytes, parts_total=geometry.part_count)

    def process(index: int) -> None:
        byte_range, digest = geometry.part_ciphertext(index), hashlib.sha256()
        with context.working(geometry.part_size_bytes):
            for ciphertext in context.gauge.reading(source.read(byte_range, slice_size_bytes=SEGMENT_SIZE_BYTES)):
                digest.update(ciphertext)
        if not hmac.compare_digest(digest.digest(), manifest.part_sha256[index]):
            raise DamagedPartError(index)
        meter.add(byte_range.length, parts=1, at=context.monotonic())

    run_parts(
        range(geometry.part_count),
        process,
        parts_in_flight=context.parts_in_flight(geometry.part_size_bytes),
        stop=context.stop,
    )
    context.observer.payload_verified(manifest)
