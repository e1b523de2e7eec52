"""Everything that the deployed cloud, its workers and its clients have written, for tests that search it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pqtransfer.audit.events import AuditEvent
from pqtransfer.audit.tiles import split_entries
from scripts.worker_process import WorkerProcess
from tests.canaries import join
from tests.e2e.transfers.stage import Stage, wait_for

ENTRIES_PREFIX = "tile/entries/"
TAP = "e2e-traces"


def read_audit_events(stage: Stage, correlation_id: str | None = None) -> list[AuditEvent]:
    """The events in the audit log, in the order of the log."""
    bucket, s3 = stage.deployment.audit_bucket, stage.owner_s3
    found: dict[str, AuditEvent] = {}
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=ENTRIES_PREFIX)
    for key in [each["Key"] for page in pages for each in page.get("Contents", [])]:
        for entry in split_entries(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), path=key):
            event = AuditEvent.from_json(entry)
            if correlation_id in (None, event.correlation_id):
                found[event.event_id] = event
    return sorted(found.values(), key=lambda event: (event.time_ms, event.producer, event.sequence))


def wait_for_actions(stage: Stage, correlation_id: str, wanted: set[str]) -> list[AuditEvent]:
    """Wait until all of these actions are in the log under one correlation id; every event under it."""

    def look() -> list[AuditEvent] | None:
        events = read_audit_events(stage, correlation_id)
        return events if wanted <= {event.action for event in events} else None

    return wait_for(f"{sorted(wanted)} in the audit log", look)


class BusTap:
    """A queue that takes a copy of every event on the bus. Remove it at the end."""

    def __init__(self, stage: Stage) -> None:
        self._bus = stage.deployment.event_bus
        owner = stage.cloud.session()
        self._events, self._sqs = owner.client("events"), stage.owner_sqs
        self._url = self._sqs.create_queue(QueueName=TAP)["QueueUrl"]
        names = ["QueueArn"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        pattern = json.dumps({"source": ["pqtransfer"]})
        self._events.put_rule(Name=TAP, EventBusName=self._bus, EventPattern=pattern)
        self._events.put_targets(Rule=TAP, EventBusName=self._bus, Targets=[{"Id": "tap", "Arn": arn}])

    def remove(self) -> None:
        """Take it off the bus."""
        self._events.remove_targets(Rule=TAP, EventBusName=self._bus, Ids=["tap"])
        self._events.delete_rule(Name=TAP, EventBusName=self._bus)
        self._sqs.delete_queue(QueueUrl=self._url)

    def read(self) -> list[str]:
        """The events that came since it was read last."""
        bodies = list[str]()
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                bodies.append(message["Body"])
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


def read_tables(stage: Stage) -> Mapping[str, bytes]:
    """Every item of every table."""
    dynamodb = stage.cloud.session().client("dynamodb")
    names = [name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]]
    return {f"table {name}": join(_show(item) for item in _scan(dynamodb, name)) for name in names}


def read_buckets(stage: Stage) -> Mapping[str, bytes]:
    """Every version of every object but payloads and models, with its name and metadata."""
    s3, places = stage.owner_s3, dict[str, bytes]()
    for bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        parts: list[str | bytes] = []
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", []):
                if version["Size"] > 1 << 20:
                    continue
                answer = s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
                parts += [version["Key"], _show(answer.get("Metadata", {})), answer["Body"].read()]
        places[f"bucket {bucket}"] = join(parts)
    return places


def read_function_logs(stage: Stage) -> list[str]:
    """What the functions have logged."""
    logs = stage.cloud.session().client("logs")
    lines = list[str]()
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            events = logs.filter_log_events(logGroupName=group["logGroupName"], limit=10_000)["events"]
            lines += [event["message"] for event in events]
    return lines


def read_processes(stage: Stage, *workers: WorkerProcess) -> Mapping[str, bytes]:
    """Environment and command line of the workers, and of every process that the cloud runs functions in."""
    places = dict[str, bytes]()
    for pid in {worker.pid for worker in workers} | set(_find_processes_of(stage.cloud.folder)):
        for what in ("environ", "cmdline"):
            try:
                places[f"process {pid} {what}"] = Path(f"/proc/{pid}/{what}").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
    return places


def read_files(folder: Path, *, but: set[str]) -> Mapping[str, bytes]:
    """Every small file in a folder, leaving out the directories of these names."""
    return {
        f"file {path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not but & set(path.relative_to(folder).parts) and path.stat().st_size < 8 << 20
    }


def _find_processes_of(folder: Path) -> Iterator[int]:
    """The emulator and its functions: their temporary files are in the cloud's folder."""
    mark = f"TMPDIR={folder / 'tmp'}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if mark in environment.split(b"\0"):
                yield int(entry.name)


def _scan(dynamodb: Any, table: str) -> Iterator[dict[str, Any]]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table):
        yield from page["Items"]


def _show(document: Any) -> str:
    """As text, bytes as they are: their repr is one of the spellings of a canary."""
    return f"{document!r}"
