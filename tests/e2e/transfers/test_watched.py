"""What the deployed cloud's numbers, alarms and alerts say of a real worker, and who is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pqtransfer.audit.events import EventKind, Severity
from pqtransfer.crypto.canonical_json import write_canonical_json
from pqtransfer.crypto.envelope import ENVELOPE_CONTEXT, DamagedEnvelopeError, Envelope
from pqtransfer.crypto.manifest import SignatureBlock
from pqtransfer.operations.alert_records import Member
from pqtransfer.operations.metrics import (
    BYTES_TRANSFERRED,
    CPU_PERCENT,
    FUNCTION_DURATION,
    KEY_EXCHANGE_TIME,
    MEMORY_PERCENT,
    NAMESPACE,
    NETWORK_RECEIVED,
    PART_LATENCY,
    POOL_SATURATION,
    THROUGHPUT,
    TRANSFER_RATE,
    TRANSFERS_COMPLETED,
    TRANSFERS_FAILED,
    WORKER_SERVICE,
    Metric,
)
from scripts.embedded_cloud.metrics_bridge import MetricsBridge
from scripts.worker_process import WorkerProcess
from tests.e2e.inbox import Inbox
from tests.e2e.told_alerts import ToldAlerts, is_told
from tests.e2e.transfers.slow_link import SlowLink
from tests.e2e.transfers.stage import DESTINATION_BUCKET, EXTERNAL, MANAGED, SENDER, Stage, wait_for
from tests.e2e.transfers.traces import wait_for_actions
from tests.e2e.workers import QUICK

pytestmark = pytest.mark.e2e

MEBIBYTE = 1 << 20
ALARM_PREFIX = "pqtransfer-local-"


class Watch:
    """What CloudWatch has, and what the administrators are told."""

    def __init__(self, stage: Stage, bridge: MetricsBridge, inbox: Inbox) -> None:
        self.stage, self.bridge, self.inbox = stage, bridge, inbox
        self._cloudwatch = stage.cloud.session().client("cloudwatch")
        self._alerts = ToldAlerts(stage.cloud.session(), stage.deployment)

    def sum(self, metric: Metric, *, service: str = WORKER_SERVICE, statistic: str = "Sum") -> float | None:
        """Over all of its numbers of the last hours; None when there is none."""
        now = datetime.now(UTC)
        dimensions = {"environment": "local", "service": service}
        answer = self._cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=metric.name,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=now - timedelta(hours=3),
            EndTime=now + timedelta(hours=1),
            Period=86400,
            Statistics=[statistic],
        )
        numbers = [point[statistic] for point in answer["Datapoints"]]
        return sum(numbers) if numbers else None

    def wait_for(self, metric: Metric, at_least: float, *, service: str = WORKER_SERVICE) -> float:
        """Wait until the sum of a metric is that much."""

        def look() -> float | None:
            found = self.sum(metric, service=service)
            return found if found is not None and found >= at_least else None

        return wait_for(f"{metric.name} of {at_least:g}", look)

    def wait_for_alert(self, code: str, **details: str) -> Member:
        """Wait until an alert with these details is open, and the administrators' topic has taken its page."""

        def look() -> Member | None:
            for record in filter(is_told, self._alerts.store.list_open()):
                for member in record.open_members:
                    if member.code == code and details.items() <= dict(member.details).items():
                        return member
            return None

        return wait_for(f"alert {code} with {details}", look)

    def begin(self, kind: str) -> None:
        """From here on the alarm is waited for: it is over, and what was told of it before does not count."""
        self.inbox.forget()
        self._cloudwatch.set_alarm_state(
            AlarmName=f"{ALARM_PREFIX}{kind}", StateValue="OK", StateReason="a test begins"
        )

    def wait_for_alarm(self, kind: str) -> dict[str, Any]:
        """Wait until the administrators are told of it, and with which page."""
        told = self.inbox.wait_for_alarm(f"{ALARM_PREFIX}{kind}")
        assert f"docs/runbooks/{kind}.md" in told["AlarmDescription"]
        return told


@pytest.fixture(scope="module")
def watch(full_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """The bridge that carries numbers over, and an inbox."""
    owner = full_stage.cloud.session()
    inbox = Inbox(owner, full_stage.deployment, name="e2e-watched-inbox")
    with MetricsBridge(owner, environment="local") as bridge:
        yield Watch(full_stage, bridge, inbox)


@pytest.fixture(scope="module")
def link(full_stage: Stage) -> Iterator[SlowLink]:
    """The worker's way to the data bucket: as fast as it is, until a test says otherwise."""
    with SlowLink(full_stage.cloud.endpoint_url) as made:
        yield made


@pytest.fixture(scope="module")
def watched_worker(
    full_stage: Stage, watch: Watch, link: SlowLink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """One worker for these tests, so that none takes the transfer of another.

    Its task is given 64 MiB, which no worker comes along with. Under 1 MB/s instead of 100 a transfer of it is slow, so
    that the source of a busy machine is over it.
    """
    log = tmp_path_factory.mktemp("watched") / "worker.log"
    watch.bridge.follow(log)
    settings = {
        **QUICK,
        "busy_sample_seconds": 0.5,
        "idle_sample_seconds": 0.5,
        "memory_limit_bytes": 64 * MEBIBYTE,
        "slow_under_bytes_per_second": 1e6,
        "slow_after_seconds": 1,
        "data_endpoint_url": link.url,
    }
    variables = full_stage.cloud.variables("worker")
    with WorkerProcess(full_stage.deployment, variables=variables, log=log, settings=settings) as worker:
        worker.wait_until_ready()
        yield worker


@pytest.mark.requirement("D3.1")
def test_cloudwatch_has_what_a_transfer_did(
    stage: Stage, watch: Watch, watched_worker: WorkerProcess, model_bytes: bytes
) -> None:
    """Throughput, latency, key exchange and resources of the worker; how long functions took."""
    model = stage.put_model("models/watched", model_bytes[: 5 * MEBIBYTE])
    record = stage.submit(model, correlation_id="e2e-watched")
    stage.wait_for_completion(record)
    watch.wait_for(TRANSFERS_COMPLETED, 1)
    watch.wait_for(BYTES_TRANSFERRED, model.size_bytes)
    for metric in (TRANSFER_RATE, PART_LATENCY, KEY_EXCHANGE_TIME, MEMORY_PERCENT):
        assert watch.sum(metric), metric.name
    for metric in (THROUGHPUT, CPU_PERCENT, NETWORK_RECEIVED, POOL_SATURATION):
        assert watch.sum(metric) is not None, metric.name
    assert watch.wait_for(FUNCTION_DURATION, 1e-3, service="publish_transfer_events") > 0
    lines = [line for line in watched_worker.read_log() if line.get("correlation_id") == "e2e-watched"]
    logged = [line for line in lines if "_aws" not in line]
    published = [line for line in lines if "_aws" in line]
    assert {(each["transfer_id"], each["participant"]) for each in (*logged, *published)} == {(record, SENDER)}
    assert {"transfer begins", "transfer completed"} <= {each["message"] for each in logged}


@pytest.mark.requirement("D3.3")
@pytest.mark.fires("memory-high")
def test_memory_over_80_percent_is_told(watch: Watch, watched_worker: WorkerProcess) -> None:
    """The worker's real memory, of what its task is given; the deployed alarm; the administrators."""
    watch.begin("memory-high")
    told = watch.wait_for_alarm("memory-high")
    assert told["Trigger"]["Threshold"] == 80
    peak = watch.sum(MEMORY_PERCENT, statistic="Maximum")
    assert peak is not None
    assert peak > 80


@pytest.mark.requirement("D3.2")
@pytest.mark.fires("transfer-slow")
def test_a_transfer_under_the_threshold_is_told(
    stage: Stage, watch: Watch, watched_worker: WorkerProcess, link: SlowLink, model_bytes: bytes
) -> None:
    """Its source gives megabytes a second, the way to the data bucket takes a tenth: the alarm, the administrators."""
    model = stage.put_model("models/slow", model_bytes[: 8 * MEBIBYTE])
    watch.begin("transfer-slow")
    link.pace(bytes_per_second=100_000)
    try:
        transfer_id = stage.submit(model)
        watch.wait_for_alarm("transfer-slow")
    finally:
        link.pace(bytes_per_second=None)
    stage.wait_for_completion(transfer_id)


@pytest.mark.requirement("D3.4", "S4.4")
@pytest.mark.fires("key-exchange-failed")
def test_a_failed_key_exchange_is_on_record_and_told_at_once(
    stage: Stage, watch: Watch, watched_worker: WorkerProcess, model_bytes: bytes
) -> None:
    """In a worker and in a client: a security event in the log, an alert to the administrators, and the alarm."""
    model = stage.put_model("models/exchanged", model_bytes[:MEBIBYTE])
    transfer_id = stage.submit(model)
    stage.wait_for_completion(transfer_id)
    spoil_stanzas(stage, transfer_id)
    watch.begin("key-exchange-failed")

    location = f"s3://{stage.deployment.data_bucket}/transfers/{transfer_id}/"
    request = stage.request(
        location, kind="decrypt", sender=MANAGED, recipients=(MANAGED,), destination=f"s3://{DESTINATION_BUCKET}/out"
    )
    stage.submit_request(request)
    record = stage.wait_for_end(request.transfer_id)
    assert record.failure is not None
    assert record.failure.code == "DamagedEnvelope"
    events = wait_for_actions(stage, request.correlation_id, {"key-exchange.fail", "transfer.fail"})
    (event,) = [each for each in events if each.action == "key-exchange.fail"]
    assert (event.kind, event.severity, event.actor) == (EventKind.SECURITY, Severity.HIGH, MANAGED)
    alert = watch.wait_for_alert("key-exchange-failed", event=event.event_id)
    assert (alert.severity, alert.details["code"]) == ("high", "DamagedEnvelope")
    watch.wait_for(TRANSFERS_FAILED, 1)
    watch.wait_for_alarm("key-exchange-failed")

    with pytest.raises(DamagedEnvelopeError):
        stage.receive_sha256(transfer_id, reader=EXTERNAL)
    watch.wait_for_alert("key-exchange-failed", correlation_id=f"e2e-{transfer_id}")


def spoil_stanzas(stage: Stage, transfer_id: str) -> None:
    """Somebody with the sender's signing key changes one bit of each encapsulation, and signs again."""
    envelope = Envelope.from_json(stage.objects(transfer_id)["envelope.json"])
    stanzas = tuple(
        each.model_copy(update={"enc": bytes([each.enc[0] ^ 1]) + each.enc[1:]}) for each in envelope.body.stanzas
    )
    body = envelope.body.model_copy(update={"stanzas": stanzas})
    key = stage.holder(SENDER, role="submitter").signing_key()
    signature = key.sign(write_canonical_json(body), context=ENVELOPE_CONTEXT)
    spoiled = Envelope(body=body, signed=SignatureBlock(public_key=key.public_key.raw, signature=signature))
    stage.owner_s3.put_object(
        Bucket=stage.deployment.data_bucket, Key=f"transfers/{transfer_id}/envelope.json", Body=spoiled.to_json()
    )
