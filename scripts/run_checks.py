"""The command scripts/test: every check of the project in turn, and one table of what came out.

A step that fails does not stop those after it; the exit code says whether all of them passed. Arguments that are not
known here go to pytest. Only a full run, all tests of it, can say which requirements are proven.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.requirements_report import RESULTS_FOLDER
from scripts.toolchain import ROOT, tool_variables

PROGRAMS = Path(sys.executable).parent
PYTHON = sys.executable
PACKAGES = ("pqtransfer", "transfer_worker", "functions", "infra", "scripts", "app.py")
NO_TESTS_COLLECTED = 5
PASSED, FAILED = "passed", "FAILED"
# What a shell says of real clouds is not for tests; LOCALSTACK_HOST is, on purpose.
FOREIGN_VARIABLES = re.compile(r"AWS_|PQTRANSFER_|CDK_|PYTEST_|PYTHONPATH$|VIRTUAL_ENV$")


@dataclass(frozen=True)
class Step:
    """One check: a command, and the exit codes that are no failure."""

    name: str
    command: tuple[str, ...]
    good_codes: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Outcome:
    """How a step ended."""

    step: Step
    passed: bool
    seconds: float
    last_line: str


def main(arguments: list[str]) -> int:
    """Run the steps, print the table."""
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__, epilog="Other arguments go to pytest.")
    parser.add_argument(
        "--quick", action="store_true", help="leave out the tests of the stacks and of the deployed cloud"
    )
    parser.add_argument(
        "--write-requirements", action="store_true", help="write docs/requirements.md instead of checking it"
    )
    options, for_pytest = parser.parse_known_args(arguments)
    if options.write_requirements and (options.quick or for_pytest):
        parser.error("--write-requirements needs a full run: give it alone")
    shutil.rmtree(RESULTS_FOLDER, ignore_errors=True)
    variables = clean_variables(os.environ)
    steps = list_steps(
        for_pytest,
        quick=options.quick,
        write_requirements=options.write_requirements,
        shares_cloud="LOCALSTACK_HOST" in variables,
    )
    outcomes = [run_step(step, variables) for step in steps]
    print(show_outcomes(outcomes), flush=True)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def list_steps(
    for_pytest: list[str], *, quick: bool, write_requirements: bool, shares_cloud: bool = False
) -> Iterator[Step]:
    """The checks in their order: what is fast and fails often comes first."""
    yield Step("ruff check", (str(PROGRAMS / "ruff"), "check", "--output-format=concise", "."))
    yield Step("ruff format", (str(PROGRAMS / "ruff"), "format", "--check", "."))
    yield Step("mypy", (str(PROGRAMS / "mypy"), *PACKAGES))
    yield Step("import-linter", (str(PROGRAMS / "lint-imports"), "--no-logo"))
    yield make_tests("tests", ["unit", "integration", "interop", "fuzz"], for_pytest, processes=2)
    if quick:
        return
    yield make_tests("tests of the stacks", ["infra"], for_pytest)
    # Each process has an embedded cloud of its own; a LocalStack that answers already is one for all of them.
    yield make_tests("tests on the cloud", ["e2e"], for_pytest, processes=1 if shares_cloud else 2)
    if not for_pytest:
        check = () if write_requirements else ("--check",)
        yield Step("requirements", (PYTHON, "-m", "scripts.requirements_report", *check))


def make_tests(name: str, folders: list[str], for_pytest: list[str], *, processes: int = 1) -> Step:
    """A step of tests; with arguments that choose among them, it is no failure to find none here."""
    outcomes = RESULTS_FOLDER / f"{folders[0]}.json"
    # In the order of the files: by the number of their tests, the longest tests of all would come last, one at a time.
    split = ("-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder") if processes > 1 else ()
    command = (PYTHON, "-m", "pytest", "-q", "--durations=8", f"--requirements-out={outcomes}", *split)
    paths = [f"tests/{folder}" for folder in folders]
    good_codes = (0, NO_TESTS_COLLECTED) if for_pytest else (0,)
    return Step(name, (*command, *for_pytest, *paths), good_codes)


def run_step(step: Step, variables: Mapping[str, str]) -> Outcome:
    """Run one step, showing what it prints as it comes."""
    print(f"\n--- {step.name}", flush=True)
    started = time.monotonic()
    last_line = ""
    with subprocess.Popen(
        step.command,
        cwd=ROOT,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last_line = line.strip() or last_line
    seconds = time.monotonic() - started
    passed = process.returncode in step.good_codes
    print(f"--- {step.name}: {PASSED if passed else FAILED} in {seconds:.1f} s", flush=True)
    return Outcome(step, passed, seconds, last_line)


def clean_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of every step: our tools first, and nothing that would point at a real cloud."""
    kept = {name: value for name, value in variables.items() if not FOREIGN_VARIABLES.match(name)}
    kept["PATH"] = f"{PROGRAMS}{os.pathsep}{kept.get('PATH', os.defpath)}"
    # Processes that share the tests must list them in the same order.
    return tool_variables({**kept, "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"})


def show_outcomes(outcomes: list[Outcome]) -> str:
    """A line a step; what a step of tests counted stands beside it."""
    rows = [
        f"{each.step.name:<20} {PASSED if each.passed else FAILED}  {each.seconds:7.1f} s   {each.last_line}"
        for each in outcomes
    ]
    total = sum(outcome.seconds for outcome in outcomes)
    failed = [outcome.step.name for outcome in outcomes if not outcome.passed]
    verdict = f"FAILED: {', '.join(failed)}" if failed else "All passed"
    return "\n".join(["", *rows, f"{verdict}, in {total:.0f} s"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
