"""The command scripts/bench: measure everything in one run, print it, and write docs/benchmarks.md.

With --only or --smoke nothing is written but what --json and --out name.
"""

import argparse
import json
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pqtransfer.errors import PqtransferError, UnavailableError
from scripts.benchmarks.alert_delivery import measure_alerts
from scripts.benchmarks.audit_deployed import measure_deployed_audit
from scripts.benchmarks.audit_log import LOG_ENTRIES, SMOKE_ENTRIES, measure_audit_log
from scripts.benchmarks.crypto_core import measure_core
from scripts.benchmarks.key_operations import measure_containment, measure_sweep
from scripts.benchmarks.key_rotation import measure_rotation
from scripts.benchmarks.machine import count_cores, describe_machine, read_rclone_version
from scripts.benchmarks.measuring import ROOT, Action, Measured, measure
from scripts.benchmarks.object_store import ObjectStore, run_object_store
from scripts.benchmarks.renewals import RENEWED_ENVELOPES, SMOKE_ENVELOPES, measure_renewals
from scripts.benchmarks.report import write_report
from scripts.benchmarks.results import Results
from scripts.benchmarks.scaling import measure_decisions
from scripts.benchmarks.source import write_source
from scripts.benchmarks.task import Task
from scripts.benchmarks.worker import WorkerBench, run_worker_bench
from scripts.sample_model import read_size

REPORT = ROOT / "docs" / "benchmarks.md"
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - a tmpfs, in a new folder of its own
CONTENDERS: dict[str, tuple[str, ...]] = {
    "send": ("pqtransfer_sdk", "boto3_plain", "boto3_checked", "encryption_sdk", "pyrage_boto3", "rclone_crypt"),
    "receive": (
        "pqtransfer_sdk",
        "boto3_plain",
        "socket_reads",
        "obstore_reads",
        "encryption_sdk",
        "pyrage_boto3",
        "rclone_crypt",
    ),
    "receive-disk": ("pqtransfer_sdk", "boto3_plain", "boto3_durable"),
}
WORKER_PARTS = ("worker-20gib", "resume")
DEPLOYED_PARTS = (*WORKER_PARTS, "audit-deployed", "alerts", "rotation-sweep", "containment")
NAMES = (*CONTENDERS, "crypto", "audit", "keys", "renewals", "scaling", *DEPLOYED_PARTS)
WORKER_SIZE_BYTES = 20 << 30
RESUME_SIZE_BYTES = 4 << 30
SMOKE_SIZE_BYTES = 64 << 20
CORE_SIZE_BYTES = 2 << 30
COPIES_ON_DISK = 14
"""The file, an object of each contender, and what was replaced and the store has not yet removed."""


class NoRoomError(UnavailableError):
    """There is not enough room on the disk."""

    def __init__(self, folder: Path, needed_bytes: int) -> None:
        super().__init__(
            f"{folder} needs {needed_bytes / (1 << 30):.0f} GiB free; choose another place with --folder, a smaller "
            "--size, or leave parts out with --only"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; a failure ends in a message that says what to do."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped, and files removed
    try:
        results = run_benchmark(given, say=lambda line: print(line, file=sys.stderr, flush=True))
    except PqtransferError as error:
        sys.stderr.write(f"bench: {error}\n")
        return error.exit_code
    report = write_report(results)
    print(report, end="")
    if given.json:
        Path(given.json).write_text(json.dumps(results.to_dict(), indent=1) + "\n", encoding="utf-8")
    if given.out or not (given.only or given.smoke):
        (Path(given.out) if given.out else REPORT).write_text(report, encoding="utf-8")
    return 0


def run_benchmark(given: argparse.Namespace, *, say: Callable[[str], None]) -> Results:
    """Measure what was asked for, in one run, and leave nothing behind.

    Raises:
        PqtransferError: something could not be measured.
    """
    names = given.only or (tuple(name for name in NAMES if name not in DEPLOYED_PARTS) if given.smoke else NAMES)
    began = time.monotonic()
    runs = 1 if given.smoke else given.runs
    size_bytes = SMOKE_SIZE_BYTES if given.smoke else read_size(given.size)
    results = Results(
        machine=describe_machine(),
        cores=count_cores(),
        command=shlex.join(["scripts/bench", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        runs=runs,
        size_bytes=size_bytes,
        worker_size_bytes=WORKER_SIZE_BYTES,
        resume_size_bytes=RESUME_SIZE_BYTES,
    )
    with tempfile.TemporaryDirectory(prefix="pqtransfer-bench-", dir=given.folder) as temporary:
        folder = Path(temporary)
        _require_room(folder, size_bytes, names)
        if "crypto" in names:
            say("crypto core")
            core_size_bytes = SMOKE_SIZE_BYTES if given.smoke else CORE_SIZE_BYTES
            thread_counts = sorted({1, min(2, results.cores), results.cores})
            core = measure_core(size_bytes=core_size_bytes, runs=runs, thread_counts=thread_counts)
            results = replace(results, core=core)
        if "audit" in names:
            say("audit log")
            entries = SMOKE_ENTRIES if given.smoke else LOG_ENTRIES
            results = replace(results, audit=measure_audit_log(folder, entries=entries))
        if "audit-deployed" in names:
            say("audit log, deployed")
            results = replace(results, audit_deployed=measure_deployed_audit(folder / "audit-deployed"))
        if "keys" in names:
            say("key rotation")
            results = replace(results, rotations=measure_rotation())
        if "rotation-sweep" in names:
            say("rotation sweep")
            results = replace(results, sweep=measure_sweep(folder))
        if "containment" in names:
            say("containment")
            results = replace(results, containment=measure_containment(folder))
        if "renewals" in names:
            say("renewals")
            envelopes = SMOKE_ENVELOPES if given.smoke else RENEWED_ENVELOPES
            results = replace(results, renewals=measure_renewals(folder, envelopes=envelopes))
        if "scaling" in names:
            say("scaling")
            results = replace(results, decisions=measure_decisions())
        if "alerts" in names:
            say("alerts")
            results = replace(results, alerts=measure_alerts(folder, runs=runs))
        if any(name in CONTENDERS for name in names):
            with run_object_store(folder / "store") as store:
                tables = _measure_transfers(store, folder, names, size_bytes=size_bytes, runs=runs, say=say)
            results = replace(results, tables=tables)
            shutil.rmtree(folder / "store")
        if any(name in WORKER_PARTS for name in names):
            with run_object_store(folder / "store") as store, run_worker_bench(folder, store) as bench:
                results = _measure_worker(bench, results, names, say=say)
    return replace(results, took_seconds=time.monotonic() - began)


def _measure_transfers(
    store: ObjectStore, folder: Path, names: Sequence[str], *, size_bytes: int, runs: int, say: Callable[[str], None]
) -> dict[str, list[Measured]]:
    has_rclone = read_rclone_version() is not None
    source = folder / "model"
    write_source(source, size_bytes)
    tables = {}

    def run(name: str, action: Action, file: Path, *, times: int, contenders: Sequence[str]) -> list[Measured]:
        tasks = {
            contender: _make_task(store, folder, contender, file)
            for contender in contenders
            if has_rclone or contender != "rclone_crypt"
        }
        return measure(
            action,
            tasks,
            runs=times,
            sent=source,
            store_process_id=store.process_id,
            say=lambda line: say(f"{name}: {line}"),
        )

    # What is to be received has to be sent first, also when only receiving is measured.
    if "send" in names:
        sends = CONTENDERS["send"]
    else:
        received = {contender for name in names for contender in CONTENDERS.get(name, ())}
        sends = tuple(contender for contender in CONTENDERS["send"] if contender in received)
    sent = run("send", "send", source, times=runs if "send" in names else 1, contenders=sends)
    if "send" in names:
        tables["send"] = sent
    if "receive" in names:
        with _make_memory_folder(size_bytes, folder) as memory:
            tables["receive"] = run(
                "receive", "receive", memory / "received", times=runs, contenders=CONTENDERS["receive"]
            )
    if "receive-disk" in names:
        tables["receive-disk"] = run(
            "receive-disk", "receive", folder / "received", times=runs, contenders=CONTENDERS["receive-disk"]
        )
    return tables


def _make_task(store: ObjectStore, folder: Path, contender: str, file: Path) -> Task:
    own = folder / contender
    own.mkdir(exist_ok=True)
    return Task(
        endpoint_url=store.endpoint_url,
        access_key_id=store.access_key_id,
        secret_access_key=store.secret_access_key,
        bucket=store.bucket,
        file=str(file),
        folder=str(own),
    )


def _measure_worker(
    bench: WorkerBench, results: Results, names: Sequence[str], *, say: Callable[[str], None]
) -> Results:
    if "resume" in names:
        say(f"resume: {results.resume_size_bytes >> 30} GiB")
        results = replace(results, resumed=bench.kill_and_resume(results.resume_size_bytes))
    if "worker-20gib" in names:
        say(f"worker-20gib: {results.worker_size_bytes >> 30} GiB")
        results = replace(results, worker=bench.transfer(results.worker_size_bytes))
    return results


@contextmanager
def _make_memory_folder(size_bytes: int, otherwise: Path) -> Iterator[Path]:
    """A folder on a tmpfs with room for two files; on the disk where there is none."""
    has_room = MEMORY_FOLDER.is_dir() and shutil.disk_usage(MEMORY_FOLDER).free > 3 * size_bytes
    parent = MEMORY_FOLDER if has_room else otherwise
    with tempfile.TemporaryDirectory(prefix="pqtransfer-bench-", dir=parent) as temporary:
        yield Path(temporary)


def _require_room(folder: Path, size_bytes: int, names: Sequence[str]) -> None:
    needed = {
        "worker-20gib": 2 * WORKER_SIZE_BYTES + (6 << 30),
        "resume": 3 * RESUME_SIZE_BYTES,
        **dict.fromkeys(CONTENDERS, COPIES_ON_DISK * size_bytes),
    }
    needed_bytes = max(needed.get(name, 0) for name in names)
    if shutil.disk_usage(folder).free < needed_bytes:
        raise NoRoomError(folder, needed_bytes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each contender runs (default: 5)")
    parser.add_argument("--size", default="2GiB", help="the size of the file (default: 2GiB)")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--smoke", action="store_true", help="64 MiB, one run, no worker: does it work at all?")
    parser.add_argument("--json", metavar="FILE", help="also write every number there")
    parser.add_argument("--out", metavar="FILE", help="write the report there (a full run: docs/benchmarks.md)")
    parser.add_argument("--folder", help="where to put files and the store's data (default: the system's)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
