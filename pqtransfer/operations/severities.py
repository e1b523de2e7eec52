"""How soon somebody has to look: the severity of what comes from others, in our three."""

from pqtransfer.operations.alerts import AlertSeverity

SECURITY_ALARMS = frozenset({"audit-log-tampered", "key-exchange-failed"})
"""Kinds of alarms, by their runbooks, that cannot wait."""
SLOW_ALARMS = frozenset({"cpu-high", "messages-waiting", "transfer-slow"})
"""Kinds of alarms of which nothing breaks at once."""


def weigh_alarm(code: str) -> AlertSeverity:
    """Of an alarm, by its runbook."""
    if code in SECURITY_ALARMS:
        return AlertSeverity.CRITICAL
    return AlertSeverity.WARNING if code in SLOW_ALARMS else AlertSeverity.HIGH


def weigh_guardduty(severity: float) -> AlertSeverity:
    """Of a GuardDuty finding: 9 and more is critical there, 7 to 8.9 high, below that medium and low."""
    if severity >= 9:
        return AlertSeverity.CRITICAL
    return AlertSeverity.HIGH if severity >= 7 else AlertSeverity.WARNING


def weigh_inspector(severity: str) -> AlertSeverity:
    """Of an Inspector finding: a vulnerability is not an attack; what Inspector calls critical is high here."""
    return AlertSeverity.HIGH if severity in ("CRITICAL", "HIGH") else AlertSeverity.WARNING
