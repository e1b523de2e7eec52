"""Encrypt a model into a container: read ranges, encrypt parts, upload them, then sign the manifest and wrap the key.

The same job runs in a worker (S3 to S3), on a sender's machine (file to S3) and offline (file to directory). It can be
repeated after a crash at any point: parts that are there are not sent again, documents that are there are kept.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.utils import Buffer

from pqtransfer.crypto.envelope import (
    ENVELOPE_LIMIT_BYTES,
    Envelope,
    generate_data_key,
    require_fitting_keys,
    seal_envelope,
)
from pqtransfer.crypto.floe import FloeCipher
from pqtransfer.crypto.geometry import SEGMENT_CAPACITY_BYTES, PayloadGeometry, plan_payload
from pqtransfer.crypto.keypairs import PrivateKey, PublicKey
from pqtransfer.crypto.manifest import (
    MANIFEST_LIMIT_BYTES,
    Manifest,
    SignedManifest,
    composite_sha256,
    require_metadata,
    sign_manifest,
)
from pqtransfer.crypto.payload import create_payload_cipher, encrypt_part, open_payload_cipher
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.folder import (
    ENVELOPE_NAME,
    MANIFEST_NAME,
    PAYLOAD_NAME,
    Folder,
    ObjectExistsError,
    PartsChangedError,
    SourceChangedError,
    SourceFolder,
    StoredObject,
    StoredPart,
)
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.observing import telling
from pqtransfer.transfers.ordered_hash import OrderedHash
from pqtransfer.transfers.parts import run_parts
from pqtransfer.transfers.progress import ProgressMeter
from pqtransfer.transfers.source_errors import SourceDigestError, SourceSizeError
from pqtransfer.transfers.upload import (
    MAXIMUM_COMPLETION_ROUNDS,
    ResumedUpload,
    UploadContestedError,
    complete_upload,
    make_tag,
    resume_upload,
)


@dataclass(frozen=True)
class EncryptionOrder:
    """What to encrypt for whom. `created_at` is RFC 3339 in UTC with seconds; it stands in the manifest.

    `part_size_bytes`, whole MiB, is for stores that want other parts than the format's own formula gives.
    `reserve_recipients` gives the recipients' keys as they are when the data key is wrapped, hours after the beginning:
    one may have been replaced or revoked meanwhile. Left out, `recipients` are wrapped to.
    """

    transfer_id: str
    suite_id: str
    sender: str
    signing_key: PrivateKey
    recipients: tuple[PublicKey, ...]
    created_at: str
    metadata: dict[str, str] = field(default_factory=dict)
    expected_size_bytes: int | None = None
    expected_sha256: bytes | None = None
    hash_plaintext: bool = False
    part_size_bytes: int | None = None
    reserve_recipients: Callable[[], tuple[PublicKey, ...]] | None = None


@dataclass(frozen=True)
class EncryptedContainer:
    """What the job made."""

    manifest: SignedManifest
    envelope: Envelope


def encrypt_model(
    order: EncryptionOrder, *, source_folder: SourceFolder, source: StoredObject, container: Folder, context: JobContext
) -> EncryptedContainer:
    """Encrypt `source` into `container`, going on where an earlier attempt of the same transfer ended.

    Memory: see `pqtransfer.transfers.parts`.

    Raises:
        SourceSizeError, SourceDigestError, SourceChangedError: the source is not what it should be.
        InvalidMetadataError: the metadata does not fit a manifest.
        InvalidKeyError: a recipient's key, or the signing key, does not fit the suite.
        ModelTooLargeError: the source is larger than one transfer carries.
        ObjectExistsError: another container stands in the place.
        PqtransferError: what the stop signal carries, or what a store reported.
    """
    require_metadata(order.metadata)
    require_fitting_keys(order.recipients, suite_id=order.suite_id, signing_key=order.signing_key)
    uri = source_folder.locate(source.name)
    if order.expected_size_bytes not in (None, source.size_bytes):
        raise SourceSizeError(uri, expected_bytes=order.expected_size_bytes or 0, found_bytes=source.size_bytes)
    for _ in range(MAXIMUM_COMPLETION_ROUNDS):
        upload = _PayloadUpload.begin(order, source_folder, source, container, context)
        try:
            payload, parts, plaintext_sha256 = upload.run()
        except PartsChangedError:
            continue
        manifest = _settle_manifest(order, upload, payload, parts, plaintext_sha256)
        return EncryptedContainer(manifest, _settle_envelope(order, upload, manifest))
    raise UploadContestedError(container.locate(PAYLOAD_NAME))


class _PayloadUpload:
    """One attempt to bring every part of the payload into the store."""

    def __init__(
        self,
        order: EncryptionOrder,
        checkpoint: Checkpoint,
        data_key: SecretBytes,
        resumed: ResumedUpload,
        *,
        source_folder: SourceFolder,
        source: StoredObject,
        container: Folder,
        context: JobContext,
    ) -> None:
        self.order = order
        self.data_key = data_key
        self.container = container
        self.geometry = PayloadGeometry(source.size_bytes, checkpoint.part_size_bytes)
        self.cipher: FloeCipher = open_payload_cipher(
            data_key,
            header=checkpoint.floe_header,
            suite_id=order.suite_id,
            transfer_id=order.transfer_id,
            sender=order.sender,
        )
        self._checkpoint = checkpoint
        self._resumed = resumed
        self._source_folder = source_folder
        self._source = source
        self._context = context
        self.observer = context.observer

    @classmethod
    def begin(
        cls,
        order: EncryptionOrder,
        source_folder: SourceFolder,
        source: StoredObject,
        container: Folder,
        context: JobContext,
    ) -> "_PayloadUpload":
        """Go on with what the checkpoint names, or start afresh."""
        checkpoint = context.checkpoints.load(order.transfer_id)
        resumed = None
        if checkpoint is not None:
            if not checkpoint.is_of(source):
                raise SourceChangedError(source_folder.locate(source.name))
            part_count = PayloadGeometry(source.size_bytes, checkpoint.part_size_bytes).part_count
            resumed = resume_upload(
                container, PAYLOAD_NAME, checkpoint, checkpoints=context.checkpoints, part_count=part_count
            )
        if checkpoint is None or resumed is None:
            checkpoint, resumed = _start_afresh(order, source, container, context), ResumedUpload({})
        data_key = context.sealer.unseal(checkpoint.sealed_data_key or b"", transfer_id=order.transfer_id)
        return cls(
            order,
            checkpoint,
            data_key,
            resumed,
            source_folder=source_folder,
            source=source,
            container=container,
            context=context,
        )

    def run(self) -> tuple[StoredObject, dict[int, StoredPart], bytes | None]:
        """Send the parts that are missing, and complete the object."""
        parts = dict(self._resumed.parts)
        if self._resumed.completed is not None and not self._wants_hash:
            self._start_meter(parts)
            return self._resumed.completed, parts, None
        plaintext_sha256 = self._send_parts(parts)
        if self._resumed.completed is not None:
            return self._resumed.completed, parts, plaintext_sha256
        self._context.confirm()
        stored = complete_upload(
            self.container, PAYLOAD_NAME, self._checkpoint.upload_id, parts, floe_header=self.cipher.header
        )
        return stored, parts, plaintext_sha256

    def _start_meter(self, parts: Mapping[int, StoredPart]) -> ProgressMeter:
        meter = self._context.start_meter(
            bytes_total=self.geometry.plaintext_length_bytes, parts_total=self.geometry.part_count
        )
        meter.skip(sum(self.geometry.part_plaintext(index).length for index in parts), parts=len(parts))
        return meter

    @property
    def _wants_hash(self) -> bool:
        return self.order.hash_plaintext or self.order.expected_sha256 is not None

    def _send_parts(self, parts: dict[int, StoredPart]) -> bytes | None:
        source, meter = self._source_folder.open(self._source), self._start_meter(parts)
        done, upload_id = frozenset(parts), self._checkpoint.upload_id
        ordered_hash = OrderedHash() if self._wants_hash else None

        def process(index: int) -> None:
            byte_range = self.geometry.part_plaintext(index)
            with self._context.working(self.geometry.part_size_bytes):
                slices = source.read(byte_range, slice_size_bytes=SEGMENT_CAPACITY_BYTES)
                plaintext: Iterable[Buffer] = self._context.gauge.reading(slices)
                if ordered_hash is not None:
                    plaintext = [bytes(data) for data in plaintext]  # whole, so that only the hashing waits its turn
                    ordered_hash.add(index, plaintext)
                if index in done:
                    return
                part = self.container.write_part(
                    PAYLOAD_NAME,
                    upload_id,
                    index=index,
                    byte_range=self.geometry.part_ciphertext(index),
                    fill=lambda room: encrypt_part(self.cipher, self.geometry, index, plaintext, room),
                )
            self._context.checkpoints.record_part(self.order.transfer_id, upload_id, part)
            parts[index] = part
            meter.add(byte_range.length, parts=1, at=self._context.monotonic())

        every_index = range(self.geometry.part_count)
        run_parts(
            every_index if ordered_hash else [index for index in every_index if index not in done],
            process,
            parts_in_flight=self._context.parts_in_flight(self.geometry.part_size_bytes),
            stop=self._context.stop,
            on_failure=ordered_hash.abandon if ordered_hash else lambda: None,  # nobody waits for a part
        )
        if ordered_hash is None:
            return None
        digest = ordered_hash.digest()
        if self.order.expected_sha256 is not None and not hmac.compare_digest(digest, self.order.expected_sha256):
            raise SourceDigestError(self._source_folder.locate(self._source.name))
        return digest


def discard_upload(transfer_id: str, *, container: Folder, context: JobContext) -> None:
    """Drop what a transfer that will not be completed has uploaded, and its checkpoint."""
    container.abort_stray_uploads(PAYLOAD_NAME)
    context.checkpoints.clear(transfer_id)


def _start_afresh(order: EncryptionOrder, source: StoredObject, container: Folder, context: JobContext) -> Checkpoint:
    geometry = plan_payload(source.size_bytes, part_size_bytes=order.part_size_bytes)
    data_key = generate_data_key()
    context.observer.data_key_made(transfer_id=order.transfer_id, suite_id=order.suite_id)
    cipher = create_payload_cipher(
        data_key, suite_id=order.suite_id, transfer_id=order.transfer_id, sender=order.sender
    )
    sealed_data_key = context.sealer.seal(data_key, transfer_id=order.transfer_id)
    context.confirm()
    container.abort_stray_uploads(PAYLOAD_NAME)
    upload_id = container.start_upload(
        PAYLOAD_NAME, tag=make_tag(cipher.header), size_bytes=geometry.ciphertext_length_bytes
    )
    checkpoint = Checkpoint(
        transfer_id=order.transfer_id,
        upload_id=upload_id,
        source_etag=source.etag,
        source_version_id=source.version_id,
        source_size_bytes=source.size_bytes,
        part_size_bytes=geometry.part_size_bytes,
        floe_header=cipher.header,
        sealed_data_key=sealed_data_key,
    )
    context.checkpoints.create(checkpoint)
    return checkpoint


def _settle_manifest(
    order: EncryptionOrder,
    upload: _PayloadUpload,
    payload: StoredObject,
    parts: dict[int, StoredPart],
    plaintext_sha256: bytes | None,
) -> SignedManifest:
    """Write the manifest, or take the one that an earlier attempt wrote for this very payload."""
    part_sha256 = tuple(parts[index].sha256 or b"" for index in range(upload.geometry.part_count))
    body = Manifest(
        suite=order.suite_id,
        transfer_id=order.transfer_id,
        sender=order.sender,
        created_at=order.created_at,
        plaintext_length=upload.geometry.plaintext_length_bytes,
        ciphertext_length=upload.geometry.ciphertext_length_bytes,
        part_size=upload.geometry.part_size_bytes,
        part_sha256=part_sha256,
        composite_sha256=composite_sha256(part_sha256),
        floe_header=upload.cipher.header,
        object_version_id=payload.version_id,
        plaintext_sha256=plaintext_sha256,
        metadata=order.metadata,
    )
    manifest = sign_manifest(body, order.signing_key)
    upload.observer.model_encrypted(manifest)
    try:
        upload.container.create_document(MANIFEST_NAME, manifest.to_json())
    except ObjectExistsError:
        document = upload.container.read_document(MANIFEST_NAME, limit_bytes=MANIFEST_LIMIT_BYTES)
        existing = SignedManifest.from_json(document.data)
        if existing.body.part_sha256 != part_sha256 or existing.body.floe_header != upload.cipher.header:
            raise
        return existing
    return manifest


def _settle_envelope(order: EncryptionOrder, upload: _PayloadUpload, manifest: SignedManifest) -> Envelope:
    """Write the envelope, or take the one that an earlier attempt wrote."""
    recipients = order.recipients if order.reserve_recipients is None else order.reserve_recipients()
    with telling(upload.observer, "envelope.wrap"):
        envelope = seal_envelope(
            upload.data_key,
            suite_id=order.suite_id,
            transfer_id=order.transfer_id,
            floe_header=manifest.body.floe_header,
            recipients=recipients,
            signer=order.sender,
            signing_key=order.signing_key,
        )
    upload.observer.envelope_wrapped(envelope)
    try:
        upload.container.create_document(ENVELOPE_NAME, envelope.to_json())
    except ObjectExistsError:
        document = upload.container.read_document(ENVELOPE_NAME, limit_bytes=ENVELOPE_LIMIT_BYTES)
        existing = Envelope.from_json(document.data)
        if existing.body.transfer_id != order.transfer_id or existing.signing_key != order.signing_key.public_key:
            raise
        return existing
    return envelope
