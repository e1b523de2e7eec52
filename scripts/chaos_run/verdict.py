"""What became of a run: each transfer, and what was left over. Nothing here takes a worker's word for it."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pqtransfer.errors import PqtransferError
from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.transfers.ledger import FINAL_STATES, TransferState
from scripts.chaos_run.driving import Injected, Run
from scripts.chaos_run.plan import FaultKind
from scripts.chaos_run.world import World

ECHO_SECONDS = 40.0
"""After a fault, its trace may still come: requests are retried with growing waits."""
TRUE_REASONS = {
    "CloudAccessDenied": (FaultKind.CREDENTIALS_EXPIRED,),
    "ReceivedTooOften": tuple(FaultKind),
}
"""Of failed transfers: the code, and which faults make it true."""
MARKS = {
    FaultKind.S3_500: r"InternalError",
    FaultKind.S3_503: r"SlowDown",
    FaultKind.S3_TIMEOUT: r"Connection was closed|Could not connect|timed? ?out|ConnectionClosed|reset",
    FaultKind.S3_RESET: r"Connection was closed|ConnectionClosed|reset|aborted",
    FaultKind.S3_CUT: r"ended early|BrokenBody|IncompleteRead",
    FaultKind.DYNAMODB_THROTTLED: r"ProvisionedThroughputExceeded",
    FaultKind.KMS_REFUSES: r"KMSInternal",
    FaultKind.CREDENTIALS_EXPIRED: r"ExpiredToken",
    FaultKind.QUEUE_AWAY: r"InternalFailure|audit",
}
"""What a worker's log says of a fault that it could not bear silently."""


@dataclass(frozen=True)
class Verdict:
    """`problems` is empty where all is as it must be."""

    completed: int
    failed: Counter[str]
    retries: Counter[str]
    problems: tuple[str, ...]


def judge(run: Run, world: World) -> Verdict:
    """Look at everything."""
    problems: list[str] = []
    failed: Counter[str] = Counter()
    retries: Counter[str] = Counter()
    happened = {injected.kind for injected in run.injected}
    completed = 0
    for each in run.submitted:
        record = run.records.get(each.transfer_id)
        if record is None:
            problems.append(f"LOST: {each.transfer_id} has not ended")
            continue
        retries.update(record.retries)
        if record.state is TransferState.COMPLETED:
            completed += 1
            problems += _check_content(each.transfer_id, each.sha256, world)
        elif record.failure is None or not happened & set(TRUE_REASONS.get(record.failure.code, ())):
            problems.append(f"UNTRUE: {each.transfer_id} is {record.state}: {record.failure}")
        else:
            failed[record.failure.code] += 1
    known = frozenset(each.transfer_id for each in run.submitted)
    problems += [*_check_leftovers(world, known), *_check_versions(world, known)]
    return Verdict(completed, failed, retries, tuple(problems))


def note_what_was_seen(injected: list[Injected], folder: Path) -> None:
    """In the logs of the workers, from each fault until a while after it."""
    lines = list(_read_logs(folder))
    for fault in injected:
        mark = MARKS.get(fault.kind)
        if mark and any(
            fault.at <= at <= fault.until + timedelta(seconds=ECHO_SECONDS) and re.search(mark, text, re.IGNORECASE)
            for at, text in lines
        ):
            fault.seen_in.append("worker log")


def read_alerts(world: World) -> list[str]:
    """What alert processing made of it: the cause of each alert, and how it stands at the end."""
    rows = world.table_rows(world.deployment.alerts_table)
    records = [AlertRecord.model_validate_json(row["alert"]["S"]) for row in rows if "alert" in row]
    return [
        f"{record.opened_at:%H:%M:%S} {record.cause}: {record.state.value}, {record.severity.value}"
        for record in sorted(records, key=lambda record: record.opened_at)
    ]


def _check_content(transfer_id: str, sha256: str, world: World) -> Iterator[str]:
    try:
        received = world.receive_sha256(transfer_id)
    except PqtransferError as error:
        yield f"UNREADABLE: {transfer_id}: {error.code}: {error}"
        return
    if received != sha256:
        yield f"WRONG: {transfer_id} has another SHA-256"


def _check_leftovers(world: World, known: frozenset[str]) -> Iterator[str]:
    """Open uploads, leases and checkpoints of transfers that have ended, and messages."""
    s3, sqs = world.owner.client("s3"), world.owner.client("sqs")
    for upload in s3.list_multipart_uploads(Bucket=world.deployment.data_bucket).get("Uploads", []):
        if upload["Key"].split("/")[1] in known:
            yield f"ORPHAN UPLOAD: {upload['Key']}"
    for row in world.table_rows(world.deployment.transfers_table):
        ended = row["transfer_id"]["S"] in known and row["state"]["S"] in FINAL_STATES
        if ended and ("lease_expires_at_ms" in row or "live" in row):
            yield f"ORPHAN LOCK: {row['transfer_id']['S']}"
    for row in world.table_rows(world.deployment.checkpoints_table):
        if row["transfer_id"]["S"] in known:
            yield f"ORPHAN CHECKPOINT: {row['transfer_id']['S']} {row['item']['S']}"
    counts = sqs.get_queue_attributes(
        QueueUrl=world.deployment.queue_url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    if any(int(count) for count in counts.values()):
        yield f"MESSAGES LEFT: {counts}"


def _check_versions(world: World, known: frozenset[str]) -> Iterator[str]:
    """Every object of a container was written once: what was done twice would have two versions."""
    seen: Counter[str] = Counter()
    pages = world.owner.client("s3").get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=world.deployment.data_bucket, Prefix="transfers/"):
        seen.update(version["Key"] for version in page.get("Versions", []))
    for key, count in seen.items():
        if count > 1 and key.split("/")[1] in known:
            yield f"DONE TWICE: {key} has {count} versions"


def _read_logs(folder: Path) -> Iterator[tuple[datetime, str]]:
    """Warnings and errors of all workers, with their times."""
    for log in sorted(folder.glob("*.log")):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if '"level":"WARNING"' in line or '"level":"ERROR"' in line:
                yield _read_time(json.loads(line)), line


def _read_time(line: dict[str, Any]) -> datetime:
    return datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").astimezone(UTC)
