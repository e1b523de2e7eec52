"""The audit log of the deployed cloud: who writes to it, who attacks it, and what is found afterwards."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy
from pqtransfer.audit.events import AuditFacts, EventKind, Target
from pqtransfer.audit.producing import ProducerTrail
from pqtransfer.audit.sequencing import LogState
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_log import S3LogStore
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.audit_state import DynamoStateStore
from pqtransfer.aws.audit_trust import S3TrustBucket
from pqtransfer.operations.events import ALERT_RAISED
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.told_alerts import ToldAlerts

PATIENCE_SECONDS = 90.0
POLL_SECONDS = 0.1

T = TypeVar("T")


def make_facts(number: int = 0, *, actor: str = "site-a", action: str = "envelope.wrap") -> AuditFacts:
    return AuditFacts(
        kind=EventKind.CRYPTOGRAPHY,
        action=action,
        actor=actor,
        target=Target(type="transfer", id=f"t-{number}"),
        succeeded=True,
        correlation_id="e2e-audit",
        suite="PQT-1",
    )


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := look()) is None:
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS:.0f} s"
        time.sleep(POLL_SECONDS)
    return seen


class Scene:
    """The log, with its owner's eyes; `attacker` may do anything with its bucket and table, and nothing else."""

    def __init__(
        self, deployment: Deployment, owner: CloudSession, worker: CloudSession, attacker: CloudSession, inbox: str
    ) -> None:
        self.deployment = deployment
        self.bucket = deployment.audit_bucket
        self.s3 = owner.client("s3")
        self.attacker_s3 = attacker.client("s3")
        self.attacker_table = attacker.resource("dynamodb").Table(deployment.audit_state_table)
        self._worker = worker
        self._sqs = owner.client("sqs")
        self._lambda = owner.client("lambda")
        self._events = owner.client("events")
        self._table = owner.resource("dynamodb").Table(deployment.audit_state_table)
        self._inbox = inbox
        self._alerts = ToldAlerts(owner, deployment)
        self._alerts_count_from = datetime.now(UTC)
        self._undo: list[Callable[[], object]] = []
        self._is_witness_held = False
        self.is_mended = False
        self.log = S3LogStore(self.s3, bucket=self.bucket)
        self.states = DynamoStateStore(owner.client("dynamodb"), table=deployment.audit_state_table)

    # --- writing

    def make_trail(self, service: str = "e2e") -> ProducerTrail:
        return connect_audit_trail(
            self._worker,  # type: ignore[arg-type]
            queue_url=self.deployment.audit_queue_url,
            service=service,
            spool_directory=None,
        )

    def write(self, count: int, *, trail: ProducerTrail | None = None) -> None:
        """Record that many events, and wait until they are in the log."""
        (trail or self.make_trail()).record(*(make_facts(number) for number in range(count)))
        self.settle()

    def settle(self) -> Checkpoint:
        """Wait until everything that was sent is in the log, signed and witnessed."""

        def look() -> Checkpoint | None:
            if self.queue_length():
                return None
            if self._is_witness_held:
                self.invoke(self.deployment.functions.witness_checkpoint, {})
            state, witnessed = self.states.find_state(), self.log.find_witnessed()
            if state is None or witnessed is None or read_size(witnessed.data) != state.size:
                return None
            return state.checkpoint

        return wait_for("log that has settled", look)

    def queue_length(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        urls = (self.deployment.audit_queue_url, self.deployment.site_audit_queue_url)
        answers = [self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names) for url in urls]
        return sum(int(answer["Attributes"][name]) for answer in answers for name in names)

    @property
    def state(self) -> LogState:
        state = self.states.find_state()
        assert state is not None
        return state

    @property
    def log_files(self) -> S3LogFiles:
        """The log as readers see it."""
        return S3LogFiles(self.s3, bucket=self.bucket)

    def load_policy(self) -> TrustPolicy:
        """The keys that were published."""
        trust = S3TrustBucket(self.s3, bucket=self.deployment.audit_trust_bucket)
        return trust.load_keys(self.deployment.audit_origin).to_policy()

    # --- checking

    def check(self, *, full: bool = True) -> dict[str, int]:
        """Run the deployed check; how many findings of each kind it has."""
        return self.invoke(self.deployment.functions.check_audit_integrity, {"full": full})["findings"]

    @contextmanager
    def witness_held(self) -> Iterator[None]:
        """No run of the witness but those that a test asks for: it would put back what was cosigned last."""
        name = self.deployment.functions.witness_checkpoint
        arn = self._lambda.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        buses = ("default", self.deployment.event_bus)
        rules = [
            {"Name": rule, "EventBusName": bus}
            for bus in buses
            for rule in self._events.list_rule_names_by_target(TargetArn=arn, EventBusName=bus)["RuleNames"]
        ]
        assert len(rules) == len(buses), rules  # by the clock, and when the log has signed
        try:
            for rule in rules:
                self._events.disable_rule(**rule)
            self.invoke(name, {})  # a run that had begun before this one has ended when it has
            self._is_witness_held = True
            yield
        finally:
            self._is_witness_held = False
            for rule in rules:
                self._events.enable_rule(**rule)

    @contextmanager
    def limited(self, function: str, *, seconds: int) -> Iterator[None]:
        """A function that has so much time."""
        before = self._lambda.get_function_configuration(FunctionName=function)["Timeout"]
        self._lambda.update_function_configuration(FunctionName=function, Timeout=seconds)
        try:
            yield
        finally:
            self._lambda.update_function_configuration(FunctionName=function, Timeout=before)

    def invoke(self, function: str, payload: dict[str, Any]) -> Any:
        answer = self._lambda.invoke(FunctionName=function, Payload=json.dumps(payload).encode())
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        return said

    def wait_for_alert(self, code: str, finding: str = "") -> dict[str, Any]:
        """Wait until the administrators are told of an alert, and end it; those before it are thrown away."""

        def look() -> dict[str, Any] | None:
            answer = self._sqs.receive_message(QueueUrl=self._inbox, MaxNumberOfMessages=10)
            found = None
            for message in answer.get("Messages", []):
                told = json.loads(json.loads(message["Body"])["Message"])
                self._sqs.delete_message(QueueUrl=self._inbox, ReceiptHandle=message["ReceiptHandle"])
                alert = told["detail"] if told.get("detail-type") == ALERT_RAISED else None
                if alert and alert["code"] == code and alert["details"].get("finding", "") == finding:
                    found = alert
            return found or self._alerts.find_told(code, finding=finding, since=self._alerts_count_from)

        alert = wait_for(f"alert {code} {finding}", look)
        self._alerts.end_all(code=code)
        return alert

    def forget_alerts(self) -> None:
        """Alerts of before are over: those that come now tell people anew."""
        self._alerts.end_all()
        self._alerts_count_from = datetime.now(UTC)

    def wait_for_alarm(self, name: str) -> dict[str, Any]:
        """Wait for an alarm of this name in the administrators' inbox; what comes before it is thrown away."""

        def look() -> dict[str, Any] | None:
            answer = self._sqs.receive_message(QueueUrl=self._inbox, MaxNumberOfMessages=10)
            found = None
            for message in answer.get("Messages", []):
                told = json.loads(json.loads(message["Body"])["Message"])
                self._sqs.delete_message(QueueUrl=self._inbox, ReceiptHandle=message["ReceiptHandle"])
                if told.get("AlarmName") == name and told["NewStateValue"] == "ALARM":
                    found = told
            return found

        return wait_for(f"alarm {name}", look)

    def evidence_of(self, path: str) -> list[bytes]:
        """What was preserved of an object; each copy is under legal hold."""
        found = []
        for key in self.list_keys(f"evidence/{path}/"):
            hold = self.s3.get_object_legal_hold(Bucket=self.bucket, Key=key)["LegalHold"]["Status"]
            assert hold == "ON", key
            found.append(self.read(key))
        return found

    # --- looking at the files

    def read(self, path: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=path)["Body"].read()

    def list_keys(self, prefix: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def versions(self, path: str) -> Sequence[bytes]:
        """Every version of an object, newest first."""
        answer = self.s3.list_object_versions(Bucket=self.bucket, Prefix=path)
        ids = [each["VersionId"] for each in answer.get("Versions", []) if each["Key"] == path]
        return [self.s3.get_object(Bucket=self.bucket, Key=path, VersionId=each)["Body"].read() for each in ids]

    # --- attacking, and what a person does about it from a copy

    def overwrite(self, path: str, data: bytes) -> None:
        """A new version: the lock keeps the old one, and readers see the new one."""
        before = self.find(path)
        self.attacker_s3.put_object(Bucket=self.bucket, Key=path, Body=data)
        self._undo.append(lambda: self._put_back(path, before, written=data))

    def remove(self, path: str) -> None:
        """A delete marker: the lock keeps what is below it, and readers see nothing."""
        before = self.find(path)
        self.attacker_s3.delete_object(Bucket=self.bucket, Key=path)
        self._undo.append(lambda: self._put_back(path, before, written=None))

    def replace_item(self, name: str, document: str) -> None:
        """Another document in the table."""
        before = self._table.get_item(Key={"item": name})["Item"]
        self.attacker_table.put_item(Item={"item": name, "document": document})
        self._undo.append(lambda: self._table.put_item(Item=before))

    def undo_later(self, action: Callable[[], None]) -> None:
        """What else there is to mend."""
        self._undo.append(action)

    def undo(self) -> None:
        """Mend everything."""
        actions, self._undo = self._undo, []
        for action in reversed(actions):
            action()
        self.is_mended = self.is_mended or bool(actions)

    def find(self, path: str) -> bytes | None:
        return self.read(path) if path in self.list_keys(path) else None

    def _put_back(self, path: str, data: bytes | None, *, written: bytes | None) -> None:
        """Only where nobody has mended it already: the witness shows again what it has cosigned last."""
        if self.find(path) != written:
            return
        if data is None:
            self.s3.delete_object(Bucket=self.bucket, Key=path)
        else:
            self.s3.put_object(Bucket=self.bucket, Key=path, Body=data, ChecksumAlgorithm="SHA256")


def read_size(note: bytes) -> int:
    return int(note.split(b"\n")[1])
