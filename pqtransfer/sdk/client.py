"""The client of one deployment: send, receive, watch and cancel transfers.

client = Client.connect(load_deployment(Path("deployment.json")))
record = client.send("model.safetensors", sender=client.local_holder(identity), recipients=["hospital-b"])
client.receive(record.transfer_id, reader=client.managed_holder("hospital-b"), out=Path("model.safetensors"))
"""

import getpass
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pqtransfer.aws.clients import make_session
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.crypto.suites import require_minimum_suite
from pqtransfer.keys.holder import KeyHolder, LocalKeyHolder, ManagedKeyHolder
from pqtransfer.keys.registry import resolve_recipients
from pqtransfer.protection.reserving import KeyReservations
from pqtransfer.recording.transfers import TransferFacts
from pqtransfer.sdk.audit import ReceivingRecorder, record_key_uses
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.sdk.following import find_current
from pqtransfer.sdk.local_folder import LocalFolder
from pqtransfer.sdk.local_journal import LocalCheckpointStore
from pqtransfer.sdk.reader import ModelReader
from pqtransfer.sdk.receiving import Reception
from pqtransfer.sdk.send_options import S3_SCHEME, SendOptions, make_request, name_recipients
from pqtransfer.sdk.sending import (
    LEASE_SECONDS,
    Upload,
    WatchProgress,
    drop_ended_upload,
    find_unfinished,
    name_upload_journal,
    run_upload,
)
from pqtransfer.sdk.watching_connections import WatchingConnections
from pqtransfer.transfers.container import (
    NotReadyError,
    TransferEndedError,
)
from pqtransfer.transfers.folder import Folder, StoredObject
from pqtransfer.transfers.ledger import (
    FINAL_STATES,
    IllegalStepError,
    TransferRecord,
    TransferState,
    require_legal_step,
)
from pqtransfer.transfers.request import InvalidRequestError, S3Location, TransferRequest
from pqtransfer.transfers.signed_request import sign_request

if TYPE_CHECKING:
    pass

__all__ = ["Client", "NotReadyError", "ReceivedModel", "SendOptions", "TransferEndedError"]


@dataclass(frozen=True)
class ReceivedModel:
    """A model that was received and verified."""

    path: Path
    manifest: Manifest
    seconds: float


@dataclass(frozen=True)
class Client(WatchingConnections):
    """One deployment, with one session's credentials. `state_directory` holds the journals of uploads."""

    state_directory: Path

    @classmethod
    def connect(
        cls,
        deployment: Deployment,
        *,
        profile: str | None = None,
        state_directory: Path | None = None,
        audit_spool: Path | None = None,
    ) -> "Client":
        """A client with the default AWS credentials, or those of a profile. `audit_spool`: see `Connections`."""
        session = make_session(profile=profile, region=deployment.region)
        state = state_directory or Path.home() / ".local" / "state" / "pqtransfer"
        return cls(deployment, session, state, audit_spool=audit_spool)

    def local_holder(self, identity: PrivateIdentity) -> KeyHolder:
        """A participant that keeps its own keys."""
        return LocalKeyHolder(identity)

    def managed_holder(self, participant: str) -> KeyHolder:
        """A managed participant, whose role the session may take."""
        session_name = f"pqtransfer-{getpass.getuser()}-{socket.gethostname()}"
        return ManagedKeyHolder(participant, self.registry, self.key_reader(), session_name)

    def send(
        self,
        source: str,
        *,
        sender: KeyHolder,
        recipients: Sequence[str],
        options: SendOptions | None = None,
        watch: WatchProgress | None = None,
    ) -> TransferRecord:
        """Send a file, or an S3 object.

        An S3 object of a managed sender is submitted to the queue, and this returns at once (SUBMITTED). Everything
        else is encrypted here and uploaded, and this returns when it is done (COMPLETED). Sending the same file to the
        same recipients again goes on where an earlier upload was interrupted.

        Raises:
            ParticipantUnknownError, ParticipantNotReadyError, WeakSuiteError: a participant cannot be used.
            PqtransferError: why it failed.
        """
        options = options or SendOptions()
        require_minimum_suite(options.suite_id, minimum_suite_id=self.deployment.minimum_suite)
        keys = resolve_recipients(
            name_recipients(sender, recipients, options),
            registry=self.registry,
            minimum_suite_id=options.suite_id,
        )
        through_queue = source.startswith(S3_SCHEME) and isinstance(sender, ManagedKeyHolder)
        request = make_request(source, sender, recipients, options, through_queue=through_queue)
        if through_queue:
            return self.submit(request, signer=sender)
        return self._upload(
            source, request, sender=sender, keys=keys, named=options.transfer_id is not None, watch=watch
        )

    def submit(self, request: TransferRequest, *, signer: KeyHolder) -> TransferRecord:
        """Record a request and put it on the queue, signed by its sender. Submitting it again does no harm.

        Raises:
            InvalidRequestError: `signer` is not its sender.
            TransferConflictError: the id is taken by another request.
            AuditUnavailableError: the audit log takes no event; nothing was submitted.
        """
        if signer.participant != request.sender:
            raise InvalidRequestError(f"{signer.participant} cannot sign a request of {request.sender}")
        key = self._recorded(signer, request).signing_key()
        message = sign_request(request, key)
        self.trail.record(self._facts(request).submitted(signing_key_id=key.public_key.key_id))
        record = self.ledger.submit(request, at=datetime.now(UTC))
        if record.state not in FINAL_STATES:
            self.queue.send(message)
        return record

    def receive(
        self,
        transfer_id: str,
        *,
        reader: KeyHolder,
        out: Path,
        sender: str | None = None,
        minimum_suite_id: str | None = None,
        watch: WatchProgress | None = None,
    ) -> ReceivedModel:
        """Decrypt a transfer to the new file `out`, which appears when all of it was verified.

        Interrupted, the same call goes on with the parts that are missing. `sender` is whom it must be of; left out,
        the ledger is trusted for that.

        Raises:
            NotReadyError, TransferEndedError: the transfer is not COMPLETED.
            NotARecipientError: it is not wrapped to this participant.
            WeakSuiteError: its suite is under the minimum of the deployment, or under `minimum_suite_id`.
            IntegrityError: something was changed, or is of somebody else; nothing stands under `out`.
            AuditUnavailableError: the audit log takes no event; nothing stands under `out`.
        """
        started = time.monotonic()
        reception = self._begin(transfer_id, sender, minimum_suite_id, actor=reader.participant)
        with reception.recorder.receiving():
            manifest = reception.decrypt(reader, out, watch=watch)
        return ReceivedModel(out, manifest, time.monotonic() - started)

    def read_manifest(
        self, transfer_id: str, *, sender: str | None = None, minimum_suite_id: str | None = None
    ) -> Manifest:
        """The manifest of a completed transfer, signed by a known key of its sender. Needs no key.

        Raises:
            NotReadyError, TransferEndedError: the transfer is not COMPLETED.
            IntegrityError: it was changed.
        """
        return self._begin(transfer_id, sender, minimum_suite_id, actor=self.caller).read_manifest().body

    def find_current(self, transfer_id: str, *, sender: str | None = None) -> TransferRecord:
        """The transfer to receive: `transfer_id`, or the one that its model was re-encrypted as after a key was lost.

        What the ledger says of that is not believed: both manifests have to show it (`pqtransfer.sdk.following`).

        Raises:
            TransferNotFoundError: there is no such transfer.
            NotTheSameModelError: they do not.
        """
        return find_current(self, transfer_id, sender=sender)

    def open_model(
        self, transfer_id: str, *, reader: KeyHolder, sender: str | None = None, minimum_suite_id: str | None = None
    ) -> ModelReader:
        """A seekable file object over the model; only the segments that are read are fetched.

        Raises:
            as `receive`.
        """
        reception = self._begin(transfer_id, sender, minimum_suite_id, actor=reader.participant)
        with reception.recorder.receiving():
            manifest, data_key = reception.open(reader)
        return ModelReader(reception.container, manifest, data_key)

    def status(self, transfer_id: str) -> TransferRecord:
        """The transfer as it stands now."""
        return self.ledger.get(transfer_id)

    def list_recent(
        self, *, sender: str | None = None, state: TransferState | None = None, limit: int = 20
    ) -> Iterator[TransferRecord]:
        """Transfers, newest first."""
        return self.ledger.list_recent(sender=sender, state=state, limit=limit)

    def cancel(self, transfer_id: str) -> TransferRecord:
        """Cancel a transfer. A worker that runs it notices within seconds and drops what it uploaded.

        Raises:
            TransferNotFoundError, IllegalStepError: why it cannot be cancelled.
        """
        record = self.ledger.get(transfer_id)
        facts = TransferFacts(record.request, {"caller": self.caller}, actor=self.caller)
        try:
            if record.state is not TransferState.CANCELLED:
                require_legal_step(transfer_id, record.state, TransferState.CANCELLED)
            self.trail.record(facts.cancelled())
            return self.ledger.cancel(transfer_id, at=datetime.now(UTC))
        except IllegalStepError as error:  # also when it ended after it was looked at: this takes the event back
            self.trail.record(facts.not_cancelled(error))
            raise

    def _facts(self, request: TransferRequest) -> TransferFacts:
        return TransferFacts(request, {"caller": self.caller})

    def _begin(self, transfer_id: str, sender: str | None, minimum_suite_id: str | None, *, actor: str) -> Reception:
        record = self.ledger.get(transfer_id)
        through = {"caller": self.caller, "request": "receive"}
        recorder = ReceivingRecorder(self.trail, TransferFacts(record.request, through, actor=actor))
        return Reception(self, record, recorder, sender=sender, minimum_suite_id=minimum_suite_id)

    def _recorded(self, holder: KeyHolder, request: TransferRequest) -> KeyHolder:
        through = {"caller": self.caller, "transfer": request.transfer_id}
        return record_key_uses(holder, self.trail, correlation_id=request.correlation_id, through=through)

    def _upload(
        self,
        source: str,
        request: TransferRequest,
        *,
        sender: KeyHolder,
        keys: Sequence[PublicKey],
        named: bool,
        watch: WatchProgress | None,
    ) -> TransferRecord:
        location = source if source.startswith(S3_SCHEME) else str(Path(source).absolute())
        journal = self._open_journal(location, request, named=named)
        unfinished = find_unfinished(journal, request, ledger=self.ledger)
        if unfinished is None:
            drop_ended_upload(journal, self.container)
        request = unfinished or request
        with self._open_source(location) as (source_folder, stored):
            upload = Upload(
                request=request,
                holder=sender,
                recipients=tuple(keys),
                source_folder=source_folder,
                source=stored,
                container=self.container(request.transfer_id),
                journal=journal,
                reservations=KeyReservations(
                    self.registry, self.dependencies, minimum_suite_id=self.deployment.minimum_suite
                ),
                caller=self.caller,
            )
            prompt_ledger = self.prompt_ledger(within_seconds=LEASE_SECONDS * 2 / 3)
            return run_upload(upload, ledger=self.ledger, prompt_ledger=prompt_ledger, trail=self.trail, watch=watch)

    def _open_journal(self, location: str, request: TransferRequest, *, named: bool) -> LocalCheckpointStore:
        directory = self.state_directory / "uploads"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        deployment = f"{self.deployment.account_id}/{self.deployment.environment}/{self.deployment.data_bucket}"
        return LocalCheckpointStore(
            name_upload_journal(directory, deployment=deployment, source=location, request=request, named=named)
        )

    @contextmanager
    def _open_source(self, location: str) -> Iterator[tuple[Folder, StoredObject]]:
        if location.startswith(S3_SCHEME):
            place = S3Location.parse(location)
            bucket = self.site(place.bucket)
            yield bucket, bucket.find(place.key, version_id=place.version_id)
        else:
            path = Path(location)
            with LocalFolder(path.parent) as folder:
                yield folder, folder.find(path.name)
