"""What the audit log is told of each step in the life of a key.

`asked_by` is the word of whoever made the order: an event names it so. Who AWS says made it, where that was proven,
stands in the event of the order that was taken, with the same correlation id.
"""

from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.orders import KeyOrder
from pqtransfer.keys.participant import KeyVersion


def describe_step(action: str, key: KeyVersion, order: KeyOrder, **details: str) -> AuditFacts:
    """A step that was taken with one key."""
    return AuditFacts(
        kind=EventKind.KEY,
        action=action,
        actor=order.actor,
        target=Target(type="key", id=key.key_id),
        succeeded=True,
        correlation_id=order.correlation_id,
        key_id=key.key_id,
        suite=key.suite_id,
        details={
            "participant": key.participant,
            "purpose": key.purpose.value,
            "version": str(key.version),
            "state": key.state.value,
            **order.callers,
            **details,
        },
    )


def describe_untaken_step(action: str, key: KeyVersion, order: KeyOrder, *, reason: str) -> AuditFacts:
    """A step that is on record, and was not taken after all: the key is as it was."""
    return describe_step(action, key, order).model_copy(update={"succeeded": False, "reason": reason})


def describe_taken(order: KeyOrder) -> AuditFacts:
    """An order of an administrator that goes to the queue."""
    purpose = {} if order.purpose is None else {"purpose": order.purpose.value}
    return AuditFacts(
        kind=EventKind.KEY,
        action="key.order",
        actor=order.actor,
        target=Target(type="participant", id=order.participant),
        succeeded=True,
        correlation_id=order.correlation_id,
        details={"order": order.action.value, **purpose, **order.callers},
    )


def describe_failure(order: KeyOrder, error: PqtransferError) -> AuditFacts:
    """An order that was not carried out."""
    purpose = {} if order.purpose is None else {"purpose": order.purpose.value}
    return AuditFacts(
        kind=EventKind.KEY,
        action=f"key.{order.action.value}",
        actor=order.actor,
        target=Target(type="participant", id=order.participant),
        succeeded=False,
        correlation_id=order.correlation_id,
        severity=Severity.HIGH,
        reason=f"{error.code}: {error}"[:1024],
        details={**purpose, **order.callers},
    )
