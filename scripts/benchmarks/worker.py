"""One large model through a worker process: how long, how much memory, and what a kill in the middle costs.

The control plane is the embedded cloud; the data bucket, with the source in it too, is SeaweedFS. The worker is the
real process with its own settings, but for the lease: that is short, so that a killed worker's transfer is soon free.
"""

import configparser
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pqtransfer.crypto.geometry import plan_payload
from pqtransfer.errors import UnavailableError
from pqtransfer.sdk.client import Client
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.transfers.ledger import FINAL_STATES, TransferRecord, TransferState
from pqtransfer.transfers.parts import count_parts_in_flight
from scripts.benchmarks.counting_proxy import CountingProxy
from scripts.benchmarks.object_store import REGION, ObjectStore
from scripts.benchmarks.process_costs import read_cpu_seconds, read_peak_rss_bytes
from scripts.benchmarks.source import remove_prefix, upload_source
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn
from scripts.worker_process import WorkerProcess

PARTICIPANT = "bench-site"
DATA_PROFILE = "bench-data"
SOURCE_KEY = "sources/model"
LEASE_SECONDS = 6
POLL_SECONDS = 0.2


class TransferNotDoneError(UnavailableError):
    """The worker did not complete the transfer."""

    def __init__(self, record: TransferRecord) -> None:
        reason = record.failure.message if record.failure else "no reason is recorded"
        super().__init__(f"transfer {record.transfer_id} is {record.state}: {reason}")


@dataclass(frozen=True)
class WorkerRun:
    """What one transfer took."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class ResumedRun:
    """What a transfer sent that lost its worker when half of it was done."""

    parts_total: int
    parts_done_at_kill: int
    parts_begun: tuple[int, ...]
    parts_in_flight: int

    @property
    def parts_sent_again(self) -> int:
        """How often a part was begun that had been begun before."""
        return len(self.parts_begun) - len(set(self.parts_begun))


@dataclass(frozen=True)
class WorkerBench:
    """A deployed control plane with a participant, and the data bucket on the object store."""

    cloud: EmbeddedCloud
    deployment: Deployment
    store: ObjectStore
    folder: Path

    def transfer(self, size_bytes: int) -> WorkerRun:
        """Send a model of this size through one worker; nothing of it remains.

        Raises:
            TransferNotDoneError: it failed.
        """
        with self._source(size_bytes), self._worker(self.store.endpoint_url) as worker:
            began, cpu_before = time.monotonic(), read_cpu_seconds(worker.pid)
            self._wait(self._submit())
            return WorkerRun(
                wall_seconds=time.monotonic() - began,
                cpu_seconds=read_cpu_seconds(worker.pid) - cpu_before,
                peak_rss_bytes=read_peak_rss_bytes(worker.pid),
            )

    def kill_and_resume(self, size_bytes: int) -> ResumedRun:
        """Kill the worker (SIGKILL) when half of the parts are done, and let another one finish.

        Every UploadPart that either of them begins is counted, by a proxy before the store.

        Raises:
            TransferNotDoneError: it failed.
        """
        geometry = plan_payload(size_bytes)
        with self._source(size_bytes), CountingProxy(self.store.port) as proxy:
            with self._worker(proxy.endpoint_url) as first:
                transfer_id = self._submit()
                record = self._wait(transfer_id, until=lambda found: _is_half_done(found, geometry.part_count))
                first.kill()
            with self._worker(proxy.endpoint_url):
                self._wait(transfer_id)
            return ResumedRun(
                parts_total=geometry.part_count,
                parts_done_at_kill=record.progress.parts_done,
                parts_begun=tuple(proxy.part_numbers),
                parts_in_flight=count_parts_in_flight(geometry.part_size_bytes),
            )

    @contextmanager
    def _source(self, size_bytes: int) -> Iterator[None]:
        """The model in the data bucket; it and its containers are removed at the end."""
        client = self.store.client()
        upload_source(client, bucket=self.deployment.data_bucket, key=SOURCE_KEY, size_bytes=size_bytes)
        try:
            yield
        finally:
            remove_prefix(client, bucket=self.deployment.data_bucket, prefix="")

    @contextmanager
    def _worker(self, endpoint_url: str) -> Iterator[WorkerProcess]:
        worker = WorkerProcess(
            self.deployment,
            variables=self.cloud.variables("worker"),
            log=self.folder / "worker.log",
            settings={
                "data_endpoint_url": endpoint_url,
                "data_profile": DATA_PROFILE,
                "lease_seconds": LEASE_SECONDS,
                "long_poll_seconds": 1,
            },
        )
        with worker:
            worker.wait_until_ready()
            yield worker

    def _submit(self) -> str:
        client = self._client()
        source = f"s3://{self.deployment.data_bucket}/{SOURCE_KEY}"
        return client.send(source, sender=client.managed_holder(PARTICIPANT), recipients=[PARTICIPANT]).transfer_id

    def _wait(
        self, transfer_id: str, *, until: Callable[[TransferRecord], bool] = lambda found: found.state in FINAL_STATES
    ) -> TransferRecord:
        client = self._client()
        while not until(record := client.status(transfer_id)):
            if record.state in FINAL_STATES:
                break
            time.sleep(POLL_SECONDS)
        if record.state in FINAL_STATES and record.state is not TransferState.COMPLETED:
            raise TransferNotDoneError(record)
        return record

    def _client(self) -> Client:
        return Client.connect(self.deployment, profile="submitter", state_directory=self.folder / "state")


@contextmanager
def run_worker_bench(folder: Path, store: ObjectStore) -> Iterator[WorkerBench]:
    """Start and deploy the embedded cloud in `folder`, with its data bucket on `store`; stop it at the end."""
    with EmbeddedCloud(folder / "cloud") as cloud:
        deployment = cloud.deploy()
        store.client().create_bucket(Bucket=deployment.data_bucket)
        _add_data_profile(cloud, store)
        with use_profiles(cloud):
            _add_participant(cloud, deployment)
            yield WorkerBench(cloud, deployment, store, folder)


def _add_data_profile(cloud: EmbeddedCloud, store: ObjectStore) -> None:
    """The worker's credentials for the data bucket alone, beside those of its role."""
    credentials = configparser.ConfigParser()
    credentials.read(cloud.profiles.credentials, encoding="utf-8")
    credentials[DATA_PROFILE] = {
        "aws_access_key_id": store.access_key_id,
        "aws_secret_access_key": store.secret_access_key,
        "region": REGION,
    }
    with cloud.profiles.credentials.open("w", encoding="utf-8") as file:
        credentials.write(file)


def _add_participant(cloud: EmbeddedCloud, deployment: Deployment) -> None:
    command = ["participants", "add", PARTICIPANT, "--managed", "--principal", role_arn("submitter")]
    command += ["--bucket", deployment.data_bucket]  # the model lies there too
    subprocess.run(
        [str(Path(sys.executable).parent / "pqtransfer"), *command],
        env={**cloud.variables("operator"), "PQTRANSFER_DEPLOYMENT": str(cloud.deployment_file)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


@contextmanager
def use_profiles(cloud: EmbeddedCloud) -> Iterator[None]:
    """Let this process use the profiles of the cloud, which boto3 looks for in the environment."""
    names = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: cloud.variables()[name] for name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _is_half_done(record: TransferRecord, part_count: int) -> bool:
    return record.progress.parts_done * 2 >= part_count
