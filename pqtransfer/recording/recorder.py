"""Puts what a job tells of its cryptographic operations on record, each before its result leaves the process."""

from dataclasses import dataclass

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.manifest import Manifest, SignedManifest
from pqtransfer.errors import PqtransferError
from pqtransfer.recording.transfers import TransferFacts


@dataclass(frozen=True)
class JobRecorder:
    """The `JobObserver` of one attempt at a transfer. A trail that takes nothing ends the attempt."""

    trail: AuditTrail
    facts: TransferFacts

    def began(self, operation: str) -> None:
        """What begins is not on record; what it came to is."""

    def data_key_made(self, *, transfer_id: str, suite_id: str) -> None:  # noqa: ARG002 - the port's
        self.trail.record(self.facts.data_key_made(suite_id=suite_id))

    def model_encrypted(self, manifest: SignedManifest) -> None:
        self.trail.record(*self.facts.model_encrypted(manifest))

    def envelope_wrapped(self, envelope: Envelope) -> None:
        self.trail.record(self.facts.envelope_wrapped(envelope))

    def manifest_verified(self, manifest: SignedManifest) -> None:
        self.trail.record(self.facts.manifest_verified(manifest))

    def envelope_verified(self, envelope: Envelope) -> None:
        self.trail.record(self.facts.envelope_verified(envelope))

    def envelope_opened(self, envelope: Envelope, *, key_id: str) -> None:
        self.trail.record(self.facts.envelope_opened(envelope, key_id=key_id))

    def model_decrypted(self, manifest: Manifest) -> None:
        self.trail.record(self.facts.model_decrypted(manifest))

    def payload_verified(self, manifest: Manifest) -> None:
        self.trail.record(self.facts.payload_verified(manifest))

    def failed(self, operation: str, error: PqtransferError) -> None:
        self.trail.record(*self.facts.operation_failed(operation, error))
