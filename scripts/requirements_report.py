"""Which acceptance criterion is proven by which tests: docs/requirements.md, from docs/criteria.toml and a test run.

The tests name their criteria with `@pytest.mark.requirement("D1.1")`; each pytest process of a run leaves its outcomes
under build/requirements (tests/requirement_marks.py). The report carries no times, so it changes only with the facts.
"""

import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pqtransfer.errors import InputError, PqtransferError
from scripts.toolchain import ROOT

CRITERIA_FILE = ROOT / "docs" / "criteria.toml"
REPORT_FILE = ROOT / "docs" / "requirements.md"
RESULTS_FOLDER = ROOT / "build" / "requirements"
REGENERATE = "scripts/test --write-requirements"

INTRODUCTION = """\
# Requirements

What the system is to do, and the tests that show that it does. This page is generated from
[criteria.toml](criteria.toml) and the outcomes of a whole test run by `{command}`; do not edit it.

A criterion is **proven** when it is claimed and tests that carry its id have passed, and **open** otherwise. Tests that
stand beside an open criterion show a part of it.

{proven} of {total} criteria are proven.
"""


class CriteriaError(InputError):
    """docs/criteria.toml or the outcomes of a run cannot be used."""


class UnprovenClaimError(PqtransferError):
    """Something is claimed that no passing test shows."""

    def __init__(self, ids: Iterable[str]) -> None:
        super().__init__(
            f"claimed in docs/criteria.toml, but no test that passed shows it: {', '.join(ids)}; "
            'mark the test that does with @pytest.mark.requirement("ID") and make it pass (a skipped one shows nothing)'
        )


class StaleReportError(PqtransferError):
    """docs/requirements.md is not what this run shows."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path.name} is not what this run shows; write it anew with `{REGENERATE}` and commit it")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Criterion(_Strict):
    """One thing that the system is to do."""

    text: str
    claimed: bool = False


class Group(_Strict):
    """The criteria of one field, and whom they serve."""

    title: str
    user: str
    criteria: dict[str, Criterion]


class CaseOutcome(_Strict):
    """The outcome of one test case: the ids it carries, and `passed`, `failed` or `skipped`."""

    test: str
    ids: tuple[str, ...]
    outcome: str


@dataclass(frozen=True)
class Report:
    """The page, and what is claimed without being shown."""

    text: str
    unproven_claims: tuple[str, ...]


def load_criteria(path: Path = CRITERIA_FILE) -> dict[str, Group]:
    """The groups of criteria by their id.

    Raises:
        CriteriaError: the file says something that it cannot say.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        groups = {name: Group.model_validate(group) for name, group in content.items()}
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise CriteriaError(f"{path.name} cannot be read: {error}") from None
    strays = [
        each for name, group in groups.items() for each in group.criteria if each.rstrip("0123456789.") != name[0]
    ]
    if strays:
        raise CriteriaError(f"{path.name} has these ids in the wrong group: {', '.join(strays)}")
    return groups


def list_ids(groups: Mapping[str, Group]) -> frozenset[str]:
    """Every id that a test may carry."""
    return frozenset(each for group in groups.values() for each in group.criteria)


def read_results(folder: Path = RESULTS_FOLDER) -> list[CaseOutcome]:
    """What every pytest process of the last run left.

    Raises:
        CriteriaError: there was no run.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise CriteriaError("there are no outcomes of a test run yet; run scripts/test")
    return [CaseOutcome.model_validate(entry) for file in files for entry in json.loads(file.read_text("utf-8"))]


def find_proofs(results: Iterable[CaseOutcome]) -> dict[str, list[str]]:
    """Criterion id -> the tests that show it: at least one of their cases passed, and none failed."""
    outcomes: dict[tuple[str, str], set[str]] = {}
    for result in results:
        name = result.test.split("[", 1)[0]
        for each in result.ids:
            outcomes.setdefault((each, name), set()).add(result.outcome)
    proofs: dict[str, list[str]] = {}
    for (each, name), seen in sorted(outcomes.items()):
        if "passed" in seen and "failed" not in seen:
            proofs.setdefault(each, []).append(name)
    return proofs


def make_report(groups: Mapping[str, Group], results: Iterable[CaseOutcome]) -> Report:
    """The page for these outcomes."""
    proofs = find_proofs(results)
    claims = [each for group in groups.values() for each, criterion in group.criteria.items() if criterion.claimed]
    unproven = tuple(each for each in claims if each not in proofs)
    introduction = INTRODUCTION.format(
        command=REGENERATE, proven=len(claims) - len(unproven), total=len(list_ids(groups))
    )
    sections = ["\n".join(_write_group(name, group, proofs)) for name, group in groups.items()]
    return Report("\n".join([introduction, *sections]), unproven)


def _write_group(name: str, group: Group, proofs: Mapping[str, list[str]]) -> Iterator[str]:
    yield f"## {name} {group.title}, for {group.user}\n"
    yield "| id | what the system does | status | shown by |"
    yield "|---|---|---|---|"
    for each, criterion in group.criteria.items():
        tests = proofs.get(each, [])
        status = "**proven**" if criterion.claimed and tests else "open"
        yield f"| {each} | {criterion.text} | {status} | {'<br>'.join(map(_write_test, tests))} |"
    yield ""


def _write_test(test: str) -> str:
    path, _, function = test.partition("::")
    return f"[{path.removeprefix('tests/')}](../{path}) `{function}`"


def check_report(report: Report, path: Path = REPORT_FILE) -> None:
    """Hold the committed page against the run.

    Raises:
        UnprovenClaimError: a claim that no passing test shows.
        StaleReportError: the page says something else.
    """
    if report.unproven_claims:
        raise UnprovenClaimError(report.unproven_claims)
    if not path.exists() or path.read_text(encoding="utf-8") != report.text:
        raise StaleReportError(path)


def main(arguments: list[str]) -> int:
    """`--check` compares, anything else writes."""
    try:
        report = make_report(load_criteria(), read_results())
        if "--check" not in arguments:
            REPORT_FILE.write_text(report.text, encoding="utf-8")
            print(f"wrote {REPORT_FILE.relative_to(ROOT)}")
        check_report(report)
    except PqtransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print("every claim is shown by a passing test")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
