"""The results as Markdown, for docs/benchmarks.md and for the terminal."""

import textwrap
from collections.abc import Iterator

from scripts.benchmarks.crypto_core import CoreRate
from scripts.benchmarks.key_operations import describe_containment, describe_sweep
from scripts.benchmarks.measuring import Measured
from scripts.benchmarks.renewals import describe
from scripts.benchmarks.results import OURS, PLAIN, Results

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30

CONTENDERS = {
    "pqtransfer_sdk": "**pqtransfer**",
    "boto3_plain": "boto3, not encrypted",
    "boto3_checked": "boto3, not encrypted, SHA-256 checked",
    "boto3_durable": "boto3, not encrypted, then fsync",
    "encryption_sdk": "aws-encryption-sdk",
    "pyrage_boto3": "pyrage, then boto3",
    "rclone_crypt": "rclone crypt",
    "socket_reads": "bare sockets, not decrypted",
    "obstore_reads": "obstore GETs, not decrypted",
}

HEADINGS = {
    "send": "Send: a file to the store",
    "receive": "Receive: from the store to a file in memory (tmpfs)",
    "receive-disk": "Receive: from the store to a file on disk",
}

NOTES = {
    "send": """\
pqtransfer encrypts, hashes, uploads with a SHA-256 that the store checks, keeps a journal, and signs manifest and
envelope. The ledger (DynamoDB) is left out. aws-encryption-sdk has frames of 1 MiB here: its default of 4 KiB makes it
four times slower. pyrage writes the encrypted file to disk before boto3 uploads it.

The store takes several times the CPU of the fast clients, so it bounds their speed. It takes more for parts that come
with a SHA-256 to check, which the third row shows without pqtransfer.""",
    "receive": """\
The destination is in memory, so that this compares clients and not the disk. boto3 checks nothing of what it downloads
here but a checksum where the store has one; pqtransfer checks the SHA-256 of every part, which the sender signed, and
every segment's tag. The hash cannot be left out: recipients share the data key, and only the signed digests keep one of
them from passing another model off as the sender's.""",
    "receive-disk": """\
pqtransfer's file is durable when `receive` returns (fsync of the file, then of its directory). boto3 leaves that to the
system: its first row ends when the bytes are in the page cache, its second waits as pqtransfer does.""",
}

INTRODUCTION = """\
What sending and receiving cost, beside what others take for the same. Made by `scripts/bench`; do not edit.

SeaweedFS runs on loopback of the same machine, with its data on the machine's disk: **clients and store share its
cores**, and no network is between them. Wall times are therefore those of the busiest of three (client, store, disk),
and differ from run to run by as much as the ranges say. CPU is user and system time of the client's process, and
steadier; the store's stands beside it. Every run is a process of its own; contenders take turns (A B C A B C). The
clock starts when imports are done and clients and keys made. MB are 10^6 bytes of the file. Peak RSS is the most of all
runs.
"""


def write_report(results: Results) -> str:
    """The whole page."""
    sections = ["# Benchmarks", INTRODUCTION.rstrip(), *_describe_run(results), *_write_targets(results)]
    for name, table in results.tables.items():
        sections += [
            f"## {HEADINGS[name]}, {_size(results.size_bytes)}",
            _write_table(table, results.size_bytes),
            NOTES[name],
        ]
        if name == "receive":
            sections += _write_bound(results)
    if results.core:
        sections += ["## Crypto core, in memory", _write_core(results.core)]
        sections.append(
            "SHA-256 is the slower half: a part cannot be encrypted and hashed faster than it is hashed. The target is "
            "for the encryption alone."
        )
    sections += _write_audit(results)
    sections += _write_deployed_audit(results)
    sections += _write_rotations(results)
    sections += _write_key_operations(results)
    sections += _write_decisions(results)
    sections += _write_alerts(results)
    sections += _write_renewals(results)
    sections += _write_worker(results)
    return "\n\n".join(sections) + "\n"


def _describe_run(results: Results) -> Iterator[str]:
    facts = "\n".join(f"| {name} | {value} |" for name, value in results.machine.items())
    yield (
        f"Command: `{results.command}`, {results.date}, {results.took_seconds / 60:.0f} min; medians of {results.runs} "
        "(range)."
    )
    yield f"| | |\n|---|---|\n{facts}"
    if results.machine.get("rclone") == "not installed":
        yield "rclone crypt is measured where `rclone` is on the path (`apt-get install rclone`)."


def _write_targets(results: Results) -> Iterator[str]:
    rows = [
        f"| {target.name} | {target.found} | {'reached' if target.is_reached else '**missed**'} |"
        for target in results.check_targets()
    ]
    if rows:
        yield "## Targets"
        yield "\n".join(["| target | found | |", "|---|---|---|", *rows])


def _write_table(table: list[Measured], size_bytes: int) -> str:
    plain = next(measured for measured in table if measured.contender == PLAIN)
    ours = next(measured for measured in table if measured.contender == OURS)
    lines = [
        "| | wall | MB/s | CPU | store's CPU | peak RSS | speed beside boto3 | CPU beside boto3 "
        "| pqtransfer is faster by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for measured in table:
        walls = [sample.wall_seconds for sample in measured.samples]
        cpus = [sample.cpu_seconds for sample in measured.samples]
        lines.append(
            f"| {CONTENDERS[measured.contender]} "
            f"| {measured.wall_seconds:.2f} s ({min(walls):.2f}-{max(walls):.2f}) "
            f"| {size_bytes / measured.wall_seconds / 1e6:.0f} "
            f"| {measured.cpu_seconds:.2f} s ({min(cpus):.2f}-{max(cpus):.2f}) "
            f"| {measured.store_cpu_seconds:.2f} s "
            f"| {measured.peak_rss_bytes / MEBIBYTE:.0f} MiB "
            f"| {plain.wall_seconds / measured.wall_seconds:.2f} "
            f"| {measured.cpu_seconds / plain.cpu_seconds:.2f} "
            f"| {measured.wall_seconds / ours.wall_seconds:.2f} |"
        )
    return "\n".join(lines)


def _write_bound(results: Results) -> Iterator[str]:
    bound_seconds = results.bound_receive_seconds()
    if bound_seconds is not None:
        plain = next(measured for measured in results.tables["receive"] if measured.contender == PLAIN)
        yield textwrap.fill(
            f"What cannot be less here: the CPU of bare sockets and of the store in that row, and one pass each of "
            f"SHA-256 and AES-GCM, spread evenly over the {results.cores} cores, take {bound_seconds:.2f} s. That is "
            f"{plain.wall_seconds / bound_seconds:.2f} times the speed of boto3's plain download, and the most that "
            f"any client that checks and decrypts could reach on this machine.",
            width=120,
            break_on_hyphens=False,
        )


def _write_core(core: list[CoreRate]) -> str:
    raw = {rate.threads: rate.bytes_per_cpu_second for rate in core if rate.operation == "AESGCM.encrypt_into"}
    single = {rate.operation: rate.bytes_per_second for rate in core if rate.threads == 1}
    lines = [
        "| | threads | GB/s | GB in a CPU second | share of raw AES-GCM | speed beside one thread |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {rate.operation} | {rate.threads} "
        f"| {rate.bytes_per_second / 1e9:.2f} ({min(rate.rates) / 1e9:.2f}-{max(rate.rates) / 1e9:.2f}) "
        f"| {rate.bytes_per_cpu_second / 1e9:.2f} | {100 * rate.bytes_per_cpu_second / raw[rate.threads]:.0f} % "
        f"| {rate.bytes_per_second / single[rate.operation]:.2f} |"
        for rate in core
    ]
    return "\n".join(lines)


def _write_renewals(results: Results) -> Iterator[str]:
    if results.renewals is None:
        return
    yield f"## Renewing envelopes after a rotation, {results.renewals.envelopes:,} envelopes"
    yield "\n".join(["| | |", "|---|---|", *describe(results.renewals)])
    yield (
        "The code of the function that does it, in one process, against the embedded cloud on the same cores; requests "
        "are counted in the S3 client. Pages side by side, as deployed, add up. One run."
    )


def _write_audit(results: Results) -> Iterator[str]:
    audit = results.audit
    if audit is None:
        return
    added, fsync = audit.percentile, audit.fsync_percentile
    yield f"## The audit log, {audit.entries:,} entries"
    yield "\n".join(
        [
            "| | |",
            "|---|---|",
            "| append (each event checked, tiles made, checkpoint signed) "
            f"| {audit.appended_per_second:,.0f} events/s |",
            f"| verify all of it | {audit.verified_per_second:,.0f} entries/s, "
            f"peak RSS {audit.peak_rss_bytes / MEBIBYTE:.0f} MiB |",
            f"| check the last {audit.hour_entries:,} entries (one hour) | {audit.hour_seconds:.2f} s |",
            f"| prove an entry and check the proof, the slowest of 100 | {1000 * audit.proof_seconds:.1f} ms |",
            f"| what recording adds to a request, p50 / p99 | {1000 * added(0.5):.2f} / {1000 * added(0.99):.2f} ms |",
            f"| of it, the disk: write and fdatasync of 1 KiB, p50 / p99 "
            f"| {1000 * fsync(0.5):.2f} / {1000 * fsync(0.99):.2f} ms |",
        ]
    )
    yield (
        "Rates are for a CPU second of one core, on a log in a directory. Recording is measured with a spool on this "
        "disk, one request every 2 ms, and a queue that takes 5 ms to answer."
    )


def _write_deployed_audit(results: Results) -> Iterator[str]:
    if not results.audit_deployed:
        return
    yield "## The audit log, deployed"
    lines = ["| one producer | threads | events | recorded | in the log |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.way} | {each.threads} | {each.events:,} | {each.recorded_per_second:,.0f} events/s "
        f"| {each.appended_per_second:,.0f} events/s |"
        for each in results.audit_deployed
    ]
    yield "\n".join(lines)
    yield (
        "From the call that records to the entry in the log: queue, function, bucket and table of the embedded cloud, "
        "all on this machine. What limits it on AWS stands in docs/adr/0029-events-share-messages.md."
    )


def _write_rotations(results: Results) -> Iterator[str]:
    if not results.rotations:
        return
    yield "## Rotation of one key"
    lines = ["| suite | key | median | slowest |", "|---|---|---|---|"]
    lines += [
        f"| {each.suite_id} | {each.purpose} | {1000 * each.median_seconds:.1f} ms "
        f"| {1000 * max(each.seconds):.1f} ms |"
        for each in results.rotations
    ]
    yield "\n".join(lines)
    yield (
        "Our own time: making, sealing, testing and proving the key, and writing the audit events. The calls to AWS "
        "(registry, secret store, key service, backups, queue, bus) are left out."
    )


def _write_key_operations(results: Results) -> Iterator[str]:
    if results.sweep is not None:
        yield f"## Searching for due keys, {results.sweep.participants:,} participants"
        yield "\n".join(["| | |", "|---|---|", *describe_sweep(results.sweep)])
        yield (
            "Every participant has a key that is due, so an order is sent for each. The table and the queue are those "
            "of the embedded cloud, on the same machine, and take most of the wall time."
        )
    if results.containment is not None:
        yield f"## Containing the loss of a key, {len(results.containment.refused_seconds)} losses"
        heading = ["| from the start of `pqtransfer keys report-compromise` until | median (range) |", "|---|---|"]
        yield "\n".join([*heading, *describe_containment(results.containment)])


def _write_decisions(results: Results) -> Iterator[str]:
    if results.decisions is None:
        return
    yield f"## Deciding on the size of the fleet, {results.decisions.queued:,} transfers queued"
    median, p99 = 1000 * results.decisions.median_seconds, 1000 * results.decisions.p99_seconds
    yield "\n".join(["| median | p99 |", "|---|---|", f"| {median:.2f} ms | {p99:.2f} ms |"])
    yield (
        "Our own CPU time: reading what waits, deciding, writing the audit event and the history. The calls to AWS are "
        "left out."
    )


def _write_alerts(results: Results) -> Iterator[str]:
    if results.alerts is None:
        return
    yield "## An alert, from its cause to a webhook"
    median, slowest = results.alerts.median_seconds, max(results.alerts.seconds)
    yield "\n".join(["| median | slowest |", "|---|---|", f"| {median:.2f} s | {slowest:.2f} s |"])
    yield (
        "On the embedded cloud: bus, rule, queue, function, table, audit events, and the webhook on this machine. One "
        "alert after the other, each of a cause of its own; the one that wakes the function is left out."
    )


def _write_worker(results: Results) -> Iterator[str]:
    worker, resumed = results.worker, results.resumed
    if worker is not None:
        rate = results.worker_size_bytes / worker.wall_seconds / 1e6
        yield f"## The worker, {_size(results.worker_size_bytes)}"
        yield (
            "| wall | CPU | peak RSS |\n|---|---|---|\n"
            f"| {worker.wall_seconds:.0f} s ({rate:.0f} MB/s) | {worker.cpu_seconds:.1f} s "
            f"| {worker.peak_rss_bytes / MEBIBYTE:.0f} MiB |"
        )
        yield (
            "One transfer, from the submission to `COMPLETED`, through the real worker process: the embedded cloud is "
            "its control plane, source and container stand on SeaweedFS. One run."
        )
    if resumed is not None:
        yield f"## Resume after SIGKILL at half, {_size(results.resume_size_bytes)}"
        yield (
            "| parts | done at the kill | begun in all | begun again | in flight at most |\n|---|---|---|---|---|\n"
            f"| {resumed.parts_total} | {resumed.parts_done_at_kill} | {len(resumed.parts_begun)} "
            f"| {resumed.parts_sent_again} | {resumed.parts_in_flight} |"
        )
        yield "The UploadPart requests of both workers are counted by a relay before the store. One run."


def _size(size_bytes: int) -> str:
    if size_bytes % GIBIBYTE == 0:
        return f"{size_bytes // GIBIBYTE} GiB"
    return f"{size_bytes / MEBIBYTE:.0f} MiB"
