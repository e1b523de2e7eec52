"""On the deployed cloud: the log is verified, read, reported by its readers, and archived and purged by its rules."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from uuid6 import uuid7

from pqtransfer.audit.errors import BundleLockedError
from pqtransfer.audit.events import EventKind
from pqtransfer.audit.retention import RetentionRules
from pqtransfer.audit.upkeep import RetentionOutcome, Upkeep
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_queue import SqsEventSink, connect_audit_trail
from pqtransfer.aws.audit_retention import S3RetentionStore
from pqtransfer.aws.audit_trust import KeysNotPublishedError, S3TrustBucket
from pqtransfer.sdk.audit_log import AuditLog, LogNotShownError
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.function_roles import act_as_function
from tests.unit.audit.samples import make_event

pytestmark = pytest.mark.e2e

ActAs = Callable[[str | None], CloudSession]
PATIENCE_SECONDS = 180
EVENTS = 600
SENT_AT_ONCE = 200


@dataclass
class Finished:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> Any:
        return json.loads(self.stdout)


class Desk:
    """Where somebody sits who reads the log of the deployment."""

    def __init__(self, cloud: EmbeddedCloud, deployment: Deployment, act_as: ActAs, folder: Path) -> None:
        self.deployment, self.folder = deployment, folder
        self.s3 = act_as("operator").client("s3")
        self.trust = S3TrustBucket(self.s3, bucket=deployment.audit_trust_bucket)
        self._cloud = cloud

    def run(self, *arguments: object, role: str = "operator") -> Finished:
        """A command, under the operator's role or another."""
        variables = self._cloud.variables(role) | {
            "PQTRANSFER_DEPLOYMENT": str(self._cloud.deployment_file),
            "HOME": str(self.folder),
        }
        command = [str(Path(sys.executable).parent / "pqtransfer"), "audit", *map(str, arguments)]
        done = subprocess.run(command, env=variables, cwd=self.folder, capture_output=True, text=True, check=False)
        return Finished(done.returncode, done.stdout, done.stderr)

    def open_log(self) -> AuditLog:
        policy = self.trust.load_keys(self.deployment.audit_origin).to_policy()
        return AuditLog(S3LogFiles(self.s3, bucket=self.deployment.audit_bucket), policy)

    def find_size(self) -> int:
        """How many entries are witnessed."""
        try:
            return self.open_log().read_checkpoint().checkpoint.size
        except (KeysNotPublishedError, LogNotShownError):
            return 0

    def wait_for_size(self, size: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.find_size() < size:
            assert time.monotonic() < deadline, f"{self.find_size()} of {size} entries are witnessed"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def desk(cloud: EmbeddedCloud, deployment: Deployment, act_as: ActAs, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A log with events of a producer of its own, beside what the deployment has recorded of itself."""
    made = Desk(cloud, deployment, act_as, tmp_path_factory.mktemp("desk"))
    producer = f"e2e/{uuid7()}"[:40]
    kinds = list(EventKind)
    entries = [
        make_event(
            kinds[number % len(kinds)],
            producer=producer,
            sequence=number + 1,
            event_id=str(uuid7()),
            time_ms=int(time.time() * 1000),
            actor="e2e-hospital",
            correlation_id=f"e2e-{number}",
        ).to_json()
        for number in range(EVENTS)
    ]
    sink = SqsEventSink(act_as("worker").client("sqs"), queue_url=deployment.audit_queue_url)
    before = made.find_size()
    for first in range(0, EVENTS, SENT_AT_ONCE):
        sink.send(entries[first : first + SENT_AT_ONCE])
    made.wait_for_size(before + EVENTS)
    return made


@pytest.mark.requirement("D4.6")
def test_the_deployed_log_is_verified_and_read(desk: Desk) -> None:
    """From the cloud and from a copy, with the published keys; what was sent is found and proven offline."""
    verified = desk.run("verify", "--json")
    assert verified.exit_code == 0, verified.stderr
    assert (verified.answer["intact"], verified.answer["complete"]) == (True, True)
    assert desk.run("keys", "--out", "audit-keys.json").exit_code == 0
    assert desk.run("fetch", "copy").exit_code == 0
    offline = desk.run("verify", "--from", "copy", "--save-trusted", "trusted", "--json")
    assert (offline.exit_code, offline.answer["entries_checked"] >= EVENTS) == (0, True)
    found = desk.run("search", "--actor", "e2e-hospital", "--correlation", "e2e-17", "--json").answer
    assert [each["correlation_id"] for each in found] == ["e2e-17"]
    assert desk.run("prove", found[0]["event_id"], "--out", "17.proof").exit_code == 0
    proven = desk.run("check-proof", "17.proof", "--json")
    assert (proven.exit_code, proven.answer["event_id"]) == (0, found[0]["event_id"])


@pytest.mark.requirement("N16")
def test_the_deployed_log_is_exported(desk: Desk) -> None:
    for form, out in (("ocsf", "events.jsonl"), ("cef", "events.cef")):
        done = desk.run("export", "--format", form, "--out", out, "--json")
        assert (done.exit_code, done.answer["events"] >= EVENTS) == (0, True), done.stderr


@pytest.mark.requirement("D7.4", "N13")
def test_the_deployed_function_reports(desk: Desk, deployment: Deployment, act_as: ActAs) -> None:
    """By its own role: the page is in the bucket, and the log tells that it was made."""
    now = datetime.now(UTC)
    asked = {"since": (now - timedelta(days=1)).isoformat(), "until": (now + timedelta(days=1)).isoformat()}
    answer = (
        act_as(None)
        .client("lambda")
        .invoke(FunctionName=deployment.functions.report_compliance, Payload=json.dumps(asked).encode())
    )
    made = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, made
    assert (made["intact"], made["events"] >= EVENTS) == (True, True)
    key = made["report"].removeprefix(f"s3://{deployment.audit_bucket}/")
    page = desk.s3.get_object(Bucket=deployment.audit_bucket, Key=key)["Body"].read()
    assert b"The log is intact and complete" in page
    wait_until(lambda: bool(desk.run("search", "--action", "report.create", "--json").answer))
    today = f"{now:%Y-%m-%d}"
    local = desk.run("report", "--from", today, "--to", today, "--framework", "sox", "--out", "sox.html", "--json")
    assert local.exit_code == 0, local.stderr
    assert "Sarbanes-Oxley" in (desk.folder / "sox.html").read_text(encoding="utf-8")


@pytest.mark.requirement("D7.6", "S4.6")
def test_the_deployed_log_is_archived_and_purged_under_its_locks(
    desk: Desk, deployment: Deployment, act_as: ActAs
) -> None:
    """By the function's own role: nothing is due today; in two days it is. A lock wins, and so does a legal hold, which
    a custodian puts on entries and lifts; and then the log is whole."""
    answer = act_as(None).client("lambda").invoke(FunctionName=deployment.functions.archive_audit_log, Payload=b"{}")
    assert json.loads(answer["Payload"].read())["archived"] == 0
    role = act_as_function(act_as, deployment, "archive_audit_log")
    planned = desk.run("retention", "--at", f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}", "--json").answer
    announced = run_retention(role, deployment, days=2)
    assert announced.announced == planned["to_announce"] >= 512
    assert announced.archived >= 512
    tags = desk_owner(act_as).get_object_tagging(Bucket=deployment.audit_bucket, Key="tile/entries/000")["TagSet"]
    assert tags == [{"Key": "retention", "Value": "archive"}]
    wait_until(lambda: count_events(desk, "audit.purge") == 1)
    kept = desk.run("hold", "set", 300, "--reason", "case 17", "--json", role="custodian")
    assert kept.exit_code == 0, kept.stderr
    assert kept.answer == {"held": True, "first": 256, "last": 511}
    stopped = run_retention(role, deployment, days=2)  # nothing goes of what was announced: it is announced anew
    assert (stopped.purged, stopped.announced, stopped.held_at) == (0, 256, 256)
    wait_until(lambda: count_events(desk, "audit.purge") == 2)
    with pytest.raises(BundleLockedError):
        run_retention(role, deployment, days=2)
    assert desk.run("verify", "--json").answer["intact"] is True
    for key, version in list_bundle_versions(act_as, deployment):
        desk_owner(act_as).put_object_retention(
            Bucket=deployment.audit_bucket, Key=key, VersionId=version, BypassGovernanceRetention=True,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(seconds=1)},
        )  # fmt: skip
    time.sleep(1.5)
    purged = run_retention(role, deployment, days=2)
    assert (purged.purged, purged.first_kept, purged.held_at) == (256, 256, 256)
    assert desk.run("hold", "list", "--json", role="custodian").answer == [{"first": 256, "last": 511}]
    assert may_not_release(role, deployment)
    assert desk.run("hold", "lift", 300, "--reason", "closed").exit_code != 0  # an operator may not
    lifted = desk.run("hold", "lift", 300, "--reason", "closed", "--json", role="custodian")
    assert lifted.exit_code == 0, lifted.stderr
    wait_until(lambda: run_retention(role, deployment, days=2).first_kept == announced.announced)
    for action in ("audit.hold", "audit.release"):
        wait_until(lambda action=action: count_events(desk, action) == 1)
    verified = desk.run("verify", "--json")
    assert verified.exit_code == 0, verified.stdout
    assert verified.answer["entries_purged"] == announced.announced
    assert desk.run("check-proof", "17.proof").exit_code == 0


def run_retention(role: CloudSession, deployment: Deployment, *, days: int) -> RetentionOutcome:
    """As the function runs it, under its role, so many days from now."""
    s3 = role.client("s3")
    upkeep = Upkeep(
        S3LogFiles(s3, bucket=deployment.audit_bucket),
        S3TrustBucket(s3, bucket=deployment.audit_trust_bucket).load_keys(deployment.audit_origin).to_policy(),
        store=S3RetentionStore(s3, bucket=deployment.audit_bucket),
        rules=RetentionRules.from_text(deployment.audit_retention_rules),
        trail=connect_audit_trail(
            role, queue_url=deployment.audit_queue_url, service="archive-audit-log", spool_directory=None
        ),
    )
    return upkeep.run(now=datetime.now(UTC) + timedelta(days=days), correlation_id="e2e")


def count_events(desk: Desk, action: str) -> int:
    """How many events of this action are in the log."""
    return len(desk.run("search", "--action", action, "--json").answer)


def may_not_release(role: CloudSession, deployment: Deployment) -> bool:
    """Whether the function that purges may not lift a hold."""
    try:
        role.client("s3").put_object_legal_hold(
            Bucket=deployment.audit_bucket, Key="tile/entries/001", LegalHold={"Status": "OFF"}
        )
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    return False


def desk_owner(act_as: ActAs) -> Any:
    return act_as(None).client("s3")


def list_bundle_versions(act_as: ActAs, deployment: Deployment) -> list[tuple[str, str]]:
    pages = desk_owner(act_as).get_paginator("list_object_versions")
    return [
        (each["Key"], each["VersionId"])
        for page in pages.paginate(Bucket=deployment.audit_bucket, Prefix="tile/entries/")
        for each in page.get("Versions", ())
    ]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(1)
