"""Workers as real processes, for the tests of every part: quick to see what happens, and stopped in good order."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.worker_process import WorkerProcess

QUICK = {"long_poll_seconds": 1, "lease_seconds": 6}
"""So that a test does not wait long for what takes a minute in earnest."""

StartWorker = Callable[..., WorkerProcess]


@contextmanager
def starting_workers(cloud: EmbeddedCloud, deployment: Deployment, *, logs: Path) -> Iterator[StartWorker]:
    """Starts workers under the worker's role; stops those that still run at the end.

    In good order: the embedded queue would hand a message to the long poll of a worker that was killed.
    """
    started: list[WorkerProcess] = []

    def start(*, variables: Mapping[str, str] | None = None, **settings: Any) -> WorkerProcess:
        worker = WorkerProcess(
            deployment,
            variables=variables or cloud.variables("worker"),
            log=logs / f"worker-{len(started)}.log",
            settings={**QUICK, **settings},
        )
        worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.terminate()
    for worker in started:
        worker.stop()
