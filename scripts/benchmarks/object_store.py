"""SeaweedFS on loopback in a folder of its own: the S3 store that every contender works against."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pqtransfer.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOST = "127.0.0.1"
REGION = "us-east-1"
BUCKET = "bench"
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.1
_PORT_FLAGS = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port")


class ObjectStoreError(UnavailableError):
    """SeaweedFS did not come up."""


@dataclass(frozen=True)
class ObjectStore:
    """A running store: where it answers, and the keys it accepts."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    bucket: str = BUCKET
    process_id: int = 0

    def variables(self) -> dict[str, str]:
        """The AWS settings of a process that is to use this store and nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @property
    def port(self) -> int:
        """The port of its endpoint."""
        return int(self.endpoint_url.rpartition(":")[2])

    def client(self) -> "S3Client":
        """A client with the store's keys."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 2}, connect_timeout=2),
        )


@contextmanager
def run_object_store(folder: Path) -> Iterator[ObjectStore]:
    """Start SeaweedFS with its data and log in `folder`; stop it at the end.

    Raises:
        ObjectStoreError: it did not answer in time.
    """
    data, logs = folder / "data", folder / "logs"
    data.mkdir(parents=True)
    logs.mkdir()
    # It moves to another port when one is taken; random keys make sure that what answers is what was started here.
    ports = _free_ports(2 * len(_PORT_FLAGS))
    flags = []
    for index, flag in enumerate(_PORT_FLAGS):
        flags += [f"-{flag}={ports[2 * index]}", f"-{flag}.grpc={ports[2 * index + 1]}"]
    store = ObjectStore(
        endpoint_url=f"http://{HOST}:{ports[2 * _PORT_FLAGS.index('s3.port')]}",
        access_key_id=secrets.token_hex(8),
        secret_access_key=secrets.token_hex(20),
    )
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "weed"),
                f"-logdir={logs}",
                "mini",
                f"-dir={data}",
                f"-ip={HOST}",
                f"-ip.bind={HOST}",
                *flags,
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-webdav=false",
                "-admin.ui=false",
                "-master.telemetry=false",
                "-master.volumeSizeLimitMB=1024",
                f"-bucket={BUCKET}",
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **store.variables()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(process, store, folder / "weed.log")
            yield replace(store, process_id=process.pid)
        finally:
            _stop(process)


def _wait_until_ready(process: "subprocess.Popen[bytes]", store: ObjectStore, log: Path) -> None:
    client = store.client()
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(BotoCoreError, ClientError):
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"")
            return
        time.sleep(POLL_SECONDS)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise ObjectStoreError(f"SeaweedFS did not answer at {store.endpoint_url}; its log ends with:\n{tail}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
