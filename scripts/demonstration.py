"""The command scripts/demo: the way of one model, for real, on this machine, and what it took.

Starts the embedded cloud on loopback, deploys every stack to it with the unmodified CDK, registers three participants,
sends a model from the sender's bucket through a worker process, receives it as one of the recipients, sends a local
file the client-side way, and compares digests. Then a key changes while a transfer runs, a key is reported as lost, and
the audit log of all this is checked offline. At the end everything is taken down again.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pqtransfer.errors import IntegrityError, PqtransferError, UnavailableError
from pqtransfer.sdk.deployment import Deployment
from scripts.deployment import describe
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn
from scripts.sample_model import read_size, write_sample_model
from scripts.terminal import Terminal
from scripts.toolchain import ROOT
from scripts.trust_demonstration import TrustDemonstration
from scripts.worker_process import WorkerProcess

SOURCE_BUCKET = "pqtransfer-local-source"
SENDER, MANAGED_RECIPIENT, OWN_KEYS = "hospital-a", "hospital-b", "hospital-c"
MODEL_NAME, SECOND_MODEL_NAME = "model.safetensors", "second-model.safetensors"
SECOND_SIZE_BYTES = 64 << 20
"""At most; of the model that is sent while a key changes."""
COPIES_IN_MEMORY = 5
"""The embedded S3 keeps objects in memory: two containers, one of them encrypted anew, and room to work."""


class DigestError(IntegrityError):
    """What was received is not what was sent."""

    def __init__(self, sent: Path, received: Path) -> None:
        super().__init__(f"{received} is not the same as {sent}")


class RoomError(UnavailableError):
    """The machine has no room for a demo of this size."""

    def __init__(self, needed_bytes: int, free_bytes: int, what: str) -> None:
        super().__init__(
            f"this size needs about {needed_bytes >> 20} MiB of {what}, {free_bytes >> 20} MiB are free; "
            "choose a smaller --size"
        )


@dataclass
class Summary:
    """What happened: one line a step."""

    lines: list[tuple[str, int, float]] = field(default_factory=list)

    def add(self, what: str, *, size_bytes: int, seconds: float) -> None:
        self.lines.append((what, size_bytes, seconds))

    def show(self) -> str:
        rows = [
            f"  {what:<52} {size_bytes:>13,} B  {seconds:>7.2f} s  {size_bytes / 1e6 / max(seconds, 1e-9):>7.0f} MB/s"
            for what, size_bytes, seconds in self.lines
        ]
        return "\n".join(["What happened", *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. Exit code 0 when every digest was the same."""
    given = _parser().parse_args(arguments)
    folder = ROOT / ".local" / "demo"
    try:
        run_demo(folder, size_bytes=read_size(given.size), keep=given.keep)
    except PqtransferError as error:
        sys.stderr.write(f"demo: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted; everything is taken down\n")
        return 130
    return 0


def run_demo(folder: Path, *, size_bytes: int, keep: bool) -> None:
    """The whole demo, in `folder`, which is emptied first."""
    _require_room(folder, size_bytes)
    started = time.monotonic()
    summary = Summary()
    with contextlib.ExitStack() as teardown:
        files = folder / "files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir(parents=True)
        teardown.callback(shutil.rmtree, files, ignore_errors=True)
        print("Starting an AWS on loopback, and deploying to it")
        cloud = EmbeddedCloud(folder)
        teardown.callback(cloud.stop)
        if cloud.attach():
            cloud.stop()
        cloud.start()
        deployment = cloud.deploy(say=lambda line: print(f"$ {line}"))
        print(describe(deployment, cloud.deployment_file))
        worker = WorkerProcess(deployment, variables=cloud.variables("worker"), log=folder / "worker.log")
        teardown.enter_context(worker).wait_until_ready()
        terminal = Terminal(cloud)
        _register(terminal, files)
        _send_through_worker(terminal, cloud, files, size_bytes, summary)
        _send_from_here(terminal, files, summary)
        trust = TrustDemonstration(terminal, deployment, worker, files, MANAGED_RECIPIENT)
        _send_across_rotation(trust, files, min(size_bytes, SECOND_SIZE_BYTES), summary)
        trust.report_compromise()
        trust.verify_offline()
        print(f"\n{summary.show()}")
        seconds = time.monotonic() - started
        print(f"  every SHA-256 was the same, and the audit log is intact and complete; {seconds:.0f} s in all")
        _show_places(deployment, cloud, worker, folder)
        if keep:
            teardown.pop_all()
            _explain_kept(cloud, worker, folder)


def _register(terminal: Terminal, files: Path) -> None:
    keys = files / "keys"
    terminal.run(
        "pqtransfer", "participants", "add", SENDER, "--managed",
        "--principal", role_arn("submitter"), "--bucket", SOURCE_BUCKET, role="operator",
    )  # fmt: skip
    terminal.run(
        "pqtransfer", "participants", "add", MANAGED_RECIPIENT, "--managed",
        "--principal", role_arn("recipient"), role="operator",
    )  # fmt: skip
    terminal.run("pqtransfer", "keygen", "--out", str(keys), "--name", OWN_KEYS, role="recipient")
    terminal.run("pqtransfer", "participants", "add", OWN_KEYS, "--public-keys", str(keys), role="operator")


def _send_through_worker(
    terminal: Terminal, cloud: EmbeddedCloud, files: Path, size_bytes: int, summary: Summary
) -> None:
    cloud.make_bucket(SOURCE_BUCKET)
    model = _put_model(cloud, files / MODEL_NAME, size_bytes)
    began = time.monotonic()
    sent = terminal.run(
        "pqtransfer", "send", f"s3://{SOURCE_BUCKET}/{MODEL_NAME}", "--to", MANAGED_RECIPIENT, "--to", OWN_KEYS,
        role="submitter", variables={"PQTRANSFER_PARTICIPANT": SENDER},
    )  # fmt: skip
    summary.add(
        "send s3://...: queue -> worker -> S3", size_bytes=model.stat().st_size, seconds=time.monotonic() - began
    )
    cloud.session().client("s3").delete_object(Bucket=SOURCE_BUCKET, Key=MODEL_NAME)
    _receive(terminal, sent["transfer_id"], model, summary)


def _put_model(cloud: EmbeddedCloud, model: Path, size_bytes: int) -> Path:
    print(f"\nMaking a model of {size_bytes:,} bytes, and putting it into the sender's bucket s3://{SOURCE_BUCKET}")
    write_sample_model(model, size_bytes)
    cloud.session().client("s3").upload_file(str(model), SOURCE_BUCKET, model.name)
    return model


def _send_from_here(terminal: Terminal, files: Path, summary: Summary) -> None:
    print("\nThe client-side way: the plaintext never leaves this machine")
    model = files / MODEL_NAME
    began = time.monotonic()
    sent = terminal.run(
        "pqtransfer", "send", str(model), "--to", MANAGED_RECIPIENT,
        role="submitter", variables={"PQTRANSFER_KEY": str(files / "keys")},
    )  # fmt: skip
    summary.add("send FILE: encrypted here -> S3", size_bytes=model.stat().st_size, seconds=time.monotonic() - began)
    _receive(terminal, sent["transfer_id"], model, summary)


def _send_across_rotation(trust: TrustDemonstration, files: Path, size_bytes: int, summary: Summary) -> None:
    model = _put_model(trust.terminal.cloud, files / SECOND_MODEL_NAME, size_bytes)
    began = time.monotonic()
    transfer_id = trust.rotate_during_transfer(
        f"s3://{SOURCE_BUCKET}/{model.name}", "--to", MANAGED_RECIPIENT, variables={"PQTRANSFER_PARTICIPANT": SENDER}
    )
    summary.add("send s3://... while a key changes", size_bytes=size_bytes, seconds=time.monotonic() - began)
    _receive(trust.terminal, transfer_id, model, summary)


def _receive(terminal: Terminal, transfer_id: str, model: Path, summary: Summary) -> None:
    out = model.with_name(f"received-{transfer_id[:13]}.safetensors")
    began = time.monotonic()
    terminal.run("pqtransfer", "receive", transfer_id, "--as", MANAGED_RECIPIENT, "--out", str(out), role="recipient")
    summary.add(f"receive as {MANAGED_RECIPIENT}", size_bytes=out.stat().st_size, seconds=time.monotonic() - began)
    _compare(model, out)
    out.unlink()


def _compare(sent: Path, received: Path) -> None:
    digests = []
    for path in (sent, received):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        print(f"sha256 {digests[-1]}  {path.name}")
    if digests[0] != digests[1]:
        raise DigestError(sent, received)


def _show_places(deployment: Deployment, cloud: EmbeddedCloud, worker: WorkerProcess, folder: Path) -> None:
    print("Where things were")
    print(f"  cloud        {cloud.endpoint_url} (log: {cloud.log_file})")
    print(f"  worker       process {worker.pid} (log: {folder / 'worker.log'})")
    print(f"  its health   http://127.0.0.1:{worker.health_port}/healthz")
    print(f"  containers   s3://{deployment.data_bucket}/transfers/")


def _explain_kept(cloud: EmbeddedCloud, worker: WorkerProcess, folder: Path) -> None:
    print("\nIt stays up (--keep). To go on in it:")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        print(f"  export {name}={cloud.variables()[name]}")
    print(f"  export AWS_PROFILE=operator PQTRANSFER_DEPLOYMENT={cloud.deployment_file}")
    print("  .venv/bin/pqtransfer list")
    print(f"To take it down: kill {worker.pid}; scripts/cloud stop --folder {folder}")


def _require_room(folder: Path, size_bytes: int) -> None:
    needed = COPIES_IN_MEMORY * size_bytes
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable")))
    if needed > free:
        raise RoomError(needed, free, "memory")
    folder.mkdir(parents=True, exist_ok=True)
    on_disk = shutil.disk_usage(folder).free
    if 2 * size_bytes > on_disk:
        raise RoomError(2 * size_bytes, on_disk, "disk")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--size", default="1GiB", help="how large the model is (default: 1GiB)")
    parser.add_argument("--keep", action="store_true", help="leave the cloud and the worker running")
    return parser


if __name__ == "__main__":
    sys.exit(main())
