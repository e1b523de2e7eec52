"""What a worker does with one request: find the keys, run the job of its kind, describe the result.

Everything that touches AWS is passed in, so the same pipeline runs on fakes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.crypto.suites import require_minimum_suite
from pqtransfer.errors import AccessError, InputError
from pqtransfer.keys.custody import PrivateKeyReader
from pqtransfer.keys.holder import KeyHolder, ManagedKeyHolder
from pqtransfer.keys.participant import Participant, ParticipantKind
from pqtransfer.keys.registry import KeyRegistry, find_signing_key, resolve_recipients
from pqtransfer.protection.reserving import KeyReservations
from pqtransfer.recording.keys import KeyFacts, RecordingKeyReader
from pqtransfer.recording.recorder import JobRecorder
from pqtransfer.transfers.container import (
    StoredEnvelope,
    describe_container,
    open_data_key,
    read_trusted_envelope,
    read_trusted_manifest,
)
from pqtransfer.transfers.decrypting import DecryptionOrder, decrypt_model
from pqtransfer.transfers.encrypting import EncryptionOrder, discard_upload, encrypt_model
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import TransferLedger, TransferResult
from pqtransfer.transfers.observing import JobObserver, telling
from pqtransfer.transfers.request import S3Location, TransferKind, TransferRequest
from pqtransfer.transfers.rewrapping import RewrapOrder, rewrap_envelope
from pqtransfer.transfers.verifying import verify_payload
from transfer_worker.audit import describe_attempt
from transfer_worker.reencryption import Reencryption

CONTAINERS_PREFIX = "transfers/"
_CONTAINER_PREFIX = re.compile(rf"{CONTAINERS_PREFIX}([0-9a-f-]{{36}})/")


class ContainerElsewhereError(AccessError):
    """The container does not stand where containers stand."""

    def __init__(self, location: str, data_bucket: str) -> None:
        super().__init__(f"{location} is not a container in the data bucket; name s3://{data_bucket}/transfers/ID/")


class PlaintextInDataBucketError(AccessError):
    """A decrypted model was to be put where only encrypted ones may stand."""

    def __init__(self, destination: str) -> None:
        super().__init__(
            f"{destination} is in the data bucket, where only encrypted models stand; name a site's bucket"
        )


class BucketNotOfSenderError(AccessError):
    """Workers may use the bucket, but not in this sender's name."""

    def __init__(self, bucket: str, sender: Participant) -> None:
        mend = (
            f"name one of its own (pqtransfer participants show {sender.name}), or register a participant with this "
            f"one: pqtransfer participants add NAME --managed --bucket {bucket}"
            if sender.kind is ParticipantKind.MANAGED
            else "it keeps its own keys: workers use no bucket for it, so send and receive where these keys are"
        )
        super().__init__(f"bucket {bucket} is not among those that workers may use for {sender.name}; {mend}")


class NotAModelError(InputError):
    """The source is part of a container."""

    def __init__(self, source: str) -> None:
        super().__init__(f"{source} is part of a container, not a model; name the model, or use rewrap")


class UploadNotForWorkersError(InputError):
    """An upload was put on the queue: its plaintext is on the sender's machine, where no worker can read it."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(f"transfer {transfer_id} is an upload: run it where the file is, with `pqtransfer send FILE`")


class Storage(Protocol):
    """The buckets a worker sees."""

    @property
    def data_bucket(self) -> str:
        """The bucket that containers stand in."""

    def container(self, prefix: str) -> Folder:
        """A folder in the data bucket."""

    def site(self, bucket: str) -> Folder:
        """A bucket of a site, to read a model from or write one to."""


def observe_no_further(recorder: JobObserver) -> JobObserver:
    """Nobody else is told."""
    return recorder


@dataclass(frozen=True)
class TransferPipeline:
    """Runs requests.

    `now` gives the time that goes into manifests; `trail` takes each operation before its effect; `observe` may put
    another observer before the one that records.
    """

    storage: Storage
    ledger: TransferLedger
    registry: KeyRegistry
    key_reader: PrivateKeyReader
    minimum_suite_id: str
    worker_name: str
    reservations: KeyReservations
    trail: AuditTrail
    now: Callable[[], datetime]
    observe: Callable[[JobObserver], JobObserver] = observe_no_further

    def run(self, request: TransferRequest, context: JobContext) -> TransferResult:
        """Do what the request asks for.

        Raises:
            PqtransferError: why it cannot be done; `UnavailableError` when trying again may help.
            AuditUnavailableError: what was done could not be put on record, and so had no effect.
        """
        run_kind = {
            TransferKind.ENCRYPT: self._encrypt,
            TransferKind.DECRYPT: self._decrypt,
            TransferKind.REWRAP: self._rewrap,
            TransferKind.VERIFY: self._verify,
            TransferKind.UPLOAD: self._refuse_upload,
            TransferKind.REENCRYPT: self._reencrypt,
        }[request.kind]
        return run_kind(request, replace(context, observer=self.observe(self._recorder(request, context))))

    def discard(self, request: TransferRequest, context: JobContext) -> None:
        """Drop what a request that will not be completed has uploaded."""
        if request.kind in (TransferKind.ENCRYPT, TransferKind.REENCRYPT):
            discard_upload(request.transfer_id, container=self._own_container(request), context=context)
        elif request.kind is TransferKind.DECRYPT and request.destination is not None:
            destination = S3Location.parse(request.destination)
            checkpoint = context.checkpoints.load(request.transfer_id)
            if checkpoint is not None:
                self.storage.site(destination.bucket).abort_upload(destination.key, checkpoint.upload_id)
            context.checkpoints.clear(request.transfer_id)

    def _encrypt(self, request: TransferRequest, context: JobContext) -> TransferResult:
        location = request.source_location
        if location.bucket == self.storage.data_bucket and location.key.startswith(CONTAINERS_PREFIX):
            raise NotAModelError(str(location))
        self._require_bucket_of_sender(location.bucket, request, context)
        require_minimum_suite(request.suite, minimum_suite_id=self.minimum_suite_id)
        recipients = resolve_recipients(
            request.recipients, registry=self.registry, minimum_suite_id=self.minimum_suite_id
        )
        signing_key = self._holder(request, context).signing_key()
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
                hash_plaintext=request.hash_plaintext,
                reserve_recipients=self.reservations.for_first_envelope(
                    request.recipients,
                    transfer_id=request.transfer_id,
                    signing_key_id=signing_key.public_key.key_id,
                ),
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
        destination = S3Location.parse(request.destination or "")
        if destination.bucket == self.storage.data_bucket:
            raise PlaintextInDataBucketError(str(destination))
        self._require_bucket_of_sender(destination.bucket, request, context)
        container, manifest = self._named_container(request, context)
        stored = self._read_envelope(container, manifest, context)
        keys = self._holder(request, context).opening_keys(stored.envelope.recipient_key_ids)
        order = DecryptionOrder(
            job_id=request.transfer_id,
            manifest=manifest.body,
            data_key=open_data_key(manifest.body, stored.envelope, keys, observer=context.observer),
            destination_name=destination.key,
        )
        site = self.storage.site(destination.bucket)
        with telling(context.observer, "model.decrypt"):
            decrypt_model(order, container=container, destination=site, context=context)
        return describe_container(manifest.body, location=str(destination), epoch=stored.envelope.body.epoch)

    def _rewrap(self, request: TransferRequest, context: JobContext) -> TransferResult:
        container, manifest = self._named_container(request, context)
        holder = self._holder(request, context)
        recipients = resolve_recipients(
            request.recipients, registry=self.registry, minimum_suite_id=self.minimum_suite_id
        )
        signing_key = holder.signing_key()
        order = RewrapOrder(
            find_opening_keys=holder.opening_keys,
            recipients=tuple(recipients),
            signer=request.sender,
            signing_key=signing_key,
            reserve_recipients=self.reservations.for_next_envelope(
                request.recipients,
                transfer_id=manifest.body.transfer_id,
                signing_key_id=signing_key.public_key.key_id,
                manifest_key_id=manifest.signing_key.key_id,
            ),
        )
        envelope = rewrap_envelope(
            order,
            manifest.body,
            container=container,
            read_current=lambda: self._read_envelope(container, manifest, context),
            confirm=context.confirm,
            observer=context.observer,
        )
        return describe_container(manifest.body, location=container.locate(""), epoch=envelope.body.epoch)

    def _reencrypt(self, request: TransferRequest, context: JobContext) -> TransferResult:
        container, manifest = self._named_container(request, context)
        own = self._own_container(request)
        made = Reencryption(
            registry=self.registry,
            key_reader=self._key_reader(request, context),
            reservations=self.reservations,
            minimum_suite_id=self.minimum_suite_id,
            session_name=self.worker_name,
            now=self.now,
        ).run(
            request,
            manifest,
            first_recipients=self.ledger.get(manifest.body.transfer_id).request.recipients,
            signing_key=self._holder(request, context).signing_key(),
            old=container,
            new=own,
            context=context,
        )
        return describe_container(made.manifest.body, location=own.locate(""), epoch=made.envelope.body.epoch)

    def _verify(self, request: TransferRequest, context: JobContext) -> TransferResult:
        container, manifest = self._named_container(request, context)
        stored = self._read_envelope(container, manifest, context)
        with telling(context.observer, "payload.verify"):
            verify_payload(manifest.body, container=container, context=context)
        return describe_container(manifest.body, location=container.locate(""), epoch=stored.envelope.body.epoch)

    def _refuse_upload(self, request: TransferRequest, _context: JobContext) -> TransferResult:
        raise UploadNotForWorkersError(request.transfer_id)

    def _require_bucket_of_sender(self, bucket: str, request: TransferRequest, context: JobContext) -> None:
        """The worker's role reads and writes the buckets of every site: it must be told for whom it may use which."""
        participant = self.registry.load(request.sender).participant
        recorder = self._recorder(request, context)
        if bucket not in participant.buckets:
            refusal = BucketNotOfSenderError(bucket, participant)
            self.trail.record(recorder.facts.bucket_denied(bucket, refusal))
            raise refusal
        self.trail.record(recorder.facts.bucket_allowed(bucket))

    def _own_container(self, request: TransferRequest) -> Folder:
        return self.storage.container(f"transfers/{request.transfer_id}/")

    def _named_container(self, request: TransferRequest, context: JobContext) -> tuple[Folder, SignedManifest]:
        """The container that a request names, and its manifest, signed by a key that the registry holds."""
        location = request.source_location
        place = _CONTAINER_PREFIX.fullmatch(location.key)
        if location.bucket != self.storage.data_bucket or place is None:
            raise ContainerElsewhereError(str(location), self.storage.data_bucket)
        container = self.storage.container(location.key)
        record = self.ledger.get(place.group(1))
        with telling(context.observer, "manifest.verify"):
            manifest = read_trusted_manifest(
                container,
                record,
                find_signing_key=self._find_signing_key,
                minimum_suite_id=self.minimum_suite_id,
            )
        context.observer.manifest_verified(manifest)
        return container, manifest

    def _read_envelope(self, container: Folder, manifest: SignedManifest, context: JobContext) -> StoredEnvelope:
        """The container's envelope, signed by a key that the registry holds."""
        with telling(context.observer, "envelope.verify"):
            stored = read_trusted_envelope(container, manifest.body, find_signing_key=self._find_signing_key)
        context.observer.envelope_verified(stored.envelope)
        return stored

    def _find_signing_key(self, participant: str, key_id: str) -> PublicKey:
        return find_signing_key(participant, key_id, registry=self.registry)

    def _holder(self, request: TransferRequest, context: JobContext) -> KeyHolder:
        return ManagedKeyHolder(request.sender, self.registry, self._key_reader(request, context), self.worker_name)

    def _key_reader(self, request: TransferRequest, context: JobContext) -> RecordingKeyReader:
        """The way to private keys; the use of each is put on record before it is handed out."""
        through = self._recorder(request, context).facts.through
        facts = KeyFacts(request.sender, request.correlation_id, {"transfer": request.transfer_id, **through})
        return RecordingKeyReader(self.key_reader, self.trail, facts)

    def _recorder(self, request: TransferRequest, context: JobContext) -> JobRecorder:
        facts = describe_attempt(request, worker_name=self.worker_name, attempt=context.attempt)
        return JobRecorder(self.trail, facts)
