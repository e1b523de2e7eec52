"""Every metric that pqtransfer publishes: the one place of its name, its unit, and what it means.

Workers and functions publish them as CloudWatch embedded metrics; alarms, the dashboard, the scaling policy and alert
processing read them. Each has the dimensions `environment` and `service`, and some have one more, of few values, by
which X beside the numbers in the same line of the log, where a query finds them.
"""

from dataclasses import dataclass
from enum import StrEnum

NAMESPACE = "pqtransfer"
ENVIRONMENT_DIMENSION = "environment"
SERVICE_DIMENSION = "service"
ERROR_DIMENSION = "error"
"""The code of a named error class (`SourceChanged`)."""

WORKER_SERVICE = "transfer-worker"
"""The `service` of workers. A function's is the name of its folder (`rotate_keys`)."""

VALUES_AT_MOST = 100
"""Of one metric in one line: the embedded format takes no more."""


class Unit(StrEnum):
    """The units of CloudWatch that are in use."""

    COUNT = "Count"
    BYTES = "Bytes"
    MEGABYTES_PER_SECOND = "Megabytes/Second"
    """10^6 bytes, as in "100 MB/s"."""
    MILLISECONDS = "Milliseconds"
    SECONDS = "Seconds"
    PERCENT = "Percent"


@dataclass(frozen=True)
class Metric:
    """One metric. `split_by` names the further dimension by which it is published a second time."""

    name: str
    unit: Unit
    meaning: str
    split_by: str | None = None


# --- transfers, by workers

TRANSFERS_STARTED = Metric("TransfersStarted", Unit.COUNT, "attempts that began")
TRANSFERS_COMPLETED = Metric("TransfersCompleted", Unit.COUNT, "transfers that are COMPLETED")
TRANSFERS_FAILED = Metric("TransfersFailed", Unit.COUNT, "transfers that are FAILED")
TRANSFERS_RETRIED = Metric(
    "TransfersRetried", Unit.COUNT, "attempts that were given back, to be tried again, by cause", ERROR_DIMENSION
)
MESSAGES_REJECTED = Metric("MessagesRejected", Unit.COUNT, "messages that are no request of their sender")
ERRORS = Metric("Errors", Unit.COUNT, "errors, by named class", ERROR_DIMENSION)
BYTES_TRANSFERRED = Metric("BytesTransferred", Unit.BYTES, "bytes of models done since the last sample")
THROUGHPUT = Metric(
    "Throughput", Unit.MEGABYTES_PER_SECOND, "rate of a running transfer, over the last 10 seconds, at each sample"
)
TRANSFER_RATE = Metric(
    "TransferRate", Unit.MEGABYTES_PER_SECOND, "rate of a whole attempt, from its first part to its last"
)
SOURCE_RATE = Metric(
    "SourceRate", Unit.MEGABYTES_PER_SECOND, "rate at which the source could have delivered, as its reads took"
)
SLOW_TRANSFERS = Metric(
    "SlowTransfers",
    Unit.COUNT,
    "running transfers under the threshold whose source could have delivered it (pqtransfer.operations.pace)",
)
PART_LATENCY = Metric("PartLatency", Unit.MILLISECONDS, "time from the first read of a part to its acknowledgement")

# --- key exchange, by workers

KEY_EXCHANGE_TIME = Metric(
    "KeyExchangeTime", Unit.MILLISECONDS, "time to wrap a data key to its recipients, or to unwrap it"
)
KEY_EXCHANGE_FAILURES = Metric(
    "KeyExchangeFailures", Unit.COUNT, "data keys that could not be wrapped or unwrapped: a matter of security"
)

# --- the queue, by the scaling decision

MESSAGES_WAITING = Metric("MessagesWaiting", Unit.COUNT, "requests that no worker has taken")
MESSAGES_IN_FLIGHT = Metric("MessagesInFlight", Unit.COUNT, "requests that workers hold")
BYTES_WAITING = Metric("BytesWaiting", Unit.BYTES, "sizes of the transfers that wait, as far as they are known")
QUEUE_AGE = Metric("QueueAge", Unit.SECONDS, "how long the oldest request has waited")
WORKERS_DESIRED = Metric("WorkersDesired", Unit.COUNT, "workers that were decided on")

# --- resources of one worker

WORKERS_BUSY = Metric("WorkersBusy", Unit.COUNT, "1 while a worker has a transfer, 0 while it has none")
MEMORY_BYTES = Metric("MemoryBytes", Unit.BYTES, "resident memory of a worker")
MEMORY_PERCENT = Metric("MemoryPercent", Unit.PERCENT, "resident memory of a worker, of what its task is given")
CPU_PERCENT = Metric("CpuPercent", Unit.PERCENT, "CPU of a worker since the last sample, of what its task is given")
NETWORK_RECEIVED = Metric("NetworkReceived", Unit.BYTES, "bytes that came over the network since the last sample")
NETWORK_SENT = Metric("NetworkSent", Unit.BYTES, "bytes that went over the network since the last sample")
POOL_SATURATION = Metric(
    "PoolSaturation", Unit.PERCENT, "how many of a worker's part threads had a part, on average since the last sample"
)

# --- functions

FUNCTION_DURATION = Metric("FunctionDuration", Unit.MILLISECONDS, "time of one run of a function")
FUNCTION_FAILURES = Metric("FunctionFailures", Unit.COUNT, "1 for a run that ended in an error, 0 for one that did not")
WORK_DONE = Metric("WorkDone", Unit.COUNT, "what a function is there for: keys rotated, entries appended, ...")

# --- keys, by the drill

KEYS_RESTORED = Metric("KeysRestored", Unit.COUNT, "keys that came back from their backups in a drill")
KEY_RESTORES_FAILED = Metric("KeyRestoresFailed", Unit.COUNT, "keys that did not")
DRILLS_FINISHED = Metric("DrillsFinished", Unit.COUNT, "1 for a drill of all key backups that came to its end")

# --- the audit log, by its check

INTEGRITY_FINDINGS = Metric("IntegrityFindings", Unit.COUNT, "what a check of the audit log found wrong")

# --- alert processing

EVENTS_UNKNOWN = Metric("EventsUnknown", Unit.COUNT, "events that alert processing did not understand")
CLOCK_RUNS = Metric("ClockRuns", Unit.COUNT, "1 for a run of alert processing by the clock that came to its end")

METRICS: tuple[Metric, ...] = tuple(each for each in globals().copy().values() if isinstance(each, Metric))
"""All of them."""


def get_metric(name: str) -> Metric:
    """The metric of this name.

    Raises:
        LookupError: there is none.
    """
    for metric in METRICS:
        if metric.name == name:
            return metric
    raise LookupError(f"{name} is no metric of pqtransfer; add it to pqtransfer/operations/metrics.py")
