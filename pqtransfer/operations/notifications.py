"""What people are told of an alert: what happened, since when, what was tried already, what to do. In the words of each
channel.

Only what stands in alerts goes out: names, numbers, reasons. The texts are bounded, and nothing in them is markup.
"""

import json
from datetime import datetime
from typing import Any

from pqtransfer.operations.alert_records import AlertRecord, Member
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.deliveries import Delivery, PageKind

FORMAT = "pqtransfer-alert/1"
MEMBERS_SHOWN = 10
SUMMARY_LIMIT = 1024
EMAIL_LIMIT = 16_000
PAGERDUTY_ACTIONS = {PageKind.RESOLVED: "resolve", PageKind.ACKNOWLEDGED: "acknowledge"}
PAGERDUTY_SEVERITIES = {
    AlertSeverity.CRITICAL: "critical",
    AlertSeverity.HIGH: "error",
    AlertSeverity.WARNING: "warning",
}
WHY = {
    PageKind.RAISED: "",
    PageKind.WORSE: "worse: ",
    PageKind.MORE: "more of it: ",
    PageKind.FLAPPING: "comes and goes: ",
    PageKind.ESCALATED: "nobody has acknowledged: ",
    PageKind.REMINDER: "still so: ",
    PageKind.ACKNOWLEDGED: "acknowledged: ",
    PageKind.RESOLVED: "resolved: ",
}


def write_title(record: AlertRecord, delivery: Delivery, *, environment: str) -> str:
    """One line."""
    lead = record.lead
    return f"[{environment}] {record.severity.upper()} {WHY[delivery.kind]}{lead.code}: {lead.summary}"[:SUMMARY_LIMIT]


def write_text(record: AlertRecord, delivery: Delivery, *, environment: str) -> str:
    """The whole of it, for people."""
    lines = [write_title(record, delivery, environment=environment), ""]
    shown = _shown(record)
    for member in shown[:MEMBERS_SHOWN]:
        lines += [
            f"{member.code} ({member.severity}): {member.summary}",
            f"  since {_time(member.first_at)}, seen {member.count} times, last {_time(member.last_at)}"
            + (f", over since {_time(member.cleared_at)}" if member.cleared_at and not member.is_open else ""),
        ]
    more = len(shown) - MEMBERS_SHOWN
    if more > 0 or record.members_left_out:
        lines.append(f"... and {max(more, 0) + record.members_left_out} more of the same cause")
    lines += ["", f"What was tried: {write_tried(record)}", f"What to do: {record.lead.remedy}"]
    if record.acknowledged_by:
        lines.append(f"Who takes care: {record.acknowledged_by}")
    lines.append(f"Acknowledge it: pqtransfer alerts ack {record.alert_id}")
    return "\n".join(lines)[:EMAIL_LIMIT]


def write_tried(record: AlertRecord) -> str:
    """What the system has tried by itself in this occurrence."""
    tries = [
        f"{each.kind} {each.target.rpartition('/')[2]} at {_time(each.started_at)}: {each.outcome}"
        + (f" ({each.said})" if each.said else "")
        for each in record.recoveries
        if each.started_at >= record.opened_at
    ]
    return "; ".join(tries[-MEMBERS_SHOWN:]) or "nothing; there is nothing that the system may try"


def write_document(record: AlertRecord, delivery: Delivery, *, environment: str) -> dict[str, Any]:
    """The same for programs (docs/spec/webhook.md)."""
    lead = record.lead
    return {
        "format": FORMAT,
        "environment": environment,
        "alert_id": record.alert_id,
        "occurrence": delivery.occurrence or record.occurrence,
        "notification": delivery.number,
        "kind": delivery.kind.value,
        "state": record.state.value,
        "severity": record.severity.value,
        "code": lead.code,
        "summary": lead.summary,
        "since": _time(min((each.first_at for each in _shown(record)), default=record.opened_at)),
        "tried": write_tried(record),
        "remedy": lead.remedy,
        "correlation_id": lead.correlation_id,
        "members": [
            {
                "key": each.key,
                "code": each.code,
                "severity": each.severity.value,
                "summary": each.summary,
                "since": _time(each.first_at),
                "seen": each.count,
                "over": not each.is_open,
            }
            for each in _shown(record)[:MEMBERS_SHOWN]
        ],
        "members_left_out": max(len(_shown(record)) - MEMBERS_SHOWN, 0) + record.members_left_out,
    }


def write_topic_message(record: AlertRecord, delivery: Delivery, *, environment: str) -> str:
    """What goes to the topic of the administrators: text by mail, and JSON for every other subscriber.

    The JSON has, under `detail`, the alert as it was raised.
    """
    lead = record.lead
    document = {
        "source": "pqtransfer",
        "detail-type": "AlertResolved" if delivery.kind is PageKind.RESOLVED else "AlertRaised",
        "time": _time(delivery.decided_at),
        "detail": {
            "code": lead.code,
            "key": lead.key,
            "severity": lead.severity.value,
            "summary": lead.summary,
            "remedy": lead.remedy,
            "raised_at": lead.last_at.isoformat(),
            "correlation_id": lead.correlation_id,
            "details": dict(lead.details),
        },
        "notification": write_document(record, delivery, environment=environment),
    }
    return json.dumps({"default": json.dumps(document), "email": write_text(record, delivery, environment=environment)})


def write_slack(record: AlertRecord, delivery: Delivery, *, environment: str) -> dict[str, Any]:
    """A message for an incoming webhook of Slack. As plain text: what others wrote is no markup."""
    title = write_title(record, delivery, environment=environment)
    text = write_text(record, delivery, environment=environment)
    return {
        "text": escape_slack(title),
        "blocks": [{"type": "section", "text": {"type": "plain_text", "text": text[:2900], "emoji": False}}],
    }


def escape_slack(text: str) -> str:
    """Without what Slack reads as a link, a mention or an entity."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def write_pagerduty(record: AlertRecord, delivery: Delivery, *, environment: str, routing_key: str) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2. One occurrence is one incident there."""
    action = PAGERDUTY_ACTIONS.get(delivery.kind, "trigger")
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": f"pqtransfer-{environment}-{delivery.occurrence or record.occurrence}",
    }
    if action == "trigger":
        event["payload"] = {
            "summary": write_title(record, delivery, environment=environment),
            "source": f"pqtransfer-{environment}",
            "severity": PAGERDUTY_SEVERITIES[record.severity],
            "component": record.cause[:128],
            "class": record.lead.code,
            "custom_details": dict(write_document(record, delivery, environment=environment)),
        }
    return event


def _shown(record: AlertRecord) -> tuple[Member, ...]:
    return record.open_members or record.members


def _time(at: datetime) -> str:
    text: str = at.isoformat(timespec="seconds")
    return text.replace("+00:00", "Z")
