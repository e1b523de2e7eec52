"""Start a worker: read the settings, connect to AWS, serve health, take transfers until SIGTERM.

Run it with `python -m transfer_worker.main`. Exit code 0 after a clean stop, 2 when settings are missing.
"""

import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import FrameType

from aws_lambda_powertools import Logger

from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.checkpoints import DynamoCheckpointStore, KmsDataKeySealer
from pqtransfer.aws.clients import (
    WAITING_READ_TIMEOUT_SECONDS,
    Session,
    client_config,
    make_session,
    prompt_client_config,
)
from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.aws.embedded_metrics import EmbeddedMetrics
from pqtransfer.aws.folder import S3Connection, S3Folder
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.queue import TransferQueue
from pqtransfer.aws.task_protection import TaskProtection
from pqtransfer.aws.vault import RoleKeyReader
from pqtransfer.environment import load_settings
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.registry import find_signing_key
from pqtransfer.operations.metrics import WORKER_SERVICE
from pqtransfer.protection.reserving import KeyReservations
from pqtransfer.transfers.observing import JobObserver
from pqtransfer.transfers.request import TransferRequest
from pqtransfer.transfers.signed_request import read_signed_request
from transfer_worker.addresses import find_own_address
from transfer_worker.health import Health, HealthServer
from transfer_worker.loop import Worker
from transfer_worker.measuring import Measuring, MeasuringObserver
from transfer_worker.pipeline import TransferPipeline
from transfer_worker.resources import find_limits, read_use
from transfer_worker.sampling import Sampler, SamplingRules
from transfer_worker.settings import WorkerSettings
from transfer_worker.shutdown import Shutdown

POLLING_ATTEMPTS = 2
"""A long poll that fails is tried once more at once; the loop itself does the rest, and stays healthy."""

LEAST_PROMPT_SECONDS = 8.0
"""A store under load needs a second or two for an answer, however short the lease is."""
SPOOL_FOLDER = "workers"

logger = Logger(service="transfer-worker")


@dataclass(frozen=True)
class S3Storage:
    """The data bucket with its own endpoint and credentials, and the buckets of sites."""

    data_bucket: str
    data: S3Connection
    sites: S3Connection

    def container(self, prefix: str) -> S3Folder:
        return S3Folder(self.data, bucket=self.data_bucket, prefix=prefix)

    def site(self, bucket: str) -> S3Folder:
        # A model to encrypt may stand in the data bucket too, and that is where the data connection says.
        return S3Folder(self.data if bucket == self.data_bucket else self.sites, bucket=bucket)


def build_worker(settings: WorkerSettings, session: Session, *, name: str, shutdown: Shutdown) -> Worker:
    """A worker on AWS, acting with the session's credentials."""
    config = client_config()
    measuring = Measuring(monotonic=time.monotonic)
    ledger = DynamoTransferLedger.open(session, settings.transfers_table)
    prompt_seconds = max(LEAST_PROMPT_SECONDS, settings.lease_seconds * 2 / 3)
    prompt_ledger = DynamoTransferLedger.open(session, settings.transfers_table, within_seconds=prompt_seconds)
    polling_config = client_config(attempts=POLLING_ATTEMPTS, read_timeout_seconds=WAITING_READ_TIMEOUT_SECONDS)
    checkpoints = session.resource("dynamodb", config=config).Table(settings.checkpoints_table)
    registry = DynamoKeyRegistry(session.client("dynamodb", config=config), table_name=settings.participants_table)
    sites = S3Connection.open(session)
    data = sites
    if settings.data_endpoint_url or settings.data_profile:
        data_session = make_session(profile=settings.data_profile, region=session.region_name)
        data = S3Connection.open(data_session, endpoint_url=settings.data_endpoint_url)
    trail = connect_audit_trail(
        session,
        queue_url=settings.audit_queue_url,
        service="transfer-worker",
        # Beside those of sites: their events may come by their own queue only.
        spool_directory=settings.audit_spool / SPOOL_FOLDER if settings.audit_spool else None,
        source_address=find_own_address(),
    )
    pipeline = TransferPipeline(
        storage=S3Storage(settings.data_bucket, data, sites),
        ledger=ledger,
        registry=registry,
        key_reader=RoleKeyReader(session.client("sts", config=config)),
        minimum_suite_id=settings.minimum_suite,
        worker_name=name,
        reservations=KeyReservations(
            registry=registry,
            index=DynamoDependencyIndex.open(session, settings.envelopes_table),
            minimum_suite_id=settings.minimum_suite,
        ),
        trail=trail,
        now=read_clock,
        observe=partial(_measure_before, measuring),
    )

    def read_request(message: str) -> TransferRequest:
        return read_signed_request(message, find_signing_key=partial(find_signing_key, registry=registry))

    return Worker(
        name=name,
        settings=settings,
        read_request=read_request,
        queue=TransferQueue(
            session.client("sqs", config=polling_config),
            prompt_client=session.client("sqs", config=prompt_client_config(within_seconds=prompt_seconds)),
            queue_url=settings.queue_url,
            dead_letter_queue_url=settings.dead_letter_queue_url,
        ),
        ledger=ledger,
        prompt_ledger=prompt_ledger,
        checkpoints=DynamoCheckpointStore(checkpoints),
        sealer=KmsDataKeySealer(session.client("kms", config=config), key_id=settings.checkpoint_key_arn),
        pipeline=pipeline,
        trail=trail,
        protection=TaskProtection(os.environ.get("ECS_AGENT_URI")),
        shutdown=shutdown,
        health=Health(worker_name=name, monotonic=time.monotonic),
        measuring=measuring,
        sampler=make_sampler(settings, measuring, name=name),
        now=read_clock,
        monotonic=time.monotonic,
    )


def make_sampler(settings: WorkerSettings, measuring: Measuring, *, name: str) -> Sampler:
    """What publishes the worker's metrics."""
    return Sampler(
        measuring,
        publish=EmbeddedMetrics(environment=settings.environment, service=WORKER_SERVICE),
        worker_name=name,
        rules=SamplingRules(
            busy_seconds=settings.busy_sample_seconds,
            idle_seconds=settings.idle_sample_seconds,
            slow_under_bytes_per_second=settings.slow_under_bytes_per_second,
            slow_after_seconds=settings.slow_after_seconds,
        ),
        limits=find_limits(memory_bytes=settings.memory_limit_bytes, cpus=settings.cpu_limit),
        read_use=read_use,
        monotonic=time.monotonic,
    )


def _measure_before(measuring: Measuring, recorder: JobObserver) -> JobObserver:
    return MeasuringObserver(measuring, monotonic=time.monotonic, then=recorder)


def read_clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def main() -> int:
    """Run one worker until it is told to stop."""
    try:
        settings = load_settings(WorkerSettings)
        shutdown = Shutdown(stop_timeout_seconds=settings.stop_timeout_seconds, monotonic=time.monotonic)
        name = f"{socket.gethostname()}-{os.getpid()}"
        worker = build_worker(settings, make_session(), name=name, shutdown=shutdown)
        health_server = HealthServer(worker.health, host=settings.health_host, port=settings.health_port)
    except PqtransferError as error:
        logger.error("the worker cannot start", extra={"code": error.code, "reason": str(error)})
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the operator at the terminal reads it there
        return error.exit_code

    def stop(_signal_number: int, _frame: FrameType | None) -> None:
        worker.health.draining()
        shutdown.request()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with health_server, worker.sampler:
        logger.info("the worker is up", extra={"worker": name, "health_port": health_server.port})
        try:
            worker.run()
        except PqtransferError as error:
            logger.error("the worker cannot go on", extra={"code": error.code, "reason": str(error)})
            return error.exit_code
    logger.info("the worker has stopped", extra={"worker": name})
    return 0


if __name__ == "__main__":
    sys.exit(main())
