"""The command scripts/cloud: start, deploy to, look at, and stop the embedded cloud of this folder; run its workers."""

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pqtransfer.errors import PqtransferError
from pqtransfer.sdk.deployment import load_deployment
from scripts.deployment import describe
from scripts.embedded_cloud.cloud import ENVIRONMENT, EmbeddedCloud
from scripts.embedded_cloud.metrics_bridge import MetricsBridge
from scripts.embedded_cloud.supervisor import Supervisor
from scripts.toolchain import ROOT

DEFAULT_FOLDER = ROOT / ".local" / "cloud"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; a failure ends in a message that says what to do."""
    given = _parser().parse_args(arguments)
    cloud = EmbeddedCloud(Path(given.folder), port=given.port)
    try:
        return COMMANDS[given.command](cloud)
    except PqtransferError as error:
        sys.stderr.write(f"cloud: {error}\n")
        return error.exit_code


def _start(cloud: EmbeddedCloud) -> int:
    cloud.start()
    return _status(cloud)


def _deploy(cloud: EmbeddedCloud) -> int:
    cloud.start()
    print(describe(cloud.deploy(say=print), cloud.deployment_file))
    return 0


def _run_fleet(cloud: EmbeddedCloud) -> int:
    cloud.start()
    deployment = load_deployment(cloud.deployment_file)
    print(f"workers follow service {deployment.service} until Ctrl-C; logs in {cloud.folder / 'fleet'}")
    shown = None
    logs = cloud.folder / "fleet"
    with (
        MetricsBridge(cloud.session(), environment=ENVIRONMENT) as bridge,
        Supervisor(cloud, deployment, folder=logs) as fleet,
        contextlib.suppress(KeyboardInterrupt),
    ):
        bridge.follow_folder(logs)
        while fleet.runs:
            now = ", ".join(f"{task.number} {task.state}" for task in fleet.tasks.all) or "none"
            if now != shown:
                print(f"tasks: {now}", flush=True)
                shown = now
            time.sleep(1)
    return 0


def _stop(cloud: EmbeddedCloud) -> int:
    runs = cloud.attach()
    cloud.stop()
    print("stopped" if runs else "it did not run")
    return 0


def _status(cloud: EmbeddedCloud) -> int:
    if not cloud.attach():
        print("not running; start it with scripts/cloud start")
        return 1
    print(f"running at {cloud.endpoint_url}, {'deployed' if cloud.is_deployed else 'nothing deployed yet'}")
    print("To work in it with any AWS tool:")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE"):
        print(f"  export {name}={cloud.variables()[name]}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/cloud", description=__doc__)
    parser.add_argument("command", choices=tuple(COMMANDS))
    parser.add_argument("--port", type=int, help="the port on loopback (default: any that is free)")
    parser.add_argument("--folder", default=str(DEFAULT_FOLDER), help="where state and log are kept")
    return parser


COMMANDS = {"start": _start, "stop": _stop, "status": _status, "deploy": _deploy, "fleet": _run_fleet}

if __name__ == "__main__":
    sys.exit(main())
