"""What the benchmark concludes from its measurements, and what its page shows of them."""

from dataclasses import replace

import pytest

from scripts.benchmarks.crypto_core import CoreRate
from scripts.benchmarks.measuring import Measured, Sample
from scripts.benchmarks.report import write_report
from scripts.benchmarks.results import Results

GIBIBYTE = 1 << 30
NOTHING = Results(
    machine={"processor": "two cores", "rclone": "v1"},
    cores=2,
    command="scripts/bench",
    date="2026-01-01 00:00 UTC",
    runs=3,
    size_bytes=GIBIBYTE,
    worker_size_bytes=GIBIBYTE,
    resume_size_bytes=GIBIBYTE,
)


def make_row(contender: str, *walls: float, cpu: float = 1.0, store: float = 0.0) -> Measured:
    return Measured(contender, tuple(Sample(wall, cpu, 64 << 20, store) for wall in walls))


def make_core(operation: str, rate: float, *, threads: int = 1) -> CoreRate:
    return CoreRate(operation, threads, (rate,), (rate,))


def read_targets(results: Results) -> dict[str, bool]:
    return {target.name.split(",")[0]: target.is_reached for target in results.check_targets()}


@pytest.mark.parametrize(
    ("ours", "cpu", "is_fast", "is_cheap"),
    [
        ((9.0, 10.0, 30.0), 1.0, True, True),  # medians count: as fast is fast enough
        ((9.0, 10.1, 10.2), 1.0, False, True),
        ((9.0, 9.0, 9.0), 1.1, True, False),
    ],
    ids=["as fast", "slower", "more CPU"],
)
def test_send_is_held_against_boto3(ours: tuple[float, ...], cpu: float, is_fast: bool, is_cheap: bool) -> None:
    """At least the speed of the unencrypted upload, and at most its CPU, in medians."""
    table = [make_row("pqtransfer_sdk", *ours, cpu=cpu), make_row("boto3_plain", 10.0, 10.0, 10.0)]
    assert read_targets(replace(NOTHING, tables={"send": table})) == {
        "send: speed of boto3's plain upload": is_fast,
        "send: CPU of boto3's plain upload": is_cheap,
    }


@pytest.mark.parametrize(("wall", "is_reached"), [(5.0, True), (5.1, False)])
def test_receive_is_to_be_twice_as_fast(wall: float, is_reached: bool) -> None:
    """Twice the speed of boto3's download."""
    table = [make_row("pqtransfer_sdk", wall), make_row("boto3_plain", 10.0)]
    assert list(read_targets(replace(NOTHING, tables={"receive": table})).values()) == [is_reached]


def test_the_bound_of_receiving_is_all_that_must_be_done_over_the_cores() -> None:
    """Sockets and store 3 s, SHA-256 1 s, AES-GCM 0.5 s, over two cores."""
    results = replace(
        NOTHING,
        tables={"receive": [make_row("socket_reads", 2.0, cpu=1.0, store=2.0)]},
        core=[make_core("SHA-256", GIBIBYTE), make_core("AESGCM.encrypt_into", 2 * GIBIBYTE)],
    )
    assert results.bound_receive_seconds() == pytest.approx(2.25)
    assert replace(results, core=[]).bound_receive_seconds() is None
    assert NOTHING.bound_receive_seconds() is None


def test_each_row_shows_time_rate_cpu_memory_and_ratios() -> None:
    """Of the client and of the store; a target that is missed is called missed."""
    table = [
        make_row("pqtransfer_sdk", 4.0, 5.0, 6.0, cpu=2.0, store=3.0),
        make_row("boto3_plain", 10.0, 10.0, 10.0, cpu=1.0, store=3.0),
    ]
    page = write_report(replace(NOTHING, tables={"send": table}))
    assert (
        "| **pqtransfer** | 5.00 s (4.00-6.00) | 215 | 2.00 s (2.00-2.00) | 3.00 s | 64 MiB | 2.00 | 2.00 | 1.00 |"
        in page
    )
    assert "| send: speed of boto3's plain upload, at least 1.00 | 2.00 | reached |" in page
    assert "| send: CPU of boto3's plain upload, at most 1.00 | 2.00 | **missed** |" in page
