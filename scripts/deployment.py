"""Deploy one environment: the unmodified CDK (`bootstrap`, `deploy --all`), then `deployment.json` from the outputs."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pqtransfer.errors import UnavailableError
from pqtransfer.sdk.deployment import Deployment
from scripts.toolchain import ROOT, cdk_command, tool_variables

OUTPUTS_FOLDER = ROOT / "build" / "outputs"


class DeployError(UnavailableError):
    """The CDK could not do what it was asked to."""

    def __init__(self, command: str, log: Path | None) -> None:
        where = f"; what it said is in {log}" if log else "; what it said stands above"
        super().__init__(f"cdk {command} failed{where}")


def bootstrap(place: str, *, variables: Mapping[str, str], log: Path | None = None) -> None:
    """Prepare `aws://ACCOUNT/REGION` for the CDK. Repeating it changes nothing.

    Raises:
        DeployError: it failed.
    """
    # Outside the project, where there is no cdk.json: a place is named, so that nothing has to be synthesized.
    with tempfile.TemporaryDirectory() as folder:
        _run([*cdk_command(), "bootstrap", place], folder=Path(folder), variables=variables, log=log)


def deploy(
    environment: str,
    *,
    variables: Mapping[str, str],
    arguments: Sequence[str] = (),
    app: str | None = None,
    log: Path | None = None,
) -> dict[str, dict[str, str]]:
    """Deploy every stack of `environment`; return the outputs of each.

    `app` is the command that synthesizes, or the folder of an assembly that was synthesized before.

    Raises:
        DeployError: it failed.
    """
    outputs = OUTPUTS_FOLDER / f"{environment}.json"
    outputs.parent.mkdir(parents=True, exist_ok=True)
    outputs.unlink(missing_ok=True)
    options = ["--context", f"env={environment}", "--require-approval", "never", "--outputs-file", str(outputs)]
    run_cdk(["deploy", "--all", *options, *arguments], variables=variables, app=app, log=log)
    return read_outputs(outputs)


def read_outputs(path: Path) -> dict[str, dict[str, str]]:
    """What `cdk deploy --outputs-file` wrote: stack -> output -> value."""
    outputs: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return outputs


def synthesis_command() -> str:
    """The command that synthesizes under this interpreter. `-O` leaves out the CDK's own type checks."""
    return f"{sys.executable} -O app.py"


def run_cdk(
    arguments: Sequence[str], *, variables: Mapping[str, str], app: str | None = None, log: Path | None = None
) -> None:
    """Run the CDK in the project's folder, its output going to `log` or to the terminal.

    Raises:
        DeployError: it failed.
    """
    command = [*cdk_command(), *arguments, "--app", app or synthesis_command()]
    _run(command, folder=ROOT, variables=variables, log=log)


def _run(command: Sequence[str], *, folder: Path, variables: Mapping[str, str], log: Path | None) -> None:
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else None
        environment = tool_variables(variables)
        done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, check=False)
    if done.returncode:
        raise DeployError(command[2], log)


def describe(deployment: Deployment, path: Path) -> str:
    """What to tell the person who deployed: endpoints, health checks, and where a script reads the same."""
    lines = [f"{deployment.environment} is deployed in {deployment.account_id} / {deployment.region}.", "", "Endpoints"]
    lines += [f"  {name:8} {url}" for name, url in deployment.endpoints.items()]
    lines += ["Health checks", *(f"  {url}" for url in deployment.health_urls)]
    lines += ["", f"Written to {path}"]
    return "\n".join(lines)
