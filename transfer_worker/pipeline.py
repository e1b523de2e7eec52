"""What a worker does with one request: find the keys, run the job of its kind, describe the result.

Everything that touches AWS is passed in, so the same pipeline runs on fakes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pqtransfer.crypto.canonical_json import encode_base64
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey
from pqtransfer.crypto.manifest import Manifest, SignedManifest
from pqtransfer.crypto.suites import require_minimum_suite
from pqtransfer.errors import AccessError
from pqtransfer.keys.custody import KeyNotStoredError, PrivateKeyReader
from pqtransfer.keys.participant import KeyVersion
from pqtransfer.keys.registry import (
    KeyRegistry,
    find_active_key,
    find_opening_key,
    find_signing_key,
    resolve_recipients,
)
from pqtransfer.transfers.container import open_data_key, read_envelope, read_manifest
from pqtransfer.transfers.decrypting import DecryptionOrder, decrypt_model
from pqtransfer.transfers.encrypting import EncryptionOrder, discard_upload, encrypt_model
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import TransferResult
from pqtransfer.transfers.request import S3Location, TransferKind, TransferRequest
from pqtransfer.transfers.rewrapping import RewrapOrder, rewrap_envelope
from pqtransfer.transfers.verifying import verify_payload


class ContainerElsewhereError(AccessError):
    """The container does not stand where containers stand."""

    def __init__(self, location: str, data_bucket: str) -> None:
        super().__init__(f"{location} is not a container in the data bucket; name s3://{data_bucket}/transfers/ID/")


class Storage(Protocol):
    """The buckets a worker sees."""

    @property
    def data_bucket(self) -> str:
        """The bucket that containers stand in."""

    def container(self, prefix: str) -> Folder:
        """A folder in the data bucket."""

    def site(self, bucket: str) -> Folder:
        """A bucket of a site, to read a model from or write one to."""


@dataclass(frozen=True)
class TransferPipeline:
    """Runs requests. `now` gives the time that goes into manifests."""

    storage: Storage
    registry: KeyRegistry
    key_reader: PrivateKeyReader
    minimum_suite_id: str
    worker_name: str
    now: Callable[[], datetime]

    def run(self, request: TransferRequest, context: JobContext) -> TransferResult:
        """Do what the request asks for.

        Raises:
            PqtransferError: why it cannot be done; `UnavailableError` when trying again may help.
        """
        run_kind = {
            TransferKind.ENCRYPT: self._encrypt,
            TransferKind.DECRYPT: self._decrypt,
            TransferKind.REWRAP: self._rewrap,
            TransferKind.VERIFY: self._verify,
        }[request.kind]
        return run_kind(request, context)

    def discard(self, request: TransferRequest, context: JobContext) -> None:
        """Drop what a request that will not be completed has uploaded."""
        if request.kind is TransferKind.ENCRYPT:
            discard_upload(request.transfer_id, container=self._own_container(request), context=context)
        elif request.kind is TransferKind.DECRYPT and request.destination is not None:
            destination = S3Location.parse(request.destination)
            checkpoint = context.checkpoints.load(request.transfer_id)
            if checkpoint is not None:
                self.storage.site(destination.bucket).abort_upload(destination.key, checkpoint.upload_id)
            context.checkpoints.clear(request.transfer_id)

    def _encrypt(self, request: TransferRequest, context: JobContext) -> TransferResult:
        require_minimum_suite(request.suite, minimum_suite_id=self.minimum_suite_id)
        recipients = resolve_recipients(
            request.recipients, registry=self.registry, minimum_suite_id=self.minimum_suite_id
        )
        signing_key = self._read_active_key(request.sender, KeyPurpose.SIGNING)
        location = S3Location.parse(request.source)
        source_folder = self.storage.site(location.bucket)
        made = encrypt_model(
            EncryptionOrder(
                transfer_id=request.transfer_id,
                suite_id=request.suite,
                sender=request.sender,
                signing_key=signing_key,
                recipients=tuple(recipients),
                created_at=self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                metadata=request.metadata,
                expected_size_bytes=request.expected_size_bytes,
                expected_sha256=request.expected_sha256,
            ),
            source_folder=source_folder,
            source=source_folder.find(location.key, version_id=location.version_id),
            container=self._own_container(request),
            context=context,
        )
        return describe_container(
            made.manifest.body, location=self._own_container(request).locate(""), epoch=made.envelope.body.epoch
        )

    def _decrypt(self, request: TransferRequest, context: JobContext) -> TransferResult:
        container = self._named_container(request)
        manifest = self._read_trusted_manifest(container)
        stored = read_envelope(container)
        keys = self._read_opening_keys(request.recipients[0], stored.envelope.recipient_key_ids)
        destination = S3Location.parse(request.destination or "")
        order = DecryptionOrder(
            job_id=request.transfer_id,
            manifest=manifest.body,
            data_key=open_data_key(manifest.body, stored.envelope, keys),
            destination_name=destination.key,
            hash_parts=True,
        )
        decrypt_model(order, container=container, destination=self.storage.site(destination.bucket), context=context)
        return describe_container(manifest.body, location=str(destination), epoch=stored.envelope.body.epoch)

    def _rewrap(self, request: TransferRequest, _context: JobContext) -> TransferResult:
        container = self._named_container(request)
        manifest = self._read_trusted_manifest(container)
        stored = read_envelope(container)
        recipients = resolve_recipients(
            request.recipients, registry=self.registry, minimum_suite_id=self.minimum_suite_id
        )
        order = RewrapOrder(
            keys=self._read_opening_keys(request.sender, stored.envelope.recipient_key_ids),
            recipients=tuple(recipients),
            signer=request.sender,
            signing_key=self._read_active_key(request.sender, KeyPurpose.SIGNING),
        )
        envelope = rewrap_envelope(order, manifest.body, container=container)
        return describe_container(manifest.body, location=container.locate(""), epoch=envelope.body.epoch)

    def _verify(self, request: TransferRequest, context: JobContext) -> TransferResult:
        container = self._named_container(request)
        manifest = self._read_trusted_manifest(container)
        envelope = read_envelope(container).envelope
        signer_key_id = envelope.signing_key.key_id
        envelope.require_signer(find_signing_key(envelope.body.signer, signer_key_id, registry=self.registry))
        verify_payload(manifest.body, container=container, context=context)
        return describe_container(manifest.body, location=container.locate(""), epoch=envelope.body.epoch)

    def _own_container(self, request: TransferRequest) -> Folder:
        return self.storage.container(f"transfers/{request.transfer_id}/")

    def _named_container(self, request: TransferRequest) -> Folder:
        location = S3Location.parse(request.source)
        if location.bucket != self.storage.data_bucket or not location.key.startswith("transfers/"):
            raise ContainerElsewhereError(request.source, self.storage.data_bucket)
        return self.storage.container(location.key)

    def _read_trusted_manifest(self, container: Folder) -> SignedManifest:
        """The manifest, signed by a key that the registry holds for its sender."""
        manifest = read_manifest(container, signer=None)
        require_minimum_suite(manifest.body.suite, minimum_suite_id=self.minimum_suite_id)
        known = find_signing_key(manifest.body.sender, manifest.signing_key.key_id, registry=self.registry)
        manifest.require_signer(known)
        return manifest

    def _read_active_key(self, participant: str, purpose: KeyPurpose) -> PrivateKey:
        return self._read_key(find_active_key(participant, purpose, registry=self.registry))

    def _read_opening_keys(self, participant: str, key_ids: tuple[str, ...]) -> list[PrivateKey]:
        """The participant's KEM keys that the envelope is wrapped to (usually one; none gives NotARecipientError)."""
        held = {key.key_id for key in self.registry.load(participant).keys}
        return [
            self._read_key(find_opening_key(participant, key_id, registry=self.registry))
            for key_id in key_ids
            if key_id in held
        ]

    def _read_key(self, key: KeyVersion) -> PrivateKey:
        role_arn = self.registry.load(key.participant).participant.role_arn
        if role_arn is None:
            raise KeyNotStoredError(key)
        return self.key_reader.read(key, role_arn=role_arn, session_name=self.worker_name[:64])


def describe_container(manifest: Manifest, *, location: str, epoch: int) -> TransferResult:
    """The result of a transfer, for the ledger: where it is, its lengths and digests."""
    return TransferResult(
        location=location,
        plaintext_length=manifest.plaintext_length,
        ciphertext_length=manifest.ciphertext_length,
        composite_sha256=encode_base64(manifest.composite_sha256),
        part_count=len(manifest.part_sha256),
        plaintext_sha256=encode_base64(manifest.plaintext_sha256) if manifest.plaintext_sha256 else None,
        object_version_id=manifest.object_version_id,
        envelope_epoch=epoch,
    )
