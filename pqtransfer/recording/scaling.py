"""The facts of scaling: the fleet gets another size, or somebody else gave it one."""

from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.recording.wording import fit_text
from pqtransfer.scaling.deciding import Decision

ACTOR = "decide_scaling"


def describe_scaling(decision: Decision, *, service: str, correlation_id: str) -> tuple[AuditFacts, ...]:
    """What is on record of a decision, before it is carried out. One that changes nothing says nothing."""
    facts = []
    if decision.reason == "set-by-hand":
        facts.append(_describe("fleet.override", decision, service, correlation_id, severity=Severity.LOW))
    if decision.is_change:
        facts.append(_describe("fleet.scale", decision, service, correlation_id))
    return tuple(facts)


def _describe(
    action: str, decision: Decision, service: str, correlation_id: str, *, severity: Severity = Severity.INFORMATIONAL
) -> AuditFacts:
    details = {
        "found": str(decision.found),
        "desired": str(decision.desired),
        "needed": str(decision.needed),
        "because": decision.reason,
    }
    if decision.missing:
        details["not_known"] = ", ".join(decision.missing)
    return AuditFacts(
        kind=EventKind.ADMINISTRATION,
        action=action,
        actor=ACTOR,
        target=Target(type="fleet", id=service),
        succeeded=True,
        correlation_id=correlation_id,
        severity=severity,
        reason=fit_text(decision.says),
        details=details,
    )
