"""The test command runs everything, and is green only when everything was."""

import sys

import pytest

from scripts import run_checks
from scripts.run_checks import Step, clean_variables, list_steps, run_step

TESTS = ["tests", "tests of the stacks", "tests on the cloud"]


def python(name: str, code: str, *, good_codes: tuple[int, ...] = (0,)) -> Step:
    return Step(name, (sys.executable, "-c", code), good_codes)


def test_a_failed_step_fails_the_run_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """What follows still runs; the table names the failure, and what each step said last."""
    steps = [
        python("one", "print('fine')"),
        python("two", "print('9 errors'); exit(1)"),
        python("three", "print('ok')"),
    ]
    monkeypatch.setattr(run_checks, "list_steps", lambda *_, **__: iter(steps))
    monkeypatch.setattr(run_checks, "RESULTS_FOLDER", tmp_path)
    assert run_checks.main(["--quick"]) == 1
    table = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split()[:2] for line in table[:3]] == [["one", "passed"], ["two", "FAILED"], ["three", "passed"]]
    assert table[1].endswith("9 errors")
    assert table[3].startswith("FAILED: two, in ")


@pytest.mark.parametrize(
    ("arguments", "quick", "names"),
    [
        ([], False, [*TESTS, "requirements"]),
        ([], True, ["tests"]),
        (["-k", "floe"], False, TESTS),
    ],
    ids=["full", "quick", "some tests"],
)
def test_only_a_full_run_judges_requirements(arguments: list[str], quick: bool, names: list[str]) -> None:
    """Part of the tests cannot say what is not proven."""
    steps = [step.name for step in list_steps(arguments, quick=quick, write_requirements=False)]
    assert steps[:4] == ["ruff check", "ruff format", "mypy", "import-linter"]
    assert steps[4:] == names


@pytest.mark.parametrize(("arguments", "passed"), [(["-k", "floe"], True), ([], False)])
def test_finding_no_tests_is_a_failure_unless_some_were_asked_for(arguments: list[str], passed: bool) -> None:
    """A folder whose tests went missing is not green."""
    (tests, *_) = [step for step in list_steps(arguments, quick=True, write_requirements=False) if step.name == "tests"]
    assert run_step(python("none", "exit(5)", good_codes=tests.good_codes), {}).passed is passed


def test_no_step_sees_the_clouds_of_the_shell() -> None:
    """Credentials and profiles stay outside; a LocalStack that was chosen on purpose stays."""
    variables = {"AWS_PROFILE": "real", "PQTRANSFER_DEPLOYMENT": "real.json", "LOCALSTACK_HOST": "a:4566", "HOME": "h"}
    kept = clean_variables({**variables, "PATH": "p"})
    assert not [name for name in kept if name.startswith(("AWS_", "PQTRANSFER_"))]
    assert (kept["LOCALSTACK_HOST"], kept["HOME"]) == ("a:4566", "h")
    assert kept["PATH"].endswith("p")


def test_no_step_reads_from_the_terminal() -> None:
    """It works without one, as on a build server."""
    assert run_step(python("reads", "import sys; print(repr(sys.stdin.read()))"), {}).last_line == "''"
