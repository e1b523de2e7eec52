"""One task of the local fleet: a worker process with its state, its health and its end, in the words of ECS."""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from scripts.embedded_cloud.scheduling import TaskState, TaskView
from scripts.embedded_cloud.server import ACCOUNT, REGION
from scripts.worker_process import HOST, WorkerProcess

CONTAINER = "worker"
HEALTH_PATH = "/healthz"
HEALTHY, UNHEALTHY, UNKNOWN = "HEALTHY", "UNHEALTHY", "UNKNOWN"


@dataclass(frozen=True)
class TaskDefinition:
    """What of a task definition a process needs."""

    arn: str
    variables: Mapping[str, str]
    stop_timeout_seconds: int
    cpu_units: int
    memory_mib: int

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "TaskDefinition":
        """From DescribeTaskDefinition."""
        definition = answer["taskDefinition"]
        container = definition["containerDefinitions"][0]
        return cls(
            arn=definition["taskDefinitionArn"],
            variables={each["name"]: each["value"] for each in container.get("environment", [])},
            stop_timeout_seconds=int(container.get("stopTimeout", 30)),
            cpu_units=int(definition["cpu"]),
            memory_mib=int(definition["memory"]),
        )


@dataclass(frozen=True)
class HealthAnswer:
    """What a worker's health endpoint says; `bytes_moved` since it was started."""

    healthy: bool
    bytes_moved: int = 0


@dataclass
class LocalTask:
    """A task from its start to its end. Times are seconds of a monotonic clock."""

    number: int
    definition: TaskDefinition
    process: WorkerProcess
    arn: str
    agent_uri: str
    started_at: float
    state: TaskState = TaskState.PENDING
    health: str = UNKNOWN
    was_healthy: bool = False
    failed_checks: int = 0
    checked_at: float = 0.0
    check: "Future[HealthAnswer] | None" = None
    bytes_moved: int = 0
    stop_by: float | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    version: int = 1
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def view(self, *, protected: bool) -> TaskView:
        """As the scheduler sees it."""
        return TaskView(self.number, self.definition.arn, self.state, protected)

    def describe(self, *, cluster_arn: str, service: str) -> dict[str, Any]:
        """The `detail` of an `ECS Task State Change` event."""
        stopping = self.state in (TaskState.STOPPING, TaskState.STOPPED)
        container: dict[str, Any] = {
            "containerArn": self.arn.replace(":task/", ":container/", 1) + "/worker",
            "name": CONTAINER,
            "lastStatus": self.state,
            "taskArn": self.arn,
            "healthStatus": self.health,
        }
        if self.state is TaskState.STOPPED:
            code = self.process.exit_code
            # As a container's exit code says it: 128 and the number of the signal.
            container["exitCode"] = code if code is None or code >= 0 else 128 - code
        detail: dict[str, Any] = {
            "clusterArn": cluster_arn,
            "taskArn": self.arn,
            "taskDefinitionArn": self.definition.arn,
            "group": f"service:{service}",
            "startedBy": f"ecs-svc/{self.definition.arn.rpartition(':')[2]}",
            "launchType": "FARGATE",
            "lastStatus": self.state,
            "desiredStatus": "STOPPED" if stopping else "RUNNING",
            "healthStatus": self.health,
            "containers": [container],
            "createdAt": _write_time(self.created_at),
            "updatedAt": _write_time(datetime.now(UTC)),
            "version": self.version,
        }
        if stopping:
            detail |= {"stopCode": self.stop_code, "stoppedReason": self.stopped_reason}
        return detail


def make_task_arn(cluster: str) -> str:
    """The ARN of a new task."""
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{uuid.uuid4().hex}"


def make_process(
    definition: TaskDefinition,
    *,
    profile: Mapping[str, str],
    agent_uri: str,
    overrides: Mapping[str, str],
    settings: Mapping[str, Any],
    log: Path,
) -> WorkerProcess:
    """The worker of a task: the definition's variables, the role's profile, and what this machine needs otherwise."""
    return WorkerProcess(
        None,
        variables={**profile, **definition.variables, "ECS_AGENT_URI": agent_uri, **overrides},
        log=log,
        settings=settings,
        ends_with_parent=True,
    )


def ask_health(port: int | None, *, timeout_seconds: float) -> HealthAnswer:
    """What /healthz says: whether the process works. No answer is a bad one."""
    if port is None:
        return HealthAnswer(healthy=False)
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{HEALTH_PATH}", timeout=timeout_seconds) as answer:
            return HealthAnswer(healthy=answer.status == 200, bytes_moved=int(json.load(answer)["bytes_moved"]))
    except urllib.error.HTTPError as error:
        error.close()
        return HealthAnswer(healthy=False)
    except (OSError, HTTPException, ValueError, KeyError):
        return HealthAnswer(healthy=False)


def _write_time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
