"""The local fleet: worker processes that follow the desired count of the deployed ECS service, as ECS does.

    with Supervisor(cloud, deployment, folder=folder) as fleet:
        fleet.wait_until(lambda tasks: len(tasks.running) == 3)

It starts and restarts workers under their role with the variables of the task definition, gives each an ECS agent that
keeps its protection, stops by SIGTERM and SIGKILL, replaces what is not healthy, rolls a new task definition out and
back, puts ECS events on the default bus and the fleet's CPU, memory and network into CloudWatch. Its workers end with
it, however it ends, and it ends nothing else.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pqtransfer.errors import UnavailableError
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.cloud import EmbeddedCloud
from scripts.embedded_cloud.fleet_reports import ECS_EVENT_SOURCE, FleetEvents, FleetMeter
from scripts.embedded_cloud.local_task import (
    HEALTHY,
    UNHEALTHY,
    HealthAnswer,
    LocalTask,
    TaskDefinition,
    ask_health,
    make_process,
    make_task_arn,
)
from scripts.embedded_cloud.scheduling import (
    DEPLOYMENT,
    SCALE_IN,
    TaskState,
    Wanted,
    breaker_threshold,
    is_complete,
    plan_tasks,
)
from scripts.embedded_cloud.task_agent import TaskAgent
from scripts.embedded_cloud.timing import Timing

__all__ = ["ECS_EVENT_SOURCE", "FleetTimeoutError", "Supervisor", "Tasks", "Timing"]

LONGEST_RESTART_WAIT_SECONDS = 60.0


class FleetTimeoutError(UnavailableError):
    """The fleet did not get where it should in time."""


@dataclass(frozen=True)
class Tasks:
    """The tasks that have not stopped, oldest first."""

    all: tuple[LocalTask, ...]

    @property
    def running(self) -> tuple[LocalTask, ...]:
        """Those that run and are healthy."""
        return tuple(task for task in self.all if task.state is TaskState.RUNNING)


class Supervisor:
    """Follows the service of one deployment, from `with` to the end of the block."""

    def __init__(
        self,
        cloud: EmbeddedCloud,
        deployment: Deployment,
        *,
        folder: Path,
        timing: Timing | None = None,
        settings: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            cloud: the embedded cloud, running and deployed to.
            deployment: what was deployed.
            folder: where the tasks' logs go.
            timing: patience, for tests.
            settings: fields of `WorkerSettings` that every worker has otherwise than its task definition says.
            variables: environment variables that every worker has beside, for example another AWS_ENDPOINT_URL.
        """
        self._cloud = cloud
        self._deployment = deployment
        self._folder = folder
        self._timing = timing or Timing()
        self._settings = dict(settings or {})
        self._variables = dict(variables or {})
        session = cloud.session()
        self._ecs = session.client("ecs")
        self._events = FleetEvents(session, deployment)
        self._meter = FleetMeter(session, deployment)
        self._agent = TaskAgent()
        self._checkers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="health")
        self._definitions: dict[str, TaskDefinition] = {}
        self._tasks: list[LocalTask] = []
        self._started = self._steps = 0
        self._good: str | None = None
        self._rolling: str | None = None
        self._failures = 0
        self._start_not_before = 0.0
        self._measured_at = time.monotonic()
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._error: Exception | None = None
        # One thread starts every worker: the kernel ties them to it.
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if self._error is not None and error is None:
            raise self._error

    def close(self) -> None:
        """Stop every worker in good order, by force when that takes too long, and wait for their end."""
        self._ending.set()
        self._thread.join()
        self._agent.close()
        self._checkers.shutdown(wait=False, cancel_futures=True)

    @property
    def tasks(self) -> Tasks:
        """What there is now."""
        with self._changed:
            return Tasks(tuple(self._tasks))

    @property
    def runs(self) -> bool:
        """Whether it still follows the service."""
        return self._thread.is_alive()

    def is_protected(self, task: LocalTask) -> bool:
        """Whether the task holds its protection."""
        return self._agent.is_protected(task.arn)

    def wait_until(self, seen: Callable[[Tasks], bool], *, timeout_seconds: float = 90.0) -> Tasks:
        """Wait until the tasks are so.

        Raises:
            FleetTimeoutError: they were not in time, or the supervisor has failed.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while True:
                tasks = Tasks(tuple(self._tasks))
                if seen(tasks):
                    return tasks
                if self._error is not None or time.monotonic() >= deadline:
                    states = ", ".join(f"{task.number}: {task.state} {task.health}" for task in tasks.all)
                    raise FleetTimeoutError(f"the fleet has {states or 'no tasks'}") from self._error
                self._changed.wait(self._timing.poll)

    def wait_for_steps(self, count: int, *, timeout_seconds: float = 90.0) -> None:
        """Wait until it has looked at the service so many times more.

        Raises:
            FleetTimeoutError: it did not in time.
        """
        last = self._steps + count
        self.wait_until(lambda _: self._steps > last, timeout_seconds=timeout_seconds)

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._step()
                self._ending.wait(self._timing.poll)
        except Exception as error:  # noqa: BLE001 - told to whoever waits, and raised at the end of the block
            self._error = error
        finally:
            self._stop_all()

    def _step(self) -> None:
        service = self._describe_service()
        at = time.monotonic()
        for task in list(self._tasks):
            self._look_at(task, at)
        wanted = self._wish(service)
        views = [task.view(protected=self._agent.is_protected(task.arn)) for task in self._tasks]
        plan = plan_tasks(wanted, views)
        for number, reason in plan.stop:
            self._stop(self._find(number), "ServiceSchedulerInitiated", reason, at)
        if at >= self._start_not_before:
            for _ in range(plan.start):
                self._start(wanted.definition, at)
        self._follow_deployment(wanted, at)
        if at - self._measured_at >= self._timing.metrics_period:
            running = [task for task in self._tasks if task.state is TaskState.RUNNING]
            self._meter.measure(running, desired=wanted.desired, seconds=at - self._measured_at)
            self._measured_at = at
        with self._changed:
            self._steps += 1
            self._changed.notify_all()

    def _describe_service(self) -> dict[str, Any]:
        answer = self._ecs.describe_services(cluster=self._deployment.cluster, services=[self._deployment.service])
        service: dict[str, Any] = answer["services"][0]
        return service

    def _wish(self, service: Mapping[str, Any]) -> Wanted:
        configuration = service.get("deploymentConfiguration", {})
        definition = service["taskDefinition"]
        if definition != self._rolling:
            self._rolling, self._failures = definition, 0
            if self._good is not None and definition != self._good:
                self._tell_deployment("SERVICE_DEPLOYMENT_IN_PROGRESS", "INFO", "ECS deployment in progress.")
        return Wanted(
            desired=int(service["desiredCount"]),
            definition=definition,
            minimum_percent=int(configuration.get("minimumHealthyPercent", 100)),
            maximum_percent=int(configuration.get("maximumPercent", 200)),
        )

    def _follow_deployment(self, wanted: Wanted, at: float) -> None:
        if wanted.definition == self._good:
            return
        views = [task.view(protected=False) for task in self._tasks]
        if wanted.desired > 0 and is_complete(wanted, views):
            self._good, self._failures = wanted.definition, 0
            self._tell_deployment("SERVICE_DEPLOYMENT_COMPLETED", "INFO", "ECS deployment completed.")
        elif self._good is not None and self._failures >= breaker_threshold(wanted.desired):
            self._tell_deployment(
                "SERVICE_DEPLOYMENT_FAILED", "ERROR", "ECS deployment circuit breaker: tasks failed to start."
            )
            self._ecs.update_service(
                cluster=self._deployment.cluster, service=self._deployment.service, taskDefinition=self._good
            )
            self._start_not_before = at

    def _look_at(self, task: LocalTask, at: float) -> None:
        if not task.process.is_running:
            self._record_end(task, at)
        elif task.state is TaskState.STOPPING:
            if task.stop_by is not None and at >= task.stop_by:
                task.process.kill()
        elif task.check is None:
            if at - task.checked_at >= self._timing.health_interval or task.state is TaskState.PENDING:
                task.checked_at = at
                task.check = self._checkers.submit(
                    ask_health, task.process.health_port, timeout_seconds=self._timing.health_timeout
                )
        elif task.check.done():
            answer, task.check = task.check.result(), None
            self._judge(task, answer, at)

    def _judge(self, task: LocalTask, answer: HealthAnswer, at: float) -> None:
        if answer.healthy:
            task.failed_checks, task.bytes_moved = 0, answer.bytes_moved
            if task.state is TaskState.PENDING:
                self._failures, self._start_not_before = 0, 0.0
                task.state, task.health, task.was_healthy = TaskState.RUNNING, HEALTHY, True
                self._events.tell_task(task)
            task.health = HEALTHY
            return
        if task.state is TaskState.PENDING and at - task.started_at < self._timing.health_grace:
            return
        task.failed_checks += 1
        if task.failed_checks >= self._timing.unhealthy_after_checks or task.state is TaskState.PENDING:
            task.health = UNHEALTHY
            self._stop(task, "ServiceSchedulerInitiated", "Task failed container health checks", at)

    def _start(self, definition_arn: str, at: float) -> None:
        definition = self._define(definition_arn)
        arn = make_task_arn(self._deployment.cluster)
        self._started += 1
        number, agent_uri = self._started, self._agent.register(arn)
        process = make_process(
            definition,
            profile=self._cloud.variables("worker"),
            agent_uri=agent_uri,
            overrides=self._variables,
            settings={**self._stop_settings(definition), **self._settings},
            log=self._folder / f"task-{number}.log",
        )
        process.start()
        task = LocalTask(number, definition, process, arn, agent_uri, started_at=at)
        with self._changed:
            self._tasks.append(task)
        self._events.tell_task(task)

    def _stop_settings(self, definition: TaskDefinition) -> dict[str, Any]:
        known = definition.variables.get("PQTRANSFER_STOP_TIMEOUT_SECONDS")
        if self._timing.stop_timeout is not None:
            return {"stop_timeout_seconds": max(5, int(self._timing.stop_timeout))}
        return {} if known is None else {"stop_timeout_seconds": int(known)}

    def _stop(self, task: LocalTask, code: str, reason: str, at: float) -> None:
        if task.state in (TaskState.STOPPING, TaskState.STOPPED):
            return
        task.state, task.stop_code, task.stopped_reason = TaskState.STOPPING, code, reason
        patience = self._timing.stop_timeout
        task.stop_by = at + (task.definition.stop_timeout_seconds if patience is None else patience)
        task.process.terminate()
        self._events.tell_task(task)

    def _record_end(self, task: LocalTask, at: float) -> None:
        if task.state is not TaskState.STOPPING:
            task.stop_code, task.stopped_reason = "EssentialContainerExited", "Essential container in task exited"
        if not task.was_healthy and task.stopped_reason not in (SCALE_IN, DEPLOYMENT):
            self._failures += 1
            wait = min(LONGEST_RESTART_WAIT_SECONDS, 0.5 * 2.0 ** min(self._failures, 10))
            self._start_not_before = at + (0.0 if self._good not in (None, task.definition.arn) else wait)
        task.state = TaskState.STOPPED
        self._agent.forget(task.arn)
        with self._changed:
            self._tasks.remove(task)
        self._events.tell_task(task)

    def _stop_all(self) -> None:
        at = time.monotonic()
        for task in self._tasks:
            if task.process.is_running:
                self._stop(task, "ServiceSchedulerInitiated", "The supervisor ends", at)
        for task in list(self._tasks):
            patience = max(0.1, (task.stop_by or at) - time.monotonic())
            task.process.stop(timeout_seconds=patience)
            task.state = TaskState.STOPPED
            self._agent.forget(task.arn)
        with self._changed:
            self._tasks.clear()
            self._changed.notify_all()

    def _find(self, number: int) -> LocalTask:
        return next(task for task in self._tasks if task.number == number)

    def _define(self, arn: str) -> TaskDefinition:
        if arn not in self._definitions:
            self._definitions[arn] = TaskDefinition.from_answer(self._ecs.describe_task_definition(taskDefinition=arn))
        return self._definitions[arn]

    def _tell_deployment(self, name: str, kind: str, reason: str) -> None:
        self._events.tell_deployment(name, kind, reason, definition=self._rolling or "")
