"""What holds for every file of the repository: no loose ends, no traces of a machine, one root of errors."""

import ast
import importlib
import pkgutil
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from pqtransfer.errors import PqtransferError
from scripts.toolchain import ROOT, find_node

PRODUCT = ("pqtransfer", "transfer_worker", "functions", "infra", "scripts")
LINES_AT_MOST = 350
THIS_FILE = "tests/unit/test_repository.py"

LOOSE_ENDS = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b|raise NotImplemented\b")
MACHINE_PATHS = re.compile(r"(?<![\w.~*/{}-])/(work|root|tmp|home|Users)/\w")
REGISTRIES = re.compile(
    r"(pypi\.org|files\.pythonhosted\.org|registry\.(npmjs|yarnpkg)\.\w+|test\.pypi|crates\.io|"
    r"proxy\.golang\.org|devpi|artifactory|nexus)", re.IGNORECASE
)  # fmt: skip


@cache
def tracked_files() -> tuple[Path, ...]:
    """The files under version control that exist."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a checkout: there is no list of the project's files")
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def find_lines(pattern: re.Pattern[str], *, suffixes: tuple[str, ...] | None = None) -> list[str]:
    """`path:line: text` of every match in the tracked text files."""
    found = []
    for path in tracked_files():
        name = path.relative_to(ROOT).as_posix()
        if name == THIS_FILE or (suffixes is not None and path.suffix not in suffixes):
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{name}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    return found


def test_there_are_no_loose_ends() -> None:
    """What is not done is an issue, not a comment."""
    assert find_lines(LOOSE_ENDS, suffixes=(".py", ".md", ".toml", ".sh", "")) == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    """Everything is relative to the checkout; temporary places come from the system."""
    assert find_lines(MACHINE_PATHS) == []


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the business of whoever installs them; locks carry hashes instead."""
    assert find_lines(REGISTRIES) == []


def test_every_python_file_opens_with_what_it_is_for() -> None:
    """A docstring, in tests and empty packages too."""
    modules = [path for path in tracked_files() if path.suffix == ".py"]
    without = [
        path.relative_to(ROOT).as_posix() for path in modules if not ast.get_docstring(ast.parse(path.read_bytes()))
    ]
    assert without == []


def test_product_files_stay_short() -> None:
    """A file does one thing; past a few pages it does two."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in tracked_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PRODUCT
    }
    assert {name: length for name, length in lengths.items() if length > LINES_AT_MOST} == {}


def test_every_script_can_be_run() -> None:
    """What has no suffix under scripts/ is a command: executable, with an interpreter."""
    commands = [path for path in tracked_files() if path.parent == ROOT / "scripts" and not path.suffix]
    assert [path.name for path in commands if not path.stat().st_mode & 0o100] == []
    assert [path.name for path in commands if not path.read_bytes().startswith(b"#!/")] == []


@pytest.mark.parametrize("package", PRODUCT)
def test_every_error_has_the_one_root(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`except PqtransferError` catches whatever this project raises on purpose, and its name ends in Error."""
    monkeypatch.setenv("JSII_NODE", str(find_node()))
    monkeypatch.setenv("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "true")
    for module in pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    strays = [
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in list_exceptions()
        if kind.__module__.split(".")[0] == package
        and not (issubclass(kind, PqtransferError) and kind.__name__.endswith("Error"))
    ]
    assert strays == []


def list_exceptions() -> set[type[BaseException]]:
    """Every exception class that is loaded."""
    found: set[type[BaseException]] = set()
    waiting: list[type[BaseException]] = [BaseException]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind not in found:
                found.add(kind)
                waiting.append(kind)
    return found
