"""The sections of a compliance report, made of what was added up of the period."""

from pqtransfer.audit import frameworks, outliers
from pqtransfer.audit.activity import Activity, Tally
from pqtransfer.audit.checking import CheckedLog
from pqtransfer.audit.report_model import Column, Section, Table
from pqtransfer.audit.report_parts import (
    ACTION,
    ACTOR,
    ENTRY,
    EVENTS,
    FAILED,
    RESULT,
    ROWS_AT_MOST,
    WHEN,
    draw_activity,
    draw_tallies,
    join_names,
    list_moments,
    tell_about,
    tell_day,
    tell_participants,
    tell_result,
    tell_span,
    tell_time,
)  # fmt: skip

STEPS = ("create", "activate", "retire", "revoke", "destroy")
"""The steps of a key's life that have a column; `rotate`, `backup` and others are among the operations."""
FINDINGS_AT_MOST = 100


def make_sections(activity: Activity, checked: CheckedLog) -> tuple[Section, ...]:
    """Every section, in the order in which it is read. One without events says that there are none."""
    return (
        _make_integrity(checked),
        _make_operations(activity),
        _make_access(activity),
        _make_keys(activity),
        _make_transfers(activity),
        _make_security(activity),
        _make_changes(activity),
    )


def _make_integrity(checked: CheckedLog) -> Section:
    report = checked.report
    rows = tuple(
        (
            str(each.kind),
            tell_about(each.kind.is_about_completeness),
            each.place,
            tell_span(each.first, each.last),
            each.explanation,
        )
        for each in report.findings[:FINDINGS_AT_MOST]
    )
    findings = Table(
        name="findings",
        title="Findings",
        columns=(
            Column(name="finding", title="Finding", style="word"), Column(name="about", title="About", style="word"),
            Column(name="place", title="Where", style="code"), Column(name="numbers", title="Entries or numbers"),
            Column(name="explanation", title="What it says"),
        ),
        rows=rows,
        left_out=report.findings_left_out + max(len(report.findings) - FINDINGS_AT_MOST, 0),
        empty="None: every entry that was read is what the log's keys have signed, and no number is missing.",
    )  # fmt: skip
    if report.checkpoint is None:
        findings = findings.model_copy(update={"empty": "There was no checkpoint to verify against."})
    return Section(
        key=frameworks.INTEGRITY,
        title="Integrity of the log",
        paragraphs=(
            "The log is a Merkle tree (RFC 9162). Each entry was hashed and led to the root of the checkpoint named "
            "above, which the log's keys (Ed25519 and ML-DSA-44) have signed; a witness with keys of its own signs "
            "only what continues what it signed before. Each producer numbers its events, so that a missing one is "
            "seen. The figures of this report are those of entries that led to that root, and of no others.",
        ),
        tables=(findings,),
    )


def _make_operations(activity: Activity) -> Section:
    operations = sorted(activity.operations.items(), key=lambda item: (-item[1].events, item[0]))
    by_action = Table(
        name="operations",
        title="By operation and algorithm",
        columns=(ACTION, Column(name="suite", title="Suite", style="word"), EVENTS, FAILED),
        rows=tuple(
            (action, suite or "-", tally.events, tally.failed) for (action, suite), tally in operations[:ROWS_AT_MOST]
        ),
        left_out=max(len(operations) - ROWS_AT_MOST, 0),
    )
    keys = sorted(activity.keys.items(), key=lambda item: (-item[1].uses, item[0]))
    used = [(key_id, use) for key_id, use in keys if use.uses]
    by_key = Table(
        name="operations_by_key",
        title="By key",
        columns=(
            Column(name="key_id", title="Key", style="code"), Column(name="suite", title="Suite", style="word"),
            Column(name="uses", title="Uses", style="number"), Column(name="used_by", title="Used by"),
            Column(name="first_used", title="First event (UTC)", style="time"),
            Column(name="last_used", title="Last event (UTC)", style="time"),
        ),
        rows=tuple(
            (
                key_id, use.suite or "-", use.uses, join_names(name for name, _ in use.actors.most_common(5)),
                tell_time(use.first_ms), tell_time(use.last_ms),
            )
            for key_id, use in used[:ROWS_AT_MOST]
        ),
        left_out=max(len(used) - ROWS_AT_MOST, 0) + activity.keys_left_out,
    )  # fmt: skip
    actors = sorted(activity.actors.items(), key=lambda item: (-item[1].operations, item[0]))
    acting = [(name, use) for name, use in actors if use.operations]
    by_actor = Table(
        name="operations_by_participant",
        title="By participant",
        columns=(
            Column(name="participant", title="Participant"),
            Column(name="operations", title="Operations", style="number"),
        ),
        rows=tuple((name, use.operations) for name, use in acting[:ROWS_AT_MOST]),
        left_out=max(len(acting) - ROWS_AT_MOST, 0),
    )
    return Section(
        key=frameworks.OPERATIONS,
        title="Cryptographic operations",
        paragraphs=(
            "Every use of a key and every step of a key's life, by what was done, with which algorithm, by whom.",
        ),
        charts=(draw_tallies("Operations by suite", activity.suites),) if activity.suites else (),
        tables=(by_action, by_key, by_actor),
    )


def _make_access(activity: Activity) -> Section:
    days_by_actor = {name: use.days for name, use in activity.actors.items()}
    found = outliers.find_outliers(days_by_actor, days=activity.days)
    actors = sorted(activity.actors.items(), key=lambda item: (-item[1].tally.events, item[0]))
    by_actor = Table(
        name="access_by_actor",
        title="Who was active",
        columns=(
            ACTOR, EVENTS, FAILED, Column(name="denied", title="Access denied", style="number"),
            Column(name="days", title="Active days", style="number"),
            Column(name="addresses", title="Source addresses", style="number"),
        ),
        rows=tuple(
            (name, use.tally.events, use.tally.failed, use.denied, len(use.days), len(use.addresses))
            for name, use in actors[:ROWS_AT_MOST]
        ),
        left_out=max(len(actors) - ROWS_AT_MOST, 0),
    )  # fmt: skip
    standing_out = Table(
        name="outliers",
        title="Days that stand out",
        columns=(
            ACTOR, Column(name="day", title="Day", style="time"), EVENTS,
            Column(name="median", title="Median a day", style="number"),
            Column(name="score", title="Robust z-score", style="number"),
        ),
        rows=tuple(
            (each.actor, tell_day(activity, each.day), each.events, each.median, round(each.score, 1))
            for each in found[:ROWS_AT_MOST]
        ),
        left_out=max(len(found) - ROWS_AT_MOST, 0),
        empty="No day stands out." if activity.days >= outliers.DAYS_AT_LEAST else "The period is too short to say.",
    )  # fmt: skip
    return Section(
        key=frameworks.ACCESS,
        title="Access patterns",
        paragraphs=(outliers.STATEMENT,),
        charts=draw_activity(activity, {each.day for each in found}),
        tables=(standing_out, by_actor, list_moments("denied", "Access that was denied", activity.denied)),
    )


def _make_keys(activity: Activity) -> Section:
    living = sorted(
        ((key_id, use) for key_id, use in activity.keys.items() if use.steps),
        key=lambda item: (min(time for time, _ in item[1].steps.values()), item[0]),
    )
    rows = tuple(
        (
            key_id,
            use.suite or "-",
            *(tell_time(use.steps[step][0]) if step in use.steps else None for step in STEPS),
            use.backups,
            join_names(sorted({actor for _, actor in use.steps.values()})),
        )
        for key_id, use in living[:ROWS_AT_MOST]
    )
    table = Table(
        name="keys",
        title="Steps in the life of keys",
        columns=(
            Column(name="key_id", title="Key", style="code"), Column(name="suite", title="Suite", style="word"),
            Column(name="created", title="Created", style="time"),
            Column(name="activated", title="Activated", style="time"),
            Column(name="retired", title="Retired", style="time"),
            Column(name="revoked", title="Revoked", style="time"),
            Column(name="destroyed", title="Destroyed", style="time"),
            Column(name="backups", title="Backups", style="number"), Column(name="by", title="By"),
        ),
        rows=rows,
        left_out=max(len(living) - ROWS_AT_MOST, 0) + activity.keys_left_out,
        empty="No key was created, activated, retired, revoked or destroyed in the period.",
    )  # fmt: skip
    counted = {step: Tally(sum(step in use.steps for _, use in living)) for step in STEPS}
    paragraph = "Steps that lie outside the period are not shown; a key without a creation date was created before it."
    chart = draw_tallies("Keys by step in the period", {step: tally for step, tally in counted.items() if tally.events})
    return Section(
        key=frameworks.KEYS,
        title="Key lifecycles",
        paragraphs=(paragraph,),
        charts=(chart,) if living else (),
        tables=(table,),
    )


def _make_transfers(activity: Activity) -> Section:
    listed = activity.transfers
    table = Table(
        name="transfers",
        title="Transfers",
        columns=(
            WHEN, Column(name="transfer", title="Transfer", style="code"), ACTION,
            Column(name="sender", title="From", style="word"), Column(name="recipients", title="To"),
            Column(name="size_bytes", title="Size", style="bytes"),
            Column(name="sha256", title="SHA-256", style="code"), RESULT, ENTRY,
        ),
        rows=tuple(
            (
                tell_time(each.event.time_ms), each.event.target.id, each.event.action, *tell_participants(each),
                each.event.size_bytes, each.event.sha256, tell_result(each), each.index,
            )
            for each in listed.items[:ROWS_AT_MOST]
        ),
        left_out=listed.left_out + max(len(listed.items) - ROWS_AT_MOST, 0),
    )  # fmt: skip
    paragraph = (
        "What was transferred, by whom and to whom, and how it ended; the digest is the one that was recorded with it. "
        "What happens on the way (an attempt begins, is interrupted, or is taken over) is counted, and not listed."
    )
    return Section(key=frameworks.TRANSFERS, title="Transfers", paragraphs=(paragraph,), tables=(table,))


def _make_security(activity: Activity) -> Section:
    paragraph = "Every event that was recorded as a security event, and every one of severity high or critical."
    return Section(
        key=frameworks.SECURITY,
        title="Security events",
        paragraphs=(paragraph,),
        tables=(list_moments("security_events", "Security events", activity.security),),
    )


def _make_changes(activity: Activity) -> Section:
    paragraph = (
        "Changes of configuration, and what administrators and the system's own upkeep did: reports, archiving, purges."
    )
    return Section(
        key=frameworks.CHANGES,
        title="Configuration and administration",
        paragraphs=(paragraph,),
        tables=(list_moments("changes", "Changes", activity.changes),),
    )
