"""What the local fleet tells CloudWatch."""

import os
from datetime import UTC, datetime

from scripts.embedded_cloud.task_usage import MIB, Rates, Usage, compare, make_metrics, read_usage


def test_a_process_that_lives_and_one_that_does_not() -> None:
    """Real numbers of /proc; none for a process that is gone."""
    usage = read_usage(os.getpid(), moved_bytes=7)
    assert usage is not None
    assert usage.cpu_seconds > 0
    assert usage.memory_bytes > MIB
    assert usage.moved_bytes == 7
    assert read_usage(2**22 + 1, moved_bytes=0) is None


def test_rates_between_two_looks() -> None:
    """Half a core and a mebibyte a second; a worker that was restarted has moved nothing, not less than nothing."""
    before, after = Usage(10.0, 5 * MIB, 2 * MIB), Usage(40.0, 6 * MIB, 62 * MIB)
    assert compare(before, after, seconds=60) == Rates(0.5, 6 * MIB, MIB)
    assert compare(after, Usage(0.0, MIB, 0), seconds=60) == Rates(0.0, MIB, 0.0)


def test_the_metrics_of_a_service() -> None:
    """A value for each task under the names of Container Insights, and percentages under those of ECS."""
    metrics = make_metrics(
        [Rates(0.5, 512 * MIB, 10.0), Rates(1.0, 1024 * MIB, 20.0)],
        cluster="c",
        service="s",
        cpu_units=1024,
        memory_mib=2048,
        running=2,
        desired=3,
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    values = {datum["MetricName"]: datum["Values"] for data in metrics.values() for datum in data}
    assert values == {
        "RunningTaskCount": [2],
        "DesiredTaskCount": [3],
        "CpuUtilized": [512.0, 1024.0],
        "CpuReserved": [1024.0, 1024.0],
        "MemoryUtilized": [512.0, 1024.0],
        "MemoryReserved": [2048.0, 2048.0],
        "NetworkRxBytes": [10.0, 20.0],
        "NetworkTxBytes": [10.0, 20.0],
        "CPUUtilization": [50.0, 100.0],
        "MemoryUtilization": [25.0, 50.0],
    }
