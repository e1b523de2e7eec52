"""Receive a model: who sent it, the data key, every part; each step on record before the next."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pqtransfer.crypto.manifest import Manifest, SignedManifest
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import require_minimum_suite
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.holder import KeyHolder
from pqtransfer.keys.registry import find_signing_key
from pqtransfer.sdk.audit import ReceivingRecorder, record_key_uses
from pqtransfer.sdk.connections import Connections
from pqtransfer.sdk.in_memory import MemorySealer
from pqtransfer.sdk.local_folder import LocalFolder
from pqtransfer.sdk.local_journal import LocalCheckpointStore, name_journal
from pqtransfer.sdk.sending import WatchProgress
from pqtransfer.transfers.container import open_data_key, read_trusted_envelope, read_trusted_manifest
from pqtransfer.transfers.decrypting import DecryptionOrder, decrypt_model
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.job import JobContext, ignore_progress
from pqtransfer.transfers.ledger import TransferRecord
from pqtransfer.transfers.observing import telling


@dataclass(frozen=True)
class Reception:
    """One transfer that somebody reads. `sender` is whom it must be of, where that is known; see `Client.receive`."""

    connections: Connections
    record: TransferRecord
    recorder: ReceivingRecorder
    sender: str | None
    minimum_suite_id: str | None

    @property
    def container(self) -> Folder:
        """Where the transfer's container stands."""
        return self.connections.container(self.record.transfer_id)

    def read_manifest(self) -> SignedManifest:
        """The manifest, signed by a known key of its sender.

        Raises:
            as `Client.read_manifest`.
        """
        with telling(self.recorder, "manifest.verify"):
            signed = read_trusted_manifest(
                self.container,
                self.record,
                find_signing_key=partial(find_signing_key, registry=self.connections.registry),
                minimum_suite_id=self.connections.deployment.minimum_suite,
                sender=self.sender,
            )
            require_minimum_suite(signed.body.suite, minimum_suite_id=self.minimum_suite_id or signed.body.suite)
        self.recorder.manifest_verified(signed)
        return signed

    def open(self, reader: KeyHolder) -> tuple[Manifest, SecretBytes]:
        """The manifest and the data key, unwrapped with a key of `reader`.

        Raises:
            as `Client.receive`.
        """
        manifest = self.read_manifest().body
        find_key = partial(find_signing_key, registry=self.connections.registry)
        with telling(self.recorder, "envelope.verify"):
            envelope = read_trusted_envelope(self.container, manifest, find_signing_key=find_key).envelope
        self.recorder.envelope_verified(envelope)
        holder = record_key_uses(
            reader,
            self.connections.trail,
            correlation_id=self.record.request.correlation_id,
            through={"caller": self.connections.caller, "transfer": self.record.transfer_id},
        )
        keys = holder.opening_keys(envelope.recipient_key_ids)
        return manifest, open_data_key(manifest, envelope, keys, observer=self.recorder)

    def decrypt(self, reader: KeyHolder, out: Path, *, watch: WatchProgress | None) -> Manifest:
        """Decrypt to the new file `out`, which appears when all of it was verified and is on record.

        Raises:
            as `Client.receive`.
        """
        transfer_id = self.record.transfer_id
        manifest, data_key = self.open(reader)
        journal = LocalCheckpointStore(name_journal(out))
        context = JobContext(
            checkpoints=journal,
            sealer=MemorySealer(),
            monotonic=time.monotonic,
            watch=watch or ignore_progress,
            observer=self.recorder,
        )
        order = DecryptionOrder(job_id=transfer_id, manifest=manifest, data_key=data_key, destination_name=out.name)
        with LocalFolder(out.parent, journal=journal) as destination:
            try:
                with telling(self.recorder, "model.decrypt"):
                    decrypt_model(order, container=self.container, destination=destination, context=context)
            except UnavailableError:
                raise
            except PqtransferError:  # for good: nobody will go on with what is there
                destination.abort_stray_uploads(out.name)
                journal.clear(transfer_id)
                raise
        journal.clear(transfer_id)
        return manifest
