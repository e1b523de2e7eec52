"""What the system tries by itself, on AWS. Each call does nothing where there is nothing to do, and can be repeated."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pqtransfer.aws.failures import translated
from pqtransfer.operations.recovery import RecoveryKind, RecoveryOutcome
from pqtransfer.transfers.ledger import was_given_back
from pqtransfer.transfers.live import FleetWork

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_sqs import SQSClient

MESSAGES_AT_MOST = 100
"""Of one redrive: what comes back at once is not more than the workers can refuse again."""
RECEIVES_AT_MOST = 2 * MESSAGES_AT_MOST
TASKS_AT_MOST = 100
"""Of one call to ECS."""
LEASES_AT_MOST = 2_000
"""That are looked at before a worker is stopped."""
HIDDEN_SECONDS = 60
WAIT_SECONDS = 2
"""A receive that waits asks every server of SQS; one that does not may find nothing in a queue that is not empty."""
EMPTY_AT_MOST = 2
REASON_ATTRIBUTE = "reason_code"
"""On messages that a worker gave up for a reason: these would only be given up again."""

Outcome = tuple[RecoveryOutcome, str]


class FleetRecoverer:
    """Recovers the workers of one cluster and the messages of one queue."""

    def __init__(
        self,
        *,
        ecs: "ECSClient",
        sqs: "SQSClient",
        work: FleetWork,
        now: Callable[[], datetime],
        cluster: str,
        queue_url: str,
        dead_letter_queue_url: str,
        wait_seconds: int = WAIT_SECONDS,
    ) -> None:
        self._ecs = ecs
        self._sqs = sqs
        self._work = work
        self._now = now
        self._cluster = cluster
        self._queue_url = queue_url
        self._dead_letter_queue_url = dead_letter_queue_url
        self._wait_seconds = wait_seconds

    def recover(self, kind: RecoveryKind, target: str) -> Outcome:
        """Try it on a target.

        Raises:
            CloudError: AWS refused, or does not answer.
        """
        if kind is RecoveryKind.REPLACE_TASK:
            return self._replace_task(target) if target.startswith("arn:") else self._replace_worker(target)
        if kind is RecoveryKind.ROLL_BACK:
            return self._roll_back(target)
        if kind is RecoveryKind.REDRIVE:
            return self._redrive(target)
        return self._restart_transfer(target)

    def _replace_worker(self, worker: str) -> Outcome:
        """Stop the task of a worker that let a lease run out. Not if it holds another that is live, nor if the task
        started after that lease had ended: then it has the address of one that is gone, and is well.
        """
        held = [each for each in self._work.list_claimed(limit=LEASES_AT_MOST) if each.owner == worker]
        ends = [each.lease_expires_at for each in held if each.lease_expires_at and not was_given_back(each)]
        if not ends:
            return RecoveryOutcome.NOTHING_TO_DO, "it holds no transfer any more"
        if max(ends) >= self._now():
            return RecoveryOutcome.NOTHING_TO_DO, "it holds a lease that has not ended: it works"
        task = self._find_task(worker)
        if task is None:
            return RecoveryOutcome.NOTHING_TO_DO, "no task that runs has a worker of this name"
        started_at = task.get("startedAt")
        if started_at is None or started_at >= max(ends):
            return RecoveryOutcome.NOTHING_TO_DO, "the task that has its address now started after its lease had ended"
        return self._replace_task(str(task["taskArn"]))

    def _replace_task(self, task_arn: str) -> Outcome:
        """Stop a task; its service starts another. What it worked on goes on elsewhere from its checkpoint."""
        with translated(action=f"look at task {task_arn}"):
            found = self._ecs.describe_tasks(cluster=self._cluster, tasks=[task_arn])["tasks"]
        if not found or found[0].get("lastStatus") == "STOPPED":
            return RecoveryOutcome.NOTHING_TO_DO, "it has stopped already"
        with translated(action=f"stop task {task_arn}"):
            self._ecs.stop_task(cluster=self._cluster, task=task_arn, reason="pqtransfer: its health check fails")
        return RecoveryOutcome.DONE, "stopped; the service starts another"

    def _find_task(self, worker: str) -> Any:
        """The task of a worker, which has the name of its host in its own: its address in the network."""
        with translated(action="list the tasks of the workers"):
            listed = self._ecs.list_tasks(cluster=self._cluster, desiredStatus="RUNNING", maxResults=TASKS_AT_MOST)
        if not listed["taskArns"]:
            return None
        with translated(action="look at the tasks of the workers"):
            found = self._ecs.describe_tasks(cluster=self._cluster, tasks=listed["taskArns"])["tasks"]
        return next((each for each in found if is_on_host(worker, each)), None)

    def _roll_back(self, service_arn: str) -> Outcome:
        """Go back to the task definition before, unless the circuit breaker has."""
        with translated(action=f"look at service {service_arn}"):
            found = self._ecs.describe_services(cluster=self._cluster, services=[service_arn])["services"]
        primary = (
            next((each for each in found[0]["deployments"] if each["status"] == "PRIMARY"), None) if found else None
        )
        if primary is None or primary.get("rolloutState") != "FAILED":
            return RecoveryOutcome.NOTHING_TO_DO, "its newest deployment has not failed: the circuit breaker was faster"
        before = name_previous(primary["taskDefinition"])
        if before is None:
            return RecoveryOutcome.FAILED, "there is no task definition before"
        with translated(action=f"roll service {service_arn} back to {before}"):
            self._ecs.update_service(cluster=self._cluster, service=service_arn, taskDefinition=before)
        return RecoveryOutcome.DONE, f"rolled back to {before}"

    def _redrive(self, queue_name: str) -> Outcome:
        """Give messages another chance that nobody gave up for a reason: those that SQS moved after many receives."""
        if self._dead_letter_queue_url.rpartition("/")[2] != queue_name:
            return RecoveryOutcome.NOTHING_TO_DO, "what is in this queue is for people to look at"
        moved, seen = self._move(lambda message: REASON_ATTRIBUTE not in message.get("MessageAttributes", {}))
        if not seen:
            return RecoveryOutcome.NOTHING_TO_DO, "no message was found in it: it is empty, or somebody looks at them"
        if not moved:
            return RecoveryOutcome.NOTHING_TO_DO, "every message in it was given up for a reason that stays"
        return RecoveryOutcome.DONE, f"{moved} messages are tried again"

    def _restart_transfer(self, transfer_id: str) -> Outcome:
        """Bring back its message, if it was given up. Otherwise it comes by itself, and the lease has expired."""
        moved, seen = self._move(lambda message: is_about(message["Body"], transfer_id))
        if moved:
            return RecoveryOutcome.DONE, "its message is in the queue again; it goes on from its checkpoint"
        if not seen:
            return RecoveryOutcome.NOTHING_TO_DO, "no message was found that was given up: it goes on by itself"
        return RecoveryOutcome.NOTHING_TO_DO, "its message was not given up: it goes on when a worker takes it"

    def _move(self, chosen: Any) -> tuple[int, int]:
        """Move the chosen messages back to the queue of requests; sent before deleted, so that none is lost. How many
        were moved, of how many that were seen."""
        moved, empty, seen = 0, 0, set[str]()
        while moved < MESSAGES_AT_MOST and len(seen) < RECEIVES_AT_MOST and empty < EMPTY_AT_MOST:
            with translated(action="read the queue of requests that were given up"):
                answer = self._sqs.receive_message(
                    QueueUrl=self._dead_letter_queue_url,
                    MaxNumberOfMessages=10,
                    MessageAttributeNames=["All"],
                    VisibilityTimeout=HIDDEN_SECONDS,
                    WaitTimeSeconds=self._wait_seconds,
                )
            messages = [each for each in answer.get("Messages", []) if each["MessageId"] not in seen]
            empty = 0 if messages else empty + 1
            for message in messages:
                seen.add(message["MessageId"])
                if chosen(message):
                    self._move_one(message)
                    moved += 1
        return moved, len(seen)

    def _move_one(self, message: Any) -> None:
        with translated(action="try a message again that was given up"):
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=message["Body"])
            self._sqs.delete_message(QueueUrl=self._dead_letter_queue_url, ReceiptHandle=message["ReceiptHandle"])


def is_on_host(worker: str, task: Any) -> bool:
    """Whether a worker's name (`ip-10-40-1-2.ec2.internal-1`) is of the host that a task has in the network."""
    details = [each for attached in task.get("attachments", []) for each in attached.get("details", [])]
    addresses = [str(each["value"]) for each in details if each.get("name") == "privateIPv4Address"]
    return any(re.match(rf"ip-{re.escape(each.replace('.', '-'))}[.-]", worker) for each in addresses)


def name_previous(task_definition_arn: str) -> str | None:
    """`...:task-definition/worker:7` -> `worker:6`."""
    family, _, revision = task_definition_arn.rpartition("/")[2].rpartition(":")
    return f"{family}:{int(revision) - 1}" if revision.isdecimal() and int(revision) > 1 else None


def is_about(body: str, transfer_id: str) -> bool:
    """Whether a message is the signed request of this transfer."""
    try:
        document = json.loads(body)
        request = document.get("request", document) if isinstance(document, dict) else {}
        if isinstance(request, str):
            request = json.loads(request)
    except (ValueError, RecursionError):
        return False
    return isinstance(request, dict) and request.get("transfer_id") == transfer_id
