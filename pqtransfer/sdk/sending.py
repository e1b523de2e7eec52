"""Send a model: through the queue, where a worker encrypts it, or from here, so that its plaintext stays here.

An upload from here is resumable: its journal holds the parts done and the data key, sealed to the sender's own KEM key.
Running the same command again goes on where it ended.
"""

import hashlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pqtransfer.audit.trail import AuditTrail, AuditUnavailableError
from pqtransfer.crypto.canonical_json import write_canonical_json
from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.crypto.sealing import seal_to_key, unseal_with_keys
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.holder import KeyHolder
from pqtransfer.protection.reserving import KeyReservations
from pqtransfer.recording.recorder import JobRecorder
from pqtransfer.recording.transfers import TransferFacts
from pqtransfer.sdk.audit import record_key_uses
from pqtransfer.sdk.local_journal import LocalCheckpointStore
from pqtransfer.transfers.container import describe_container
from pqtransfer.transfers.encrypting import EncryptionOrder, discard_upload, encrypt_model
from pqtransfer.transfers.folder import PAYLOAD_NAME, Folder, StoredObject
from pqtransfer.transfers.heartbeat import Heartbeat
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import (
    FINAL_STATES,
    Lease,
    LeaseLostError,
    Progress,
    TransferLedger,
    TransferNotFoundError,
    TransferRecord,
    TransferState,
    explain_failure,
)
from pqtransfer.transfers.parts import StopSignal
from pqtransfer.transfers.progress import ProgressMeter
from pqtransfer.transfers.request import TransferRequest

LEASE_SECONDS = 60
_SEAL_LABEL = b"pqtransfer/v1/local-checkpoint/"

WatchProgress = Callable[[ProgressMeter], None]


@dataclass(frozen=True)
class HolderDataKeySealer:
    """`DataKeySealer` for a journal on the sender's machine: only the sender's own KEM key opens it."""

    holder: KeyHolder

    def seal(self, data_key: SecretBytes, *, transfer_id: str) -> bytes:
        key = self.holder.public_kem_key()
        return bytes.fromhex(key.key_id) + seal_to_key(data_key, key, label=_SEAL_LABEL + transfer_id.encode())

    def unseal(self, sealed: bytes, *, transfer_id: str) -> SecretBytes:
        keys = self.holder.opening_keys([sealed[:32].hex()])
        return unseal_with_keys(sealed[32:], keys, label=_SEAL_LABEL + transfer_id.encode())


@dataclass(frozen=True)
class Upload:
    """One upload from this machine: the request, the recipients' keys at its beginning, the source, where it goes.

    `caller` is for the record.
    """

    request: TransferRequest
    holder: KeyHolder
    recipients: tuple[PublicKey, ...]
    source_folder: Folder
    source: StoredObject
    container: Folder
    journal: LocalCheckpointStore
    reservations: KeyReservations
    caller: str


def name_upload_journal(
    directory: Path, *, deployment: str, source: str, request: TransferRequest, named: bool = False
) -> Path:
    """The journal of an upload: what is asked for in the same words has the same name.

    `named`: the caller chose the transfer id, so only the same id is the same upload.
    """
    asked = request.model_dump(mode="json", exclude={"correlation_id"} if named else {"correlation_id", "transfer_id"})
    identity = {"deployment": deployment, "request": asked, "source": source}
    return directory / f"{hashlib.sha256(write_canonical_json(identity)).hexdigest()[:40]}.journal"


def find_unfinished(
    journal: LocalCheckpointStore, request: TransferRequest, *, ledger: TransferLedger
) -> TransferRequest | None:
    """The request of an upload that was begun and can be gone on with: the same as `request`, but for its ids.

    The ledger's record says only whether it can. What is asked for is what the sender says now: others write there too.
    """
    head = journal.load_head()
    if head is None:
        return None
    try:
        record = ledger.get(head.transfer_id)
    except TransferNotFoundError:
        return None
    ids = {"transfer_id": head.transfer_id, "correlation_id": record.request.correlation_id}
    begun = request.model_copy(update=ids)
    return begun if record.state not in FINAL_STATES and record.request == begun else None


def drop_ended_upload(journal: LocalCheckpointStore, open_container: Callable[[str], Folder]) -> None:
    """Drop what an upload left that ended elsewhere (it was cancelled while nobody ran it), and its journal."""
    head = journal.load_head()
    if head is not None:
        open_container(head.transfer_id).abort_upload(PAYLOAD_NAME, head.upload_id)
        journal.clear(head.transfer_id)


def run_upload(
    upload: Upload,
    *,
    ledger: TransferLedger,
    prompt_ledger: TransferLedger,
    trail: AuditTrail,
    watch: WatchProgress | None,
) -> TransferRecord:
    """Encrypt and upload, recording every step in the ledger; `prompt_ledger` is the same by calls that fail soon.

    Each operation and each end is in `trail` before it counts.

    Raises:
        ClaimedElsewhereError: the same upload runs in another process.
        UnavailableError: the store or the ledger does not answer; the same command goes on later.
        PqtransferError: why it failed for good; the transfer is FAILED and nothing of it remains.
    """
    request, through = upload.request, {"caller": upload.caller}
    trail.record(TransferFacts(request, through).submitted(signing_key_id=None))
    ledger.submit(request, at=_now())
    lease = ledger.claim(
        request.transfer_id,
        owner=f"{socket.gethostname()}-{os.getpid()}",
        at=_now(),
        lease_expires_at=_now() + timedelta(seconds=LEASE_SECONDS),
    )
    facts = TransferFacts(request, {**through, "attempt": str(lease.attempt)})
    stop = StopSignal()
    heartbeat = Heartbeat(
        lease, ledger=prompt_ledger, stop=stop, lease_seconds=LEASE_SECONDS, now=_now, monotonic=time.monotonic
    )

    holder = record_key_uses(
        upload.holder,
        trail,
        correlation_id=request.correlation_id,
        through={"transfer": request.transfer_id, **through},
    )

    def show(meter: ProgressMeter) -> None:
        heartbeat.watch(meter)
        if watch is not None:
            watch(meter)

    context = JobContext(
        checkpoints=upload.journal,
        sealer=HolderDataKeySealer(holder),
        monotonic=time.monotonic,
        stop=stop,
        watch=show,
        confirm=heartbeat.confirm,
        observer=JobRecorder(trail, facts),
    )
    try:
        trail.record(facts.claimed())
        with heartbeat:
            signing_key = holder.signing_key()
            made = encrypt_model(
                EncryptionOrder(
                    transfer_id=request.transfer_id,
                    suite_id=request.suite,
                    sender=request.sender,
                    signing_key=signing_key,
                    recipients=upload.recipients,
                    created_at=_now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                    metadata=request.metadata,
                    expected_size_bytes=request.expected_size_bytes,
                    expected_sha256=request.expected_sha256,
                    hash_plaintext=request.hash_plaintext,
                    reserve_recipients=upload.reservations.for_first_envelope(
                        request.recipients,
                        transfer_id=request.transfer_id,
                        signing_key_id=signing_key.public_key.key_id,
                    ),
                ),
                source_folder=upload.source_folder,
                source=upload.source,
                container=upload.container,
                context=context,
            )
        result = describe_container(
            made.manifest.body, location=upload.container.locate(""), epoch=made.envelope.body.epoch
        )
        trail.record(facts.completed(result))
        ledger.complete(lease, at=_now(), result=result, progress=heartbeat.read_progress())
    except LeaseLostError as error:
        trail.record(facts.lost(error))
        if error.state is TransferState.CANCELLED:
            discard_upload(request.transfer_id, container=upload.container, context=context)
        raise
    except (UnavailableError, KeyboardInterrupt) as error:
        failure = error if isinstance(error, PqtransferError) else None
        _give_back(lease, ledger, heartbeat.read_progress(), failure, lambda: trail.record(facts.released(failure)))
        raise
    except PqtransferError as error:
        trail.record(*facts.failed(error))
        # First the ledger: a process that was overtaken ends here, and drops nothing of its successor's.
        ledger.fail(lease, at=_now(), failure=explain_failure(error))
        discard_upload(request.transfer_id, container=upload.container, context=context)
        raise
    upload.journal.clear(request.transfer_id)
    return ledger.get(request.transfer_id)


def _give_back(
    lease: Lease,
    ledger: TransferLedger,
    progress: Progress,
    error: PqtransferError | None,
    record: Callable[[], None],
) -> None:
    """Release the lease so that the next run need not wait; if that fails, the lease expires by itself.

    Where the audit log is what does not answer, it is told nothing; that is no fault of the transfer either.
    """
    unrecorded = isinstance(error, AuditUnavailableError)
    failure = None if error is None or unrecorded else explain_failure(error)
    try:
        if not unrecorded:
            record()
        ledger.release(lease, at=_now(), error=failure, progress=progress)
    except (UnavailableError, LeaseLostError):
        return


def _now() -> datetime:
    return datetime.now(UTC)
