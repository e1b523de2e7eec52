"""Deploy one environment: the unmodified CDK (`bootstrap`, `deploy --all`), then `deployment.json` from the outputs."""

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.finished_folder import finished_once
from pqtransfer.errors import UnavailableError
from pqtransfer.sdk.deployment import Deployment
from scripts.toolchain import ROOT, cdk_command, tool_variables

ASSEMBLY_FOLDER = ROOT / "build" / "assemblies"
# What synthesis reads.
ASSEMBLY_SOURCES = ("infra", "functions", "pqtransfer", "transfer_worker")
ASSEMBLY_FILES = (
    "app.py",
    "cdk.json",
    "requirements.txt",
    "functions/requirements.txt",
    "transfer_worker/Dockerfile",
    ".dockerignore",
)


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
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder) / "outputs.json"
        options = ["--context", f"env={environment}", "--require-approval", "never", "--outputs-file", str(outputs)]
        run_cdk(["deploy", "--all", *options, *arguments], variables=variables, app=app, log=log)
        return read_outputs(outputs)


def synthesize(
    environment: str,
    *,
    variables: Mapping[str, str],
    arguments: Sequence[str] = (),
    reuse: bool = False,
    log: Path | None = None,
) -> Path:
    """The cloud assembly of `environment`: what `cdk deploy --app FOLDER` deploys.

    `reuse` takes an assembly that was made before from the same files, arguments and variables.

    Raises:
        DeployError: synthesis failed, or cdk-nag found something.
    """
    folder = ASSEMBLY_FOLDER / f"{environment}-{_hash_inputs(arguments, variables)}"
    if not reuse:
        shutil.rmtree(folder, ignore_errors=True)
    with finished_once(folder) as unfinished:
        if unfinished:
            options = ["--context", f"env={environment}", "--quiet", "--output", str(unfinished)]
            run_cdk(["synth", *options, *arguments], variables=variables, log=log)
    return folder


def _hash_inputs(arguments: Sequence[str], variables: Mapping[str, str]) -> str:
    """A name for everything that an assembly is made from."""
    digest = hashlib.sha256(repr([sys.version, *arguments]).encode())
    for name in sorted(variables):
        if name.startswith("PQTRANSFER_"):
            digest.update(f"{name}={variables[name]}\n".encode())
    files = [ROOT / name for name in ASSEMBLY_FILES]
    files += [path for name in ASSEMBLY_SOURCES for path in (ROOT / name).rglob("*.py")]
    for path in sorted(files):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


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
