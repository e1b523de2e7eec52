"""What a worker says in the audit log: the facts of its attempts, and of the messages that it refuses."""

import re

from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.aws.queue import QueueMessage
from pqtransfer.errors import PqtransferError
from pqtransfer.recording.transfers import TransferFacts
from pqtransfer.recording.wording import explain, fit_text, weigh
from pqtransfer.transfers.request import MalformedRequestError, TransferRequest
from pqtransfer.transfers.signed_request import RequestClaims, UntrustedRequestError, read_claims

UNAUTHENTICATED = "unauthenticated"
"""Who sent a message that nobody known has signed. Whom it names is a claim, and stands among the details."""
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._:-]")


def describe_attempt(request: TransferRequest, *, worker_name: str, attempt: int | None = None) -> TransferFacts:
    """The facts of a request in the hands of a worker. The attempt tells events apart that a crash repeats."""
    through = {"worker": worker_name}
    return TransferFacts(request, through if attempt is None else {**through, "attempt": str(attempt)})


def describe_acceptance(message: QueueMessage, facts: TransferFacts) -> tuple[AuditFacts, AuditFacts]:
    """The signature holds, and the worker begins."""
    claims = read_claims(message.body)
    return facts.accepted(signing_key_id=None if claims is None else claims.signing_key_id), facts.claimed()


def describe_refusal(message: QueueMessage, error: PqtransferError, *, worker_name: str) -> tuple[AuditFacts, ...]:
    """The message is no request that its sender has signed; a finding beside it when it pretends to be one."""
    claims = read_claims(message.body)
    refusal = _describe_message("request.accept", EventKind.ACCESS, Severity.LOW, message, claims, error, worker_name)
    if isinstance(error, MalformedRequestError):
        return (refusal,)
    severity = Severity.HIGH if isinstance(error, UntrustedRequestError) else weigh(error) or Severity.MEDIUM
    finding = _describe_message("violation.detect", EventKind.SECURITY, severity, message, claims, error, worker_name)
    return refusal, finding


def _describe_message(
    action: str,
    kind: EventKind,
    severity: Severity,
    message: QueueMessage,
    claims: RequestClaims | None,
    error: PqtransferError,
    worker_name: str,
) -> AuditFacts:
    message_id = _NOT_IN_AN_ID.sub("-", message.message_id)[:100]
    claimed = {} if claims is None else {"claimed_sender": claims.sender, "claimed_transfer": claims.transfer_id}
    return AuditFacts(
        kind=kind,
        action=action,
        actor=UNAUTHENTICATED,
        target=Target(type="message", id=fit_text(message.message_id)),
        succeeded=False,
        correlation_id=f"message-{message_id}" if claims is None else claims.correlation_id,
        severity=severity,
        reason=explain(error),
        key_id=None if claims is None else claims.signing_key_id,
        details={"worker": worker_name, "code": error.code, **claimed},
    )
