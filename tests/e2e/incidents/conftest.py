"""The stage of the tests of lost keys: participants of each test's own in the deployed cloud, and a worker process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.sessions import CloudSession
from scripts.worker_process import WorkerProcess
from tests.e2e.incidents.site import Sites

QUICK = {"long_poll_seconds": 1, "lease_seconds": 6}


@pytest.fixture(scope="session")
def sites(
    cloud: EmbeddedCloud,
    deployment: Deployment,
    act_as: Callable[[str | None], CloudSession],
    tmp_path_factory: pytest.TempPathFactory,
) -> Sites:
    """Registers participants, sends models in their names, and looks behind it."""
    return Sites(cloud, deployment, act_as, tmp_path_factory.mktemp("incidents"))


@pytest.fixture(scope="module")
def worker(
    cloud: EmbeddedCloud, deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """One worker for the tests of a file; no later test is to find its messages taken."""
    log = Path(tmp_path_factory.mktemp("worker")) / "worker.log"
    with WorkerProcess(deployment, variables=cloud.variables("worker"), log=log, settings=QUICK) as started:
        started.wait_until_ready()
        yield started
