"""Events that somebody has to know of at once, and not when the log is read: a failed key exchange."""

from pqtransfer.audit.errors import MalformedEventError
from pqtransfer.audit.events import AuditEvent

KEY_EXCHANGE_FAILED_ACTION = "key-exchange.fail"
URGENT_ACTIONS = frozenset({KEY_EXCHANGE_FAILED_ACTION})


def find_urgent(entry: bytes) -> AuditEvent | None:
    """The event in an entry of the log, if it is one of these."""
    if not any(action.encode() in entry for action in URGENT_ACTIONS):  # most are not, and need not be read
        return None
    try:
        event = AuditEvent.from_json(entry)
    except MalformedEventError:
        return None
    return event if event.action in URGENT_ACTIONS else None
