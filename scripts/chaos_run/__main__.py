"""The command scripts/chaos: transfers under faults, and a report. Exit code 0 when nothing was lost or left over."""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pqtransfer.errors import PqtransferError
from scripts.chaos_run.driving import Run
from scripts.chaos_run.plan import CLOCKS_SECONDS, FaultKind, make_plan
from scripts.chaos_run.proxy import FaultProxy
from scripts.chaos_run.report import write_report
from scripts.chaos_run.verdict import Verdict, judge, note_what_was_seen, read_alerts
from scripts.chaos_run.world import World
from scripts.embedded_cloud import EmbeddedCloud
from scripts.toolchain import ROOT

FOLDER = ROOT / ".local" / "chaos"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    given = _parser().parse_args(arguments)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    command = f"scripts/chaos --seed {given.seed} --transfers {given.transfers} --workers {given.workers}"
    try:
        with EmbeddedCloud(FOLDER / "cloud") as cloud:
            deployment = cloud.deploy(say=print)
            world = World(cloud, deployment, FOLDER)
            world.register()
            verdict = run_chaos(
                world, seed=given.seed, transfers=given.transfers, workers=given.workers,
                report=Path(given.report), command=command,
            )  # fmt: skip
    except PqtransferError as error:
        sys.stderr.write(f"chaos: {error}\n")
        return error.exit_code
    print(f"{verdict.completed} completed, {sum(verdict.failed.values())} failed, {len(verdict.problems)} problems")
    for problem in verdict.problems:
        print(f"  {problem}")
    print(f"The report is {given.report}")
    return 1 if verdict.problems else 0


def run_chaos(world: World, *, seed: int, transfers: int, workers: int, report: Path, command: str) -> Verdict:
    """One run in a world that is ready; its report is written."""
    plan = make_plan(seed, transfers=transfers)
    started = time.monotonic()
    with FaultProxy(world.cloud.endpoint_url, seed=seed) as proxy, world.fleet(proxy.url, workers=workers) as fleet:
        run = Run(plan, world, proxy, fleet)
        run.drive()
        wait_for_quiet(world)
        left_out = [kind.value for kind in (*CLOCKS_SECONDS, FaultKind.QUEUE_AWAY) if kind not in world.extra]
    seconds = time.monotonic() - started
    verdict = judge(run, world)
    note_what_was_seen(run.injected, world.folder)
    alerts = read_alerts(world)
    write_report(report, run, verdict, command=command, seconds=seconds, left_out=left_out, alerts=alerts)
    return verdict


def wait_for_quiet(world: World, *, within_seconds: float = 90.0) -> None:
    """Wait until no message is left: duplicates of transfers that have ended go as soon as a worker takes them."""
    sqs, deadline = world.owner.client("sqs"), time.monotonic() + within_seconds
    names: Any = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    while time.monotonic() < deadline:
        counts = sqs.get_queue_attributes(QueueUrl=world.deployment.queue_url, AttributeNames=names)["Attributes"]
        if not any(int(count) for count in counts.values()):
            return
        time.sleep(1.0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides models, times and faults")
    parser.add_argument("--transfers", type=int, default=200, help="how many transfers")
    parser.add_argument("--workers", type=int, default=3, help="how many, beside those with a fault of their own")
    parser.add_argument("--report", default=str(FOLDER / "report.md"), help="the report; JSON goes beside it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
