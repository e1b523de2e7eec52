"""The facts of one transfer: who asked for it, what was decided, each cryptographic operation, and how it ended.

docs/audit-events.md lists every action, when it is recorded, and by whom.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.audit.urgent import KEY_EXCHANGE_FAILED_ACTION
from pqtransfer.crypto.canonical_json import decode_base64, write_canonical_json
from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.manifest import Manifest, SignedManifest
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.registry import KeyNotFoundError, ParticipantUnknownError
from pqtransfer.recording.wording import KEY_ID_DIGITS, explain, fit_text, list_names, name_suite, weigh
from pqtransfer.transfers.ledger import LeaseLostError, TransferResult
from pqtransfer.transfers.observing import is_failed_exchange
from pqtransfer.transfers.request import TransferRequest

METADATA_LIMIT = 1_000
FIRST_EPOCH = 1


@dataclass(frozen=True)
class TransferFacts:
    """The facts of `request`, by its sender unless an `actor` is named.

    `through` is said in every event: which worker or caller, and which attempt.
    """

    request: TransferRequest
    through: Mapping[str, str] = field(default_factory=dict)
    actor: str | None = None

    # --- what was decided

    def submitted(self, *, signing_key_id: str | None) -> AuditFacts:
        """Asked for by its sender, who signs the request when it goes to the queue."""
        return self._transfer("transfer.submit", key_id=signing_key_id, details=self._describe_request())

    def accepted(self, *, signing_key_id: str | None) -> AuditFacts:
        """The sender's signature under the request holds, so that a worker acts for it."""
        return self._access("request.accept", key_id=signing_key_id)

    def refused_again(self, error: PqtransferError) -> AuditFacts:
        """The request was signed by its sender, but there is nothing left to do for it."""
        return self._access("request.accept", succeeded=False, reason=explain(error))

    def bucket_allowed(self, bucket: str) -> AuditFacts:
        """The registry says that workers may use this bucket for the sender."""
        return self._access("bucket.use", target=Target(type="bucket", id=bucket))

    def bucket_denied(self, bucket: str, error: PqtransferError) -> AuditFacts:
        """It does not say so."""
        return self._access(
            "bucket.use", target=Target(type="bucket", id=bucket), succeeded=False, reason=explain(error)
        )

    # --- how the transfer goes

    def claimed(self) -> AuditFacts:
        """A worker begins an attempt."""
        return self._transfer("transfer.claim", details=self._describe_request())

    def completed(self, result: TransferResult) -> AuditFacts:
        """Everything was done; sizes and digests of what it made."""
        digests = {
            "ciphertext_bytes": str(result.ciphertext_length),
            "parts": str(result.part_count),
            "location": fit_text(result.location),
            "object_version": result.object_version_id,
            "plaintext_sha256": decode_base64(result.plaintext_sha256).hex() if result.plaintext_sha256 else None,
            "envelope_epoch": None if result.envelope_epoch is None else str(result.envelope_epoch),
        }
        return self._transfer(
            "transfer.complete",
            size_bytes=result.plaintext_length,
            sha256=decode_base64(result.composite_sha256).hex(),
            details=self._describe_request() | {name: text for name, text in digests.items() if text is not None},
        )

    def received(self, manifest: Manifest) -> AuditFacts:
        """The model was decrypted and checked for the actor, and gets its name next."""
        return self._transfer(
            "transfer.receive",
            size_bytes=manifest.plaintext_length,
            sha256=manifest.composite_sha256.hex(),
            suite=manifest.suite,
            details={"sender": manifest.sender},
        )

    def not_received(self, error: PqtransferError) -> tuple[AuditFacts, ...]:
        """Nothing was received; a finding beside it when somebody may have tried what is not allowed."""
        failure = self._transfer("transfer.receive", succeeded=False, reason=explain(error))
        return (failure, *self.suspected(error))

    def failed(self, error: PqtransferError) -> tuple[AuditFacts, ...]:
        """It cannot be done; a finding beside it when somebody may have tried what is not allowed."""
        failure = self._transfer(
            "transfer.fail", succeeded=False, reason=explain(error), details=self._describe_request()
        )
        return (failure, *self.suspected(error))

    def abandoned(self, error: PqtransferError) -> AuditFacts:
        """It was tried as often as is allowed."""
        return self._transfer("transfer.abandon", succeeded=False, reason=explain(error))

    def released(self, error: PqtransferError | None) -> AuditFacts:
        """This attempt ended without an end of the transfer: it is gone on with later, or elsewhere.

        Without an error, whoever ran it has interrupted it.
        """
        reason = "interrupted" if error is None else explain(error)
        return self._transfer("transfer.release", succeeded=False, reason=reason)

    def lost(self, error: LeaseLostError) -> AuditFacts:
        """This attempt ended because the transfer is another's, or has ended. What it said of completing is void."""
        return self._transfer(
            "transfer.lose", succeeded=False, reason=explain(error), details={"state": str(error.state)}
        )

    def cancelled(self) -> AuditFacts:
        """It is not wanted any more."""
        return self._transfer("transfer.cancel")

    def not_cancelled(self, error: PqtransferError) -> AuditFacts:
        """It could not be cancelled."""
        return self._transfer("transfer.cancel", succeeded=False, reason=explain(error))

    def suspected(self, error: PqtransferError) -> tuple[AuditFacts, ...]:
        """The finding that this error gives cause for; none when it is a mistake or an outage."""
        severity = weigh(error)
        return () if severity is None else (self._find_violation(error, severity),)

    # --- cryptographic operations

    def data_key_made(self, *, suite_id: str) -> AuditFacts:
        """A data key was drawn."""
        return self._cryptography("data-key.create", suite=suite_id)

    def model_encrypted(self, manifest: SignedManifest) -> tuple[AuditFacts, ...]:
        """The model was encrypted, and the manifest that says so signed."""
        body, key_id = manifest.body, manifest.signing_key.key_id
        sizes = {
            "plaintext_bytes": str(body.plaintext_length),
            "ciphertext_bytes": str(body.ciphertext_length),
            "parts": str(len(body.part_sha256)),
            "composite_sha256": body.composite_sha256.hex(),
        }
        return (
            self._cryptography("model.encrypt", suite=body.suite, details=sizes),
            self._cryptography(
                "manifest.sign",
                key_id=key_id,
                suite=body.suite,
                details={
                    "composite_sha256": sizes["composite_sha256"],
                    "manifest_sha256": hashlib.sha256(manifest.to_json()).hexdigest(),
                },
            ),
        )

    def envelope_wrapped(self, envelope: Envelope) -> AuditFacts:
        """The data key was wrapped to these keys, for the first time or anew, and the envelope signed."""
        details = {"epoch": str(envelope.body.epoch), **_list_keys("recipient_keys", envelope)}
        key_id, suite = envelope.signing_key.key_id, envelope.body.suite
        if envelope.body.epoch == FIRST_EPOCH:
            return self._cryptography("envelope.wrap", key_id=key_id, suite=suite, details=details)
        return self._cryptography(
            "envelope.rewrap", key_id=key_id, suite=suite, details=details, of=envelope.body.transfer_id
        )

    def manifest_verified(self, manifest: SignedManifest) -> AuditFacts:
        """A known key of its sender signed the manifest."""
        return self._cryptography(
            "manifest.verify",
            key_id=manifest.signing_key.key_id,
            suite=manifest.body.suite,
            details={"sender": manifest.body.sender, "composite_sha256": manifest.body.composite_sha256.hex()},
            of=manifest.body.transfer_id,
        )

    def envelope_verified(self, envelope: Envelope) -> AuditFacts:
        """A known key of its signer signed the envelope."""
        return self._cryptography(
            "envelope.verify",
            key_id=envelope.signing_key.key_id,
            suite=envelope.body.suite,
            details={"signer": envelope.body.signer, "epoch": str(envelope.body.epoch)},
            of=envelope.body.transfer_id,
        )

    def envelope_opened(self, envelope: Envelope, *, key_id: str) -> AuditFacts:
        """The data key was unwrapped with this key."""
        return self._cryptography(
            "envelope.open",
            key_id=key_id,
            suite=envelope.body.suite,
            details={"epoch": str(envelope.body.epoch)},
            of=envelope.body.transfer_id,
        )

    def model_decrypted(self, manifest: Manifest) -> AuditFacts:
        """Every part was decrypted and checked."""
        return self._cryptography(
            "model.decrypt",
            suite=manifest.suite,
            details={"plaintext_bytes": str(manifest.plaintext_length), "parts": str(len(manifest.part_sha256))},
            of=manifest.transfer_id,
        )

    def payload_verified(self, manifest: Manifest) -> AuditFacts:
        """Every part of the payload has the digest that was signed."""
        return self._cryptography(
            "payload.verify",
            suite=manifest.suite,
            details={"composite_sha256": manifest.composite_sha256.hex(), "parts": str(len(manifest.part_sha256))},
            of=manifest.transfer_id,
        )

    def operation_failed(self, operation: str, error: PqtransferError) -> tuple[AuditFacts, ...]:
        """A cryptographic operation was refused; `operation` is the action that it would have been.

        A signer whom nobody knows is a mistake of whoever asks for a recipient, but not in a document that is stored:
        there it gives cause for a finding. So does a key exchange that fails, unless it was with a key that nothing was
        wrapped to.
        """
        refusal = self._make(EventKind.CRYPTOGRAPHY, operation, succeeded=False, reason=explain(error))
        if is_failed_exchange(operation, error):
            return refusal, self._find(KEY_EXCHANGE_FAILED_ACTION, error, Severity.HIGH, operation=operation)
        if isinstance(error, ParticipantUnknownError | KeyNotFoundError):
            return refusal, self._find_violation(error, Severity.HIGH)
        return (refusal,)

    # --- building

    def _find_violation(self, error: PqtransferError, severity: Severity) -> AuditFacts:
        return self._find("violation.detect", error, severity)

    def _find(self, action: str, error: PqtransferError, severity: Severity, **details: str) -> AuditFacts:
        reason, said = explain(error), {"code": error.code, **details}
        return self._make(EventKind.SECURITY, action, succeeded=False, reason=reason, severity=severity, details=said)

    def _describe_request(self) -> dict[str, str]:
        request = self.request
        details = {"sender": request.sender, **list_names("recipients", request.recipients)}
        if request.source is not None:
            details["source"] = fit_text(request.source)
        if request.destination is not None:
            details["destination"] = fit_text(request.destination)
        if request.metadata:
            metadata = write_canonical_json(dict(request.metadata))
            details["metadata"] = fit_text(metadata.decode(), limit=METADATA_LIMIT)
            details["metadata_sha256"] = hashlib.sha256(metadata).hexdigest()
        return details

    def _transfer(
        self,
        action: str,
        *,
        succeeded: bool = True,
        reason: str | None = None,
        key_id: str | None = None,
        suite: str | None = None,
        size_bytes: int | None = None,
        sha256: str | None = None,
        details: Mapping[str, str] | None = None,
    ) -> AuditFacts:
        return self._make(
            EventKind.TRANSFER,
            action,
            succeeded=succeeded,
            reason=reason,
            key_id=key_id,
            suite=suite or self.request.suite,
            size_bytes=size_bytes,
            sha256=sha256,
            details=details,
        )

    def _access(
        self,
        action: str,
        *,
        target: Target | None = None,
        succeeded: bool = True,
        reason: str | None = None,
        key_id: str | None = None,
    ) -> AuditFacts:
        return self._make(EventKind.ACCESS, action, target=target, succeeded=succeeded, reason=reason, key_id=key_id)

    def _cryptography(
        self,
        action: str,
        *,
        suite: str,
        key_id: str | None = None,
        details: Mapping[str, str] | None = None,
        of: str | None = None,
    ) -> AuditFacts:
        """`of` is the transfer whose container it was on, where that is another than the one that runs."""
        return self._make(
            EventKind.CRYPTOGRAPHY,
            action,
            target=None if of is None else Target(type="transfer", id=of),
            key_id=key_id,
            suite=suite,
            details=details,
        )

    def _make(
        self,
        kind: EventKind,
        action: str,
        *,
        target: Target | None = None,
        succeeded: bool = True,
        reason: str | None = None,
        key_id: str | None = None,
        suite: str | None = None,
        severity: Severity = Severity.INFORMATIONAL,
        size_bytes: int | None = None,
        sha256: str | None = None,
        details: Mapping[str, str] | None = None,
    ) -> AuditFacts:
        request = self.request
        return AuditFacts(
            kind=kind,
            action=action,
            actor=self.actor or request.sender,
            target=target or Target(type="transfer", id=request.transfer_id),
            succeeded=succeeded,
            correlation_id=request.correlation_id,
            severity=severity if succeeded or severity > Severity.LOW else Severity.LOW,
            reason=reason,
            key_id=key_id,
            suite=None if suite is None else name_suite(suite),
            size_bytes=size_bytes,
            sha256=sha256,
            details={"request": str(request.kind), "transfer": request.transfer_id, **self.through, **(details or {})},
        )


def _list_keys(name: str, envelope: Envelope) -> dict[str, str]:
    return list_names(name, (key_id[:KEY_ID_DIGITS] for key_id in envelope.recipient_key_ids))
