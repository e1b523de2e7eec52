"""How soon somebody has to look: the severity of what comes from others, in our three."""

from pqtransfer.operations.alerts import AlertSeverity

SECURITY_ALARMS = frozenset({"integrity-check-failed", "key-exchange-failed", "key-exchange-failures"})
"""Kinds of alarms, by their runbooks, that cannot wait."""
SLOW_ALARMS = frozenset({"certificate-expiring", "cpu-high", "messages-waiting", "queue-age", "transfer-slow"})
"""Kinds of alarms of which nothing breaks at once."""


def weigh_alarm(code: str) -> AlertSeverity:
    """Of an alarm, by its runbook."""
    if code in SECURITY_ALARMS:
        return AlertSeverity.CRITICAL
    return AlertSeverity.WARNING if code in SLOW_ALARMS else AlertSeverity.HIGH


def weigh_guardduty(severity: float) -> AlertSeverity:
    """Of a GuardDuty finding: 9 and more is critical there, 4 to 8.9 medium and high, below that low."""
    if severity >= 9:
        return AlertSeverity.CRITICAL
    return AlertSeverity.HIGH if severity >= 4 else AlertSeverity.WARNING


def weigh_inspector(severity: str) -> AlertSeverity:
    """Of an Inspector finding: a vulnerability is not an attack; what Inspector calls critical is high here."""
    return AlertSeverity.HIGH if severity in ("CRITICAL", "HIGH") else AlertSeverity.WARNING
