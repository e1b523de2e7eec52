"""Makes metrics of the embedded ones in logs, as CloudWatch Logs does in AWS and the emulator does not.

    with MetricsBridge(cloud.session(), environment="local") as bridge:
        bridge.follow(folder / "worker.log")
        ...                # the alarms of the deployed cloud have real numbers

It follows the logs of all functions by itself, and those of workers that it is told of.
"""

import json
import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from scripts.embedded_cloud.sessions import CloudSession

EVERY_SECONDS = 1.0
DATA_AT_MOST = 500
"""Of one call; CloudWatch takes 1000 metrics."""
LINE_BYTES_AT_MOST = 1 << 20

logger = logging.getLogger(__name__)

Datum = dict[str, Any]


class MetricsBridge:
    """Follows logs from `with` to the end of the block; what is there by then is published."""

    def __init__(self, session: CloudSession, *, environment: str) -> None:
        self._cloudwatch = session.client("cloudwatch")
        self._logs = session.client("logs")
        self._prefix = f"/pqtransfer/{environment}/functions/"
        self._files: dict[Path, int] = {}
        self._folders: set[Path] = set()
        self._since_ms: dict[str, int] = {}
        self._seen: dict[str, set[tuple[str, int, str]]] = defaultdict(set)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-bridge", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._pump_or_log()

    def follow(self, log: Path) -> None:
        """Follow a worker's output too, from its beginning. It need not be there yet."""
        with self._lock:
            self._files.setdefault(log, 0)

    def follow_folder(self, folder: Path) -> None:
        """Follow every log that is, or comes, in a folder."""
        with self._lock:
            self._folders.add(folder)

    def pump(self) -> int:
        """Publish what came since the last time; how many numbers that were."""
        with self._lock:
            lines = [*self._read_files(), *self._read_groups()]
            by_namespace = defaultdict[str, list[Datum]](list)
            for line in lines:
                for namespace, datum in read_embedded(line):
                    by_namespace[namespace].append(datum)
            for namespace, data in by_namespace.items():
                for first in range(0, len(data), DATA_AT_MOST):
                    self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=data[first : first + DATA_AT_MOST])
        return sum(map(len, by_namespace.values()))

    def _run(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._pump_or_log()

    def _pump_or_log(self) -> None:
        try:
            self.pump()
        except (BotoCoreError, ClientError, OSError) as error:  # the cloud may be stopped before its bridge
            logger.warning("no metrics were carried over: %s", error)

    def _read_files(self) -> Iterator[str]:
        for log in (log for folder in self._folders for log in sorted(folder.rglob("*.log"))):
            self._files.setdefault(log, 0)
        for path, position in self._files.items():
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(position)
                for line in file:
                    if not line.endswith(b"\n"):  # it is being written
                        break
                    self._files[path] += len(line)
                    yield line.decode("utf-8", "replace")

    def _read_groups(self) -> Iterator[str]:
        groups = self._logs.describe_log_groups(logGroupNamePrefix=self._prefix)["logGroups"]
        for name in (group["logGroupName"] for group in groups):
            for event in self._read_events(name):
                yield str(event["message"])

    def _read_events(self, group: str) -> Iterator[dict[str, Any]]:
        """What came since the last look; of the last millisecond, only what was not seen then."""
        since, seen = self._since_ms.get(group, 0), self._seen[group]
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
        for event in sorted((each for page in pages for each in page["events"]), key=lambda each: each["timestamp"]):
            # The emulator gives events no id; the stream is that of one run.
            known = (event.get("logStreamName", ""), event["timestamp"], event["message"])
            if known in seen:
                continue
            if event["timestamp"] > self._since_ms.get(group, 0):
                self._since_ms[group] = event["timestamp"]
                seen.clear()
            seen.add(known)
            yield event


def read_embedded(line: str) -> Iterator[tuple[str, Datum]]:
    """Namespace and datum of each embedded metric in a line of a log, once for each set of dimensions.

    A line that holds none gives none; so does one that is not as the format says.
    """
    if '"CloudWatchMetrics"' not in line or len(line) > LINE_BYTES_AT_MOST:
        return
    try:
        document = json.loads(line)
        data = list(_read_directives(document))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        logger.warning("a line looks like embedded metrics, and is none: %.200s", line)
        return
    yield from data


def _read_directives(document: dict[str, Any]) -> Iterator[tuple[str, Datum]]:
    at = datetime.fromtimestamp(document["_aws"]["Timestamp"] / 1000, tz=UTC)
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = [{"Name": str(name), "Value": str(document[name])} for name in names]
            for metric in directive["Metrics"]:
                values = _read_values(document[metric["Name"]])
                if values:
                    yield (
                        str(directive["Namespace"]),
                        {
                            "MetricName": str(metric["Name"]),
                            "Dimensions": dimensions,
                            "Timestamp": at,
                            "Values": values,
                            "Unit": str(metric.get("Unit", "None")),
                        },
                    )


def _read_values(found: float | Sequence[float]) -> list[float]:
    values: Iterable[float] = [found] if isinstance(found, int | float) else found
    return [float(value) for value in values]
