"""The fleet in ECS: how many workers there are and should be, and which hold their protection."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pqtransfer.aws.clients import Session, client_config
from pqtransfer.aws.failures import CloudNotFoundError, translated

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient

TASKS_OF_A_CALL = 100
"""Of ListTasks and GetTaskProtection."""


@dataclass(frozen=True)
class FleetState:
    """What the service says."""

    desired: int
    running: int
    pending: int


class EcsFleet:
    """One ECS service."""

    def __init__(self, client: "ECSClient", *, cluster: str, service: str) -> None:
        self._client = client
        self._cluster = cluster
        self._service = service

    @classmethod
    def open(cls, session: Session, *, cluster: str, service: str) -> "EcsFleet":
        """The service in a session's account."""
        return cls(session.client("ecs", config=client_config()), cluster=cluster, service=service)

    def read(self) -> FleetState:
        """How many workers there should be, and are.

        Raises:
            CloudNotFoundError: there is no such service.
            CloudError: it could not be asked.
        """
        with translated(action=f"look at the service {self._service}"):
            services = self._client.describe_services(cluster=self._cluster, services=[self._service])["services"]
        if not services:
            raise CloudNotFoundError(
                f"there is no service {self._service}; deploy the fleet", aws_code="ServiceNotFoundException"
            )
        (found,) = services
        return FleetState(found["desiredCount"], found["runningCount"], found["pendingCount"])

    def count_protected(self) -> int | None:
        """How many tasks hold their protection; None when ECS does not say it of every task.

        Raises:
            CloudError: it could not be asked.
        """
        asked, told, protected = 0, 0, 0
        for arns in self._list_tasks():
            with translated(action="look at the protection of tasks"):
                answer = self._client.get_task_protection(cluster=self._cluster, tasks=arns)
            asked += len(arns)
            told += len(answer["protectedTasks"])
            protected += sum(bool(task.get("protectionEnabled")) for task in answer["protectedTasks"])
        return protected if told == asked else None

    def set_desired(self, count: int) -> None:
        """Ask for so many workers.

        Raises:
            CloudError: ECS refuses it, or could not be asked.
        """
        with translated(action=f"scale the service {self._service} to {count}"):
            self._client.update_service(cluster=self._cluster, service=self._service, desiredCount=count)

    def _list_tasks(self) -> Iterator[list[str]]:
        token = ""
        while True:
            with translated(action="list the tasks"):
                page = self._client.list_tasks(
                    cluster=self._cluster,
                    serviceName=self._service,
                    desiredStatus="RUNNING",
                    maxResults=TASKS_OF_A_CALL,
                    nextToken=token,
                )
            if page["taskArns"]:
                yield page["taskArns"]
            token = page.get("nextToken", "")
            if not token:
                return
