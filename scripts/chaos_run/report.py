"""The report of a run: Markdown for people, JSON beside it for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.chaos_run.driving import Injected, Run
from scripts.chaos_run.verdict import Verdict


def write_report(
    path: Path,
    run: Run,
    verdict: Verdict,
    *,
    command: str,
    seconds: float,
    left_out: Sequence[str],
    alerts: Sequence[str],
) -> None:
    """Write `path` (Markdown) and the same with the suffix `.json`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        **describe(run, verdict, command=command, seconds=seconds, left_out=left_out),
        "alerts": list(alerts),
    }
    path.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    path.write_text(render(document), encoding="utf-8")


def describe(run: Run, verdict: Verdict, *, command: str, seconds: float, left_out: Sequence[str]) -> dict[str, Any]:
    """Everything that happened."""
    return {
        "command": command,
        "seconds": round(seconds),
        "transfers": len(run.submitted),
        "bytes": sum(each.size_bytes for each in run.submitted),
        "completed": verdict.completed,
        "failed": dict(verdict.failed),
        "retries": dict(verdict.retries),
        "problems": list(verdict.problems),
        "left_out": list(left_out),
        "faults": [_describe_fault(each) for each in run.injected],
        "failures": {
            transfer_id: f"{record.failure.code}: {record.failure.message}"
            for transfer_id, record in run.records.items()
            if record.failure
        },
    }


def render(document: dict[str, Any]) -> str:
    """The Markdown."""
    kinds = Counter(fault["kind"] for fault in document["faults"])
    seen = Counter(fault["kind"] for fault in document["faults"] if fault["seen_in"])
    hits = Counter[str]()
    for fault in document["faults"]:
        hits[fault["kind"]] += fault["hits"]
    lines = [
        "# Chaos",
        "",
        f"`{document['command']}`: {document['transfers']} transfers, {document['bytes'] / 1e6:.0f} MB, "
        f"{sum(kinds.values())} faults, {document['seconds']} s, by real workers on the embedded cloud.",
        "",
        "| | |",
        "|---|---|",
        f"| COMPLETED, and what the recipient decrypts has the right SHA-256 | {document['completed']} |",
        *(f"| FAILED: {code} | {count} |" for code, count in document["failed"].items()),
        f"| problems (lost, wrong, untrue reason, done twice, left over) | {len(document['problems'])} |",
        "",
        *[f"- {problem}" for problem in document["problems"]],
        "Attempts that did not end their transfer, by cause: "
        + (", ".join(f"{cause} {count}" for cause, count in sorted(document["retries"].items())) or "none")
        + ".",
        "",
        "| fault | injected | requests or processes that it befell | seen in logs |",
        "|---|---|---|---|",
        *(f"| {kind} | {count} | {hits[kind]} | {seen[kind]} |" for kind, count in sorted(kinds.items())),
        "",
        "Only the logs of the workers are searched. A fault that is not seen was borne by retries of single requests, "
        "which are not logged, or befell none. Kills and signals are not looked for: the causes above count them.",
        *[f"Left out: {each}." for each in document["left_out"]],
        "",
        "## Alerts",
        "",
        *[f"- {alert}" for alert in document["alerts"]],
        *([] if document["alerts"] else ["None was raised."]),
        "",
        "## Each fault",
        "",
        "| at (UTC) | fault | on whom | befell | seen in |",
        "|---|---|---|---|---|",
        *(
            f"| {fault['at']} | {fault['kind']} | {fault['whom']} | {fault['hits']} | {', '.join(fault['seen_in'])} |"
            for fault in document["faults"]
        ),
        *(["", "## Each failure", ""] if document["failures"] else []),
        *(f"- `{transfer_id}` {why}" for transfer_id, why in document["failures"].items()),
    ]
    return "\n".join(lines) + "\n"


def _describe_fault(injected: Injected) -> dict[str, Any]:
    return {
        "at": injected.at.strftime("%H:%M:%S"),
        "kind": injected.kind,
        "whom": injected.whom,
        "hits": injected.hits,
        "seen_in": injected.seen_in,
    }
