"""What a process uses, from /proc, and the CloudWatch metrics that ECS makes of it for a service."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

MIB = 1 << 20
CPU_UNITS_OF_A_CORE = 1024
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process has used since it began (CPU), what it holds (memory), what it says it has moved (network)."""

    cpu_seconds: float
    memory_bytes: int
    moved_bytes: int


@dataclass(frozen=True)
class Rates:
    """Over one period: cores in use, memory held, bytes moved in each direction per second."""

    cores: float
    memory_bytes: int
    bytes_per_second: float


def read_usage(pid: int, *, moved_bytes: int) -> Usage | None:
    """What the process uses; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return None
    ticks = int(fields[11]) + int(fields[12])  # utime and stime, counted after the name
    return Usage(ticks / CLOCK_TICKS, pages * os.sysconf("SC_PAGE_SIZE"), moved_bytes)


def compare(before: Usage, after: Usage, *, seconds: float) -> Rates:
    """The rates between two looks."""
    return Rates(
        cores=max(0.0, after.cpu_seconds - before.cpu_seconds) / seconds,
        memory_bytes=after.memory_bytes,
        bytes_per_second=max(0, after.moved_bytes - before.moved_bytes) / seconds,
    )


def make_metrics(
    rates: Sequence[Rates],
    *,
    cluster: str,
    service: str,
    cpu_units: int,
    memory_mib: int,
    running: int,
    desired: int,
    at: datetime,
) -> dict[str, list[dict[str, Any]]]:
    """Metric data by namespace, under the names that ECS and Container Insights use: a value for each task.

    The network numbers are what the workers say they have moved: a process has no interface of its own to count on. A
    model is read and written once, so both directions carry the same.
    """
    dimensions = [{"Name": "ClusterName", "Value": cluster}, {"Name": "ServiceName", "Value": service}]

    def datum(name: str, unit: str, values: Sequence[float]) -> dict[str, Any]:
        return {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Unit": unit, "Values": list(values)}

    insights = [datum("RunningTaskCount", "Count", [running]), datum("DesiredTaskCount", "Count", [desired])]
    if not rates:
        return {"ECS/ContainerInsights": insights}
    units = [each.cores * CPU_UNITS_OF_A_CORE for each in rates]
    memory = [each.memory_bytes / MIB for each in rates]
    network = [each.bytes_per_second for each in rates]
    insights += [
        datum("CpuUtilized", "None", units),
        datum("CpuReserved", "None", [float(cpu_units)] * len(rates)),
        datum("MemoryUtilized", "Megabytes", memory),
        datum("MemoryReserved", "Megabytes", [float(memory_mib)] * len(rates)),
        datum("NetworkRxBytes", "Bytes/Second", network),
        datum("NetworkTxBytes", "Bytes/Second", network),
    ]
    ours = [
        datum("CPUUtilization", "Percent", [100 * each / cpu_units for each in units]),
        datum("MemoryUtilization", "Percent", [100 * each / memory_mib for each in memory]),
    ]
    return {"ECS/ContainerInsights": insights, "AWS/ECS": ours}
