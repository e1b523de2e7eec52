"""What the local fleet tells the cloud of itself: ECS events on the default bus, and numbers in CloudWatch."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.local_task import LocalTask
from scripts.embedded_cloud.server import ACCOUNT, REGION
from scripts.embedded_cloud.sessions import CloudSession
from scripts.embedded_cloud.task_usage import Rates, Usage, compare, make_metrics, read_usage

ECS_EVENT_SOURCE = "embedded.ecs"
"""The embedded cloud lets nobody put events of `aws.ecs`; rules that match those match these too, locally."""


class FleetEvents:
    """The events that ECS puts on the default bus."""

    def __init__(self, session: CloudSession, deployment: Deployment) -> None:
        self._events = session.client("events")
        self._service = deployment.service
        self._cluster_arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{deployment.cluster}"

    def tell_task(self, task: LocalTask) -> None:
        """`ECS Task State Change`: the task is in another state."""
        task.version += 1
        detail = task.describe(cluster_arn=self._cluster_arn, service=self._service)
        self._put("ECS Task State Change", task.arn, detail)

    def tell_deployment(self, name: str, kind: str, reason: str, *, definition: str) -> None:
        """`ECS Deployment State Change`: for example SERVICE_DEPLOYMENT_FAILED, of kind ERROR."""
        detail = {
            "eventType": kind,
            "eventName": name,
            "deploymentId": f"ecs-svc/{definition.rpartition(':')[2]}",
            "updatedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reason": reason,
        }
        arn = self._cluster_arn.replace(":cluster/", ":service/", 1) + f"/{self._service}"
        self._put("ECS Deployment State Change", arn, detail)

    def _put(self, kind: str, resource: str, detail: Mapping[str, Any]) -> None:
        entry = {
            "Source": ECS_EVENT_SOURCE,
            "DetailType": kind,
            "Resources": [resource],
            "Detail": json.dumps(detail),
            "Time": datetime.now(UTC),
        }
        self._events.put_events(Entries=[entry])


class FleetMeter:
    """Measures the tasks, and puts their numbers into CloudWatch."""

    def __init__(self, session: CloudSession, deployment: Deployment) -> None:
        self._cloudwatch = session.client("cloudwatch")
        self._names = {"cluster": deployment.cluster, "service": deployment.service}
        self._before: dict[int, Usage] = {}

    def measure(self, running: Sequence[LocalTask], *, desired: int, seconds: float) -> None:
        """Put what the tasks have used since the last call, which was so many seconds ago."""
        now = {
            task.number: usage
            for task in running
            if (usage := read_usage(task.process.pid, moved_bytes=task.bytes_moved)) is not None
        }
        nothing = Usage(0.0, 0, 0)
        rates: list[Rates] = [
            compare(self._before.get(number, nothing), usage, seconds=seconds) for number, usage in now.items()
        ]
        self._before = now
        metrics = make_metrics(
            rates,
            **self._names,
            cpu_units=running[0].definition.cpu_units if running else 0,
            memory_mib=running[0].definition.memory_mib if running else 0,
            running=len(running),
            desired=desired,
            at=datetime.now(UTC),
        )
        for namespace, data in metrics.items():
            self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
