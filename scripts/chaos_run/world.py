"""The deployed embedded cloud of a chaos run: participants, models, and a fleet whose every call goes by the proxy."""

import contextlib
import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from uuid6 import uuid7

from pqtransfer.keys.holder import KeyHolder
from pqtransfer.sdk.client import Client
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.transfers.request import TransferRequest
from pqtransfer.transfers.signed_request import sign_request
from scripts.chaos_run.plan import CLOCKS_SECONDS, FaultKind
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn
from scripts.embedded_cloud.supervisor import Supervisor, Timing
from scripts.worker_process import WorkerProcess

SOURCE_BUCKET = "pqtransfer-local-source"
SENDER, RECIPIENT = "chaos-a", "chaos-b"
QUICK = {"long_poll_seconds": 1, "lease_seconds": 6, "buffer_budget_bytes": 64 << 20}
"""So that a takeover takes seconds, where it takes a minute in earnest."""
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
SMALL_DISK_KIB = 512
SLEEP = """import threading, time


def sleep(seconds):
    threading.Event().wait(seconds)


time.sleep = sleep
"""


@dataclass(frozen=True)
class Submitted:
    """A transfer that was submitted, and what must come out."""

    number: int
    transfer_id: str
    size_bytes: int
    sha256: str
    request: TransferRequest


class World:
    """Everything of a run but its plan. `say` tells people what goes on."""

    def __init__(self, cloud: EmbeddedCloud, deployment: Deployment, folder: Path) -> None:
        self.cloud = cloud
        self.deployment = deployment
        self.folder = folder
        self.owner = cloud.session()
        self._clients: dict[str, Client] = {}
        self.extra: dict[FaultKind, WorkerProcess] = {}

    def client(self, role: str) -> Client:
        """The SDK under a role, past the proxy."""
        if role not in self._clients:
            keys = self.cloud.session(role)
            session = boto3.Session(
                aws_access_key_id=keys.aws_access_key_id,
                aws_secret_access_key=keys.aws_secret_access_key,
                aws_session_token=keys.aws_session_token,
                region_name=self.deployment.region,
            )
            self._clients[role] = Client(self.deployment, session, self.folder / "state")
        return self._clients[role]

    @cached_property
    def sender(self) -> KeyHolder:
        """Whoever signs the requests."""
        return self.client("submitter").managed_holder(SENDER)

    def register(self) -> None:
        """Two managed participants, by the operator's command."""
        self.cloud.make_bucket(SOURCE_BUCKET)
        principals = [each for role in ("recipient", "submitter") for each in ("--principal", role_arn(role))]
        for name in (SENDER, RECIPIENT):
            subprocess.run(
                [str(Path(sys.executable).parent / "pqtransfer"), "participants", "add", name, "--managed",
                 *principals, *(["--bucket", SOURCE_BUCKET] if name == SENDER else [])],
                env={**self.cloud.variables("operator"), "PQTRANSFER_DEPLOYMENT": str(self.cloud.deployment_file)},
                check=True, capture_output=True,
            )  # fmt: skip

    def submit(self, number: int, size_bytes: int, *, seed: int) -> Submitted:
        """Put a model into the sender's bucket, and ask for it to be sent."""
        data = random.Random(f"{seed}/{number}").randbytes(size_bytes)
        key = f"chaos/{number}"
        self.owner.client("s3").put_object(Bucket=SOURCE_BUCKET, Key=key, Body=data)
        transfer_id = str(uuid7())
        request = TransferRequest(
            transfer_id=transfer_id,
            kind="encrypt",
            source=f"s3://{SOURCE_BUCKET}/{key}",
            sender=SENDER,
            recipients=(RECIPIENT,),
            correlation_id=transfer_id,
        )
        self.client("submitter").submit(request, signer=self.sender)
        return Submitted(number, transfer_id, size_bytes, hashlib.sha256(data).hexdigest(), request)

    def send_again(self, submitted: Submitted, *, delay_seconds: int) -> None:
        """The same message once more."""
        self.owner.client("sqs").send_message(
            QueueUrl=self.deployment.queue_url,
            MessageBody=sign_request(submitted.request, self.sender.signing_key()),
            DelaySeconds=delay_seconds,
        )

    def receive_sha256(self, transfer_id: str) -> str:
        """Decrypt as the recipient; the SHA-256 of what came."""
        client = self.client("recipient")
        out = self.folder / f"received-{transfer_id}"
        try:
            client.receive(transfer_id, reader=client.managed_holder(RECIPIENT), out=out)
            with out.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        finally:
            out.unlink(missing_ok=True)

    @contextlib.contextmanager
    def fleet(self, endpoint_url: str, *, workers: int) -> Iterator[Supervisor]:
        """So many workers of the service, replaced when they die; beside them those with a fault of their own."""
        ecs = self.owner.client("ecs")
        names = {"cluster": self.deployment.cluster, "service": self.deployment.service}
        (before,) = ecs.describe_services(cluster=names["cluster"], services=[names["service"]])["services"]
        with (
            contextlib.ExitStack() as stack,
            Supervisor(
                self.cloud,
                self.deployment,
                folder=self.folder,
                timing=Timing(stop_timeout=15.0),
                settings=QUICK,
                variables={"AWS_ENDPOINT_URL": endpoint_url},
            ) as fleet,
        ):
            stack.callback(ecs.update_service, **names, desiredCount=before["desiredCount"])
            ecs.update_service(**names, desiredCount=workers)
            for kind, variables in self._list_extra(stack).items():
                worker = WorkerProcess(
                    self.deployment,
                    variables={**self.cloud.variables("worker"), "AWS_ENDPOINT_URL": endpoint_url, **variables},
                    log=self.folder / f"extra-{kind.name.lower()}.log",
                    settings=QUICK,
                )
                self.extra[kind] = stack.enter_context(worker)
            fleet.wait_until(lambda tasks: len(tasks.running) >= 1)
            yield fleet

    def _list_extra(self, stack: contextlib.ExitStack) -> Mapping[FaultKind, dict[str, str]]:
        """Workers with another clock, where libfaketime is; one whose spool is on a small disk, where one can be."""
        extra: dict[FaultKind, dict[str, str]] = {}
        if FAKETIME.exists():
            for kind, seconds in CLOCKS_SECONDS.items():
                extra[kind] = {
                    "PYTHONPATH": str(self._write_sleep()),
                    "LD_PRELOAD": str(FAKETIME),
                    "FAKETIME": f"{seconds:+d}s",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                }
        if self._mount_small_disk():
            stack.callback(subprocess.run, ["umount", str(self.small_disk)], check=True)
            extra[FaultKind.QUEUE_AWAY] = {"PQTRANSFER_AUDIT_SPOOL": str(self.small_disk)}
        return extra

    def _write_sleep(self) -> Path:
        """A folder whose Python sleeps otherwise: libfaketime lets `clock_nanosleep` by the true clock fail."""
        folder = self.folder / "sleep"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(SLEEP, encoding="utf-8")
        return folder

    @property
    def small_disk(self) -> Path:
        """A file system of half a MiB."""
        return self.folder / "small-disk"

    def _mount_small_disk(self) -> bool:
        self.small_disk.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_KIB}k", "tmpfs", str(self.small_disk)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill_disk(self) -> None:
        """Leave no room on it."""
        if FaultKind.QUEUE_AWAY in self.extra:
            with contextlib.suppress(OSError), (self.small_disk / "filler").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    def empty_disk(self) -> None:
        """Give the room back."""
        (self.small_disk / "filler").unlink(missing_ok=True)

    def table_rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table, for looking behind it at the end."""
        paginator = self.owner.client("dynamodb").get_paginator("scan")
        return [row for page in paginator.paginate(TableName=table, ConsistentRead=True) for row in page["Items"]]
