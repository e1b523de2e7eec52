"""How the functions' code is packaged, without Docker: an allow-list asset each, and one layer of their dependencies.

The layer comes from `functions/requirements.txt`, a lock with hashes. It is built once for each content of that file
and each target, and kept under `build/`. In the cloud the target is the Lambda runtime; locally it is the interpreter
that runs the embedded cloud.
"""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import aws_lambda as lambda_

from infra.finished_folder import finished_once
from pqtransfer.errors import UnavailableError

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
LAYER_REQUIREMENTS = ROOT / "functions" / "requirements.txt"

RUNTIME = lambda_.Runtime.PYTHON_3_14
RUNTIME_PYTHON = "3.14"
# Amazon Linux 2023, which the runtime stands on, has glibc 2.34.
RUNTIME_PLATFORM = "x86_64-manylinux_2_34"
ARCHITECTURE = lambda_.Architecture.X86_64

# What every function gets of the package, and what it gets when it asks for the domains too.
KINDS = ("*.py", "*.j2")
PACKAGE_CORE = ("__init__.py", "errors.py", "environment.py")


class LayerBuildError(UnavailableError):
    """The dependencies of the functions could not be put together."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"the functions' dependency layer could not be built; check the network and run again. uv said:\n{said}"
        )


@dataclass(frozen=True)
class FunctionPackage:
    """The files of one function: its own folder, and the named parts of `pqtransfer`."""

    name: str
    parts: tuple[str, ...] = ()

    @property
    def handler(self) -> str:
        """Where the Lambda runtime finds the handler."""
        return f"functions.{self.name}.handler.handler"

    def files(self) -> list[Path]:
        """Every Python file and template of the package, relative to the project, in a stable order."""
        folders = [ROOT / "functions" / self.name, *(ROOT / "pqtransfer" / part for part in self.parts)]
        missing = [folder for folder in folders if not folder.is_dir()]
        if missing:
            raise FileNotFoundError(f"{missing[0]} is part of the function {self.name} and is not there")
        single = [ROOT / "functions" / "__init__.py", *(ROOT / "pqtransfer" / name for name in PACKAGE_CORE)]
        found = [*single, *(path for folder in folders for kind in KINDS for path in folder.rglob(kind))]
        return sorted(path.relative_to(ROOT) for path in found)

    def code(self) -> lambda_.Code:
        """The asset: a copy of exactly those files."""
        files = {file: (ROOT / file).read_bytes() for file in self.files()}
        stamp = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
        with finished_once(BUILD / "functions" / f"{self.name}-{stamp}") as unfinished:
            if unfinished:
                _write_files(unfinished, files)
        return lambda_.Code.from_asset(str(BUILD / "functions" / f"{self.name}-{stamp}"))


def layer_code(*, local: bool) -> lambda_.Code:
    """The layer of dependencies; built when it is not there yet.

    Raises:
        LayerBuildError: the packages could not be fetched.
    """
    target = _local_target() if local else ["--python-version", RUNTIME_PYTHON, "--python-platform", RUNTIME_PLATFORM]
    stamp = hashlib.sha256(LAYER_REQUIREMENTS.read_bytes() + repr(target).encode()).hexdigest()[:16]
    folder = BUILD / "layers" / stamp
    with finished_once(folder) as unfinished:
        if unfinished:
            _build_layer(unfinished / "python", target)
    return lambda_.Code.from_asset(str(folder), asset_hash=hashlib.sha256(stamp.encode()).hexdigest())


def _write_files(folder: Path, files: dict[Path, bytes]) -> None:
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)


def _local_target() -> list[str]:
    """The interpreter that also runs the embedded cloud, and so the functions in it."""
    return ["--python", sys.executable]


def _build_layer(folder: Path, target: list[str]) -> None:
    command = [
        *_find_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--target", str(folder), *target, "-r", str(LAYER_REQUIREMENTS),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no word comes from outside
    if done.returncode:
        raise LayerBuildError(done.stderr.strip())
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)


def _find_uv() -> list[str]:
    """`uv` beside the interpreter, where scripts/setup puts it."""
    beside = Path(sys.executable).with_name("uv")
    return [str(beside)] if beside.exists() else ["uv"]
