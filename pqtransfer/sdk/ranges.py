"""Decrypt a byte range of a container directory to a new file or to a stream, in bounded memory."""

from functools import partial
from pathlib import Path
from typing import BinaryIO

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.crypto.identity import PrivateIdentity, PublicIdentity
from pqtransfer.crypto.payload import Room
from pqtransfer.sdk.local_folder import LocalFolder
from pqtransfer.sdk.offline import (
    DEFAULT_MINIMUM_SUITE_ID,
    OpenContainer,
    discard_unfinished,
    observe_container,
    open_container,
)
from pqtransfer.sdk.reader import ModelReader, RangeOutsideError
from pqtransfer.transfers.container import open_data_key

CHUNK_SIZE_BYTES = 8 << 20


def decrypt_range(
    container: Path,
    *,
    key: PrivateIdentity,
    start: int,
    end: int | None,
    out: Path | BinaryIO,
    sender: PublicIdentity | None = None,
    minimum_suite_id: str = DEFAULT_MINIMUM_SUITE_ID,
    trail: AuditTrail | None = None,
) -> tuple[OpenContainer, int]:
    """Write the plaintext from byte `start` up to, not including, `end` (None: the end of the model) to `out`.

    A new file appears when the whole range is in it; to a stream each chunk of 8 MiB goes once it is authenticated.

    Returns:
        The container, and how many bytes were written.

    Raises:
        RangeOutsideError: the range does not lie within the model.
        IntegrityError, AccessError, InputError: as `pqtransfer.sdk.decrypt_directory`.
    """
    with LocalFolder(container) as folder:
        opened = open_container(folder, sender=sender, minimum_suite_id=minimum_suite_id)
        manifest = opened.manifest.body
        observer = observe_container(trail, "read", opened, actor=key.participant)
        data_key = open_data_key(manifest, opened.envelope, [key.kem], observer=observer)
        with ModelReader(folder, manifest, data_key, cached_segments=1) as reader:
            stop = reader.size_bytes if end is None else end
            if not 0 <= start <= stop <= reader.size_bytes:
                raise RangeOutsideError(start, stop, size_bytes=reader.size_bytes)
            if isinstance(out, Path):
                _write_file(reader, start, stop, out)
            else:
                for first in range(start, stop, CHUNK_SIZE_BYTES):
                    out.write(reader.read_range(first, min(first + CHUNK_SIZE_BYTES, stop)))
                out.flush()
            return opened, stop - start


def _write_file(reader: ModelReader, start: int, stop: int, out: Path) -> None:
    with LocalFolder(out.parent) as destination:
        upload_id = destination.start_upload(out.name, tag="", size_bytes=stop - start)
        with discard_unfinished(destination, out.name):
            whole = ByteRange(0, stop - start)
            reader.seek(start)
            destination.write_part(
                out.name, upload_id, index=0, byte_range=whole, fill=partial(_copy, reader, whole.length)
            )
            destination.complete_upload(out.name, upload_id, {})


def _copy(reader: ModelReader, length: int, room: Room) -> None:
    for first in range(0, length, CHUNK_SIZE_BYTES):
        reader.readinto(room(min(CHUNK_SIZE_BYTES, length - first)))
