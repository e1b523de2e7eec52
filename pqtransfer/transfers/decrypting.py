"""Decrypt a container's payload to a file or an object: parallel ranged reads, every part checked before it is written.

The result becomes visible under its name only when the last part has been checked. The job can be repeated after a
crash.
"""

from dataclasses import dataclass

from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.crypto.payload import Room, decrypt_part
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.container import find_payload, open_cipher
from pqtransfer.transfers.folder import Folder, PartsChangedError, StoredObject, StoredPart
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.parts import run_parts
from pqtransfer.transfers.upload import (
    MAXIMUM_COMPLETION_ROUNDS,
    ResumedUpload,
    UploadContestedError,
    complete_upload,
    make_tag,
    resume_upload,
)


@dataclass(frozen=True)
class DecryptionOrder:
    """What to decrypt, and where to."""

    job_id: str
    manifest: Manifest
    data_key: SecretBytes
    destination_name: str


def decrypt_model(
    order: DecryptionOrder, *, container: Folder, destination: Folder, context: JobContext
) -> StoredObject:
    """Decrypt the payload to `destination_name`, going on where an earlier attempt of the same job ended.

    Memory: see `pqtransfer.transfers.parts`.

    Raises:
        NotAContainerError, DamagedPayloadError, DamagedPartError, DamagedSegmentError: what is wrong.
        ObjectExistsError: something stands under the destination's name.
        PqtransferError: what the stop signal carries, or what a store reported.
    """
    for _ in range(MAXIMUM_COMPLETION_ROUNDS):
        try:
            return _decrypt_once(order, container, destination, context)
        except PartsChangedError:
            continue
    raise UploadContestedError(destination.locate(order.destination_name))


def _decrypt_once(order: DecryptionOrder, container: Folder, destination: Folder, context: JobContext) -> StoredObject:
    manifest, geometry = order.manifest, order.manifest.geometry
    cipher = open_cipher(manifest, order.data_key)
    payload = find_payload(container, manifest)
    checkpoint, resumed = _begin(order, payload, destination, context)
    parts: dict[int, StoredPart] = dict(resumed.parts)
    meter = context.start_meter(bytes_total=geometry.plaintext_length_bytes, parts_total=geometry.part_count)
    meter.skip(sum(geometry.part_plaintext(index).length for index in parts), parts=len(parts))
    if resumed.completed is not None:
        context.observer.model_decrypted(manifest)
        return resumed.completed
    source = container.open(payload)

    def process(index: int) -> None:
        with context.working(geometry.part_size_bytes):
            process_gauged(index)

    def process_gauged(index: int) -> None:
        def fill(room: Room) -> None:
            read = source.read(geometry.part_ciphertext(index), slice_size_bytes=SEGMENT_SIZE_BYTES)
            ciphertext = context.gauge.reading(read)
            decrypt_part(cipher, geometry, index, ciphertext, room, expected_sha256=manifest.part_sha256[index])

        byte_range = geometry.part_plaintext(index)
        part = destination.write_part(
            order.destination_name, checkpoint.upload_id, index=index, byte_range=byte_range, fill=fill
        )
        context.checkpoints.record_part(order.job_id, checkpoint.upload_id, part)
        parts[index] = part
        meter.add(byte_range.length, parts=1, at=context.monotonic())

    run_parts(
        [index for index in range(geometry.part_count) if index not in parts],
        process,
        parts_in_flight=context.parts_in_flight(geometry.part_size_bytes),
        stop=context.stop,
    )
    context.observer.model_decrypted(manifest)
    context.confirm()
    return complete_upload(
        destination, order.destination_name, checkpoint.upload_id, parts, floe_header=manifest.floe_header
    )


def _begin(
    order: DecryptionOrder, payload: StoredObject, destination: Folder, context: JobContext
) -> tuple[Checkpoint, ResumedUpload]:
    """Go on with what the checkpoint names if it is of this very payload, or start afresh."""
    checkpoint = context.checkpoints.load(order.job_id)
    if checkpoint is not None and (checkpoint.floe_header, checkpoint.source_etag) == (
        order.manifest.floe_header,
        payload.etag,
    ):
        resumed = resume_upload(
            destination,
            order.destination_name,
            checkpoint,
            checkpoints=context.checkpoints,
            part_count=order.manifest.geometry.part_count,
        )
        if resumed is not None:
            return checkpoint, resumed
    context.confirm()
    destination.abort_stray_uploads(order.destination_name)
    upload_id = destination.start_upload(
        order.destination_name, tag=make_tag(order.manifest.floe_header), size_bytes=order.manifest.plaintext_length
    )
    fresh = Checkpoint(
        transfer_id=order.job_id,
        upload_id=upload_id,
        source_etag=payload.etag,
        source_version_id=payload.version_id,
        source_size_bytes=payload.size_bytes,
        part_size_bytes=order.manifest.part_size,
        floe_header=order.manifest.floe_header,
    )
    context.checkpoints.create(fresh)
    return fresh, ResumedUpload({})
