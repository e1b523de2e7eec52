"""What is put on record of a job's cryptographic operations."""

from dataclasses import replace

import pytest

from pqtransfer.audit.events import EventKind, Severity
from pqtransfer.crypto.envelope import DamagedEnvelopeError, NotARecipientError
from pqtransfer.crypto.keypairs import InvalidKeyError
from pqtransfer.errors import PqtransferError
from pqtransfer.recording.recorder import JobRecorder
from pqtransfer.recording.transfers import TransferFacts
from pqtransfer.transfers.encrypting import encrypt_model
from pqtransfer.transfers.observing import telling
from tests.fakes.folders import FaultPlan
from tests.fakes.trails import InMemoryAuditTrail
from tests.unit.transfer_worker.conftest import make_request
from tests.unit.transfers.jobs import MODEL, World, make_order

pytestmark = pytest.mark.requirement("D3.4")


@pytest.mark.parametrize(
    ("operation", "error", "is_finding"),
    [
        ("envelope.open", DamagedEnvelopeError("the stanza was changed"), True),
        ("envelope.wrap", InvalidKeyError("not a point"), True),
        ("envelope.rewrap", InvalidKeyError("not a point"), True),
        ("envelope.open", NotARecipientError("t-1"), False),  # a key that nothing was wrapped to
        ("envelope.verify", DamagedEnvelopeError("of another transfer"), False),  # no key is exchanged there
    ],
)
def test_a_failed_key_exchange_is_a_security_event(operation: str, error: PqtransferError, is_finding: bool) -> None:
    """Beside the refusal of the operation, of high severity, and before anybody goes on."""
    trail = InMemoryAuditTrail()
    recorder = JobRecorder(trail, TransferFacts(make_request()))
    with pytest.raises(type(error)), telling(recorder, operation):
        raise error
    refusal, *findings = trail.facts
    assert (refusal.action, refusal.succeeded, refusal.kind) == (operation, False, EventKind.CRYPTOGRAPHY)
    assert [(each.action, each.kind, each.severity) for each in findings] == (
        [("key-exchange.fail", EventKind.SECURITY, Severity.HIGH)] if is_finding else []
    )


def test_wrapping_to_a_key_that_does_not_fit_is_one() -> None:
    """A recipient's key became unusable while the model was encrypted: no envelope is stored."""
    trail, world, plan = InMemoryAuditTrail(), World(), FaultPlan()
    world.source.put("model", MODEL)
    recorder = JobRecorder(trail, TransferFacts(make_request()))
    with pytest.raises(InvalidKeyError):
        encrypt_model(
            make_order(reserve_recipients=lambda: ()),
            source_folder=world.source,
            source=world.source.find("model"),
            container=world.container,
            context=replace(world.context(plan), observer=recorder),
        )
    assert [each.details["operation"] for each in trail.facts if each.kind is EventKind.SECURITY] == ["envelope.wrap"]
