"""One embedded cloud for the whole run, with every stack deployed to it by the unmodified CDK.

Use `deployment` to learn where things are, `act_as` to get clients under a role, and `cloud` for the rest (profiles for
processes, buckets). Where LOCALSTACK_HOST is set, the same tests run against the LocalStack that answers there.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.sessions import CloudSession
from scripts.worker_process import WorkerProcess
from tests.e2e.fleet_service import Service
from tests.e2e.workers import starting_workers

SOURCE_BUCKET = "pqtransfer-local-source"
DESTINATION_BUCKET = "pqtransfer-local-results"

ActAs = Callable[[str | None], CloudSession]


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """An embedded cloud of this run alone, with nothing deployed yet."""
    with EmbeddedCloud(tmp_path_factory.mktemp("cloud")) as started:
        yield started


@pytest.fixture(scope="session")
def deployment(cloud: EmbeddedCloud) -> Deployment:
    """Every stack of the local environment, and the two buckets that belong to the sites."""
    deployed = cloud.deploy()
    for bucket in (SOURCE_BUCKET, DESTINATION_BUCKET):
        cloud.make_bucket(bucket)
    return deployed


@pytest.fixture(scope="session")
def deployment_file(cloud: EmbeddedCloud, deployment: Deployment) -> Path:
    """The file that `--deployment` and PQTRANSFER_DEPLOYMENT take."""
    return cloud.deployment_file


@pytest.fixture(scope="session")
def scaling_held(deployment: Deployment, act_as: ActAs) -> Iterator[None]:
    """From here on, nobody scales the workers but a test that asks for it."""
    with Service(act_as(None), deployment).scaling_held():
        yield


@pytest.fixture
def service(scaling_held: None, deployment: Deployment, act_as: ActAs) -> Iterator[Service]:
    """The service of the workers, of which nothing was decided yet; put back at the end."""
    found = Service(act_as(None), deployment)
    found.forget()
    yield found
    found.restore()


@pytest.fixture(scope="session")
def act_as(cloud: EmbeddedCloud, deployment: Deployment) -> ActAs:
    """Clients under a role: `act_as("worker").client("sqs")`; by its ARN too; the account's owner for None."""
    return cache(cloud.session)


@pytest.fixture(scope="module")
def worker(
    cloud: EmbeddedCloud, deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """One worker for the tests of a file; no later test is to find its messages taken."""
    with starting_workers(cloud, deployment, logs=tmp_path_factory.mktemp("worker")) as start:
        started = start()
        started.wait_until_ready()
        yield started
