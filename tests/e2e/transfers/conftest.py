"""The stage of the tests of transfers: participants in the deployed cloud, a model, and workers as real processes."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.transfers.slow_link import SlowLink
from tests.e2e.transfers.stage import (
    DESTINATION_BUCKET,
    EXTERNAL,
    MANAGED,
    PART_BYTES,
    SENDER,
    SOURCE_BUCKET,
    STRANGER,
    Model,
    Stage,
)
from tests.e2e.workers import StartWorker, starting_workers

FORBIDDEN_BUCKET = "e2e-not-granted"
"""Workers may use it for both managed participants, says the registry; their own role was not granted it."""

BUCKETS = {SENDER: (SOURCE_BUCKET, FORBIDDEN_BUCKET), MANAGED: (DESTINATION_BUCKET, FORBIDDEN_BUCKET)}
"""Each has a bucket that workers may use for it alone."""

MakeLink = Callable[..., SlowLink]


@pytest.fixture(scope="session")
def full_stage(
    cloud: EmbeddedCloud,
    deployment: Deployment,
    act_as: Callable[[str | None], CloudSession],
    tmp_path_factory: pytest.TempPathFactory,
) -> Stage:
    """The deployed cloud with its participants, added by the operator's command line."""
    stage = Stage(cloud, deployment, act_as, tmp_path_factory.mktemp("sites"))
    cloud.make_bucket(FORBIDDEN_BUCKET)
    principals = [each for role in ("recipient", "submitter") for each in ("--principal", role_arn(role))]
    keys = {name: stage.key_folder(name) for name in (EXTERNAL, STRANGER)}
    _run_all(stage, [("keygen", "--out", folder, "--name", name) for name, folder in keys.items()])
    managed = [
        ("participants", "add", name, "--managed", *principals, *(each for it in buckets for each in ("--bucket", it)))
        for name, buckets in BUCKETS.items()
    ]
    external = [("participants", "add", name, "--public-keys", folder) for name, folder in keys.items()]
    _run_all(stage, [*managed, *external])
    return stage


@pytest.fixture
def stage(full_stage: Stage) -> Iterator[Stage]:
    """The stage, with nothing left over from another test."""
    full_stage.clear()
    yield full_stage
    full_stage.clear()


@pytest.fixture(scope="session")
def model_bytes() -> bytes:
    """Four whole parts and a little."""
    return random.Random(20260131).randbytes(4 * PART_BYTES + 12_345)


@pytest.fixture(scope="session")
def model(full_stage: Stage, model_bytes: bytes) -> Model:
    """The model in the sender's bucket. Nobody changes it."""
    return full_stage.put_model("models/model.safetensors", model_bytes)


@pytest.fixture
def start_worker(stage: Stage, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers under the worker's role; stops those that still run when the test ends."""
    with starting_workers(stage.cloud, stage.deployment, logs=tmp_path) as start:
        yield start


@pytest.fixture
def make_link(stage: Stage) -> Iterator[MakeLink]:
    """Makes links to the cloud."""
    links: list[SlowLink] = []

    def make(*, bytes_per_second: float | None = None) -> SlowLink:
        link = SlowLink(stage.cloud.endpoint_url, bytes_per_second=bytes_per_second)
        links.append(link.__enter__())
        return link

    yield make
    for link in links:
        link.__exit__(None, None, None)


def _run_all(stage: Stage, commands: list[tuple[Any, ...]]) -> None:
    """Run commands as the operator, side by side."""
    processes = [stage.start_pqtransfer(*command, role="operator") for command in commands]
    for process in processes:
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
