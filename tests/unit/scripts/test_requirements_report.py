"""The report of what is proven claims no more than a test run shows."""

from pathlib import Path

import pytest

from scripts.requirements_report import (
    CaseOutcome,
    CriteriaError,
    Criterion,
    Group,
    StaleReportError,
    UnprovenClaimError,
    check_report,
    find_proofs,
    list_ids,
    load_criteria,
    make_report,
    read_results,
)

GROUPS = {
    "D1": Group(
        title="Provisioning",
        user="the DevOps engineer",
        criteria={
            "D1.1": Criterion(text="It deploys.", claimed=True),
            "D1.2": Criterion(text="It heals."),
        },
    )
}
PROVED = CaseOutcome(test="tests/e2e/test_a.py::test_deploys", ids=("D1.1",), outcome="passed")


def case(
    outcome: str, *, test: str = "tests/e2e/test_a.py::test_deploys", ids: tuple[str, ...] = ("D1.1",)
) -> CaseOutcome:
    return CaseOutcome(test=test, ids=ids, outcome=outcome)


def test_a_claim_with_a_passing_test_is_proven_and_names_it() -> None:
    """The row links to the file and names the function."""
    report = make_report(GROUPS, [PROVED])
    assert report.unproven_claims == ()
    assert "| D1.1 | It deploys. | **proven** | [e2e/test_a.py](../tests/e2e/test_a.py) `test_deploys` |" in report.text
    assert "1 of 2 criteria are proven." in report.text


@pytest.mark.parametrize(
    "results",
    [
        [],
        [case("failed")],
        [case("skipped")],
        [case("passed", test="tests/a.py::test_b[1]"), case("failed", test="tests/a.py::test_b[2]")],
        [case("passed", ids=("D1.2",))],
    ],
    ids=["no test", "failed", "skipped", "one case of it failed", "a test of something else"],
)
def test_a_claim_without_a_passing_test_fails(results: list[CaseOutcome], tmp_path: Path) -> None:
    """The page shows it as open, and the check names it although the page was written so."""
    report = make_report(GROUPS, results)
    page = tmp_path / "requirements.md"
    page.write_text(report.text)
    assert "| D1.1 | It deploys. | open |" in report.text
    with pytest.raises(UnprovenClaimError, match=r"D1\.1"):
        check_report(report, page)


def test_what_is_not_claimed_is_open_whatever_its_tests_show() -> None:
    """Tests that show a part of a criterion stand beside it, and it stays open."""
    report = make_report(GROUPS, [PROVED, case("passed", test="tests/unit/test_b.py::test_heals", ids=("D1.2",))])
    assert "| D1.2 | It heals. | open | [unit/test_b.py](../tests/unit/test_b.py) `test_heals` |" in report.text


def test_one_skipped_case_does_not_spoil_those_that_passed() -> None:
    """Cases for a library that is not installed, for example."""
    cases = [case("passed", test="tests/a.py::test_b[1]"), case("skipped", test="tests/a.py::test_b[2]")]
    assert find_proofs(cases) == {"D1.1": ["tests/a.py::test_b"]}


def test_the_order_in_which_tests_ran_makes_no_difference() -> None:
    """The page changes only with the facts."""
    other = case("passed", test="tests/unit/test_b.py::test_too")
    assert make_report(GROUPS, [PROVED, other]) == make_report(GROUPS, [other, PROVED])


@pytest.mark.parametrize("committed", [None, "# Requirements\n"], ids=["missing", "outdated"])
def test_a_page_that_says_something_else_fails(committed: str | None, tmp_path: Path) -> None:
    """The message says how to write it anew."""
    page = tmp_path / "requirements.md"
    if committed:
        page.write_text(committed)
    with pytest.raises(StaleReportError, match="scripts/test --write-requirements"):
        check_report(make_report(GROUPS, [PROVED]), page)


def test_a_page_that_says_the_same_passes(tmp_path: Path) -> None:
    """Nothing is raised."""
    report = make_report(GROUPS, [PROVED])
    page = tmp_path / "requirements.md"
    page.write_text(report.text)
    check_report(report, page)


def test_outcomes_of_several_processes_are_read_together(tmp_path: Path) -> None:
    """One file a process; without any there was no run."""
    with pytest.raises(CriteriaError, match="run scripts/test"):
        read_results(tmp_path)
    for name in ("unit", "e2e"):
        (tmp_path / f"{name}.json").write_text(f'[{{"test": "{name}", "ids": ["D1.1"], "outcome": "passed"}}]')
    assert [result.test for result in read_results(tmp_path)] == ["e2e", "unit"]


@pytest.mark.parametrize(
    "content",
    ["[D1", '[D1]\ntitle = "a"\n', '[D1]\ntitle = "a"\nuser = "b"\n[D1.criteria]\n"S1.1" = { text = "c" }\n'],
    ids=["not TOML", "incomplete", "an id in the wrong group"],
)
def test_a_wrong_criteria_file_is_refused(content: str, tmp_path: Path) -> None:
    """By name, not by a traceback of another kind."""
    path = tmp_path / "criteria.toml"
    path.write_text(content)
    with pytest.raises(CriteriaError, match=r"criteria\.toml"):
        load_criteria(path)


def test_a_mark_with_an_unknown_id_stops_the_collection(pytester: pytest.Pytester) -> None:
    """A misspelled id would prove nothing, in silence."""
    pytester.makeconftest('pytest_plugins = ["tests.requirement_marks"]')
    pytester.makeini("[pytest]\nmarkers = requirement(*ids)")
    pytester.makepyfile('import pytest\n\n@pytest.mark.requirement("D99.1")\ndef test_it() -> None: ...\n')
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it: docs/criteria.toml has no requirement D99.1*"])


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("pass", "passed"),
        ("assert False", "failed"),
        ("pytest.skip('not here')", "skipped"),
        ("request.addfinalizer(lambda: 1 / 0)", "failed"),
    ],
)
def test_a_run_leaves_the_outcomes_of_marked_tests(pytester: pytest.Pytester, body: str, outcome: str) -> None:
    """A failed tear-down counts as a failure; tests without a mark leave nothing."""
    pytester.makeconftest('pytest_plugins = ["tests.requirement_marks"]')
    pytester.makeini("[pytest]\nmarkers = requirement(*ids)")
    pytester.makepyfile(
        "import pytest\n"
        '@pytest.mark.requirement("D1.1", "D1.2")\n'
        f"def test_it(request): {body}\n"
        "def test_other(): pass\n"
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "--requirements-out=out/a.json")
    (result,) = read_results(pytester.path / "out")
    assert (result.ids, result.outcome) == (("D1.1", "D1.2"), outcome)


def test_every_criterion_has_its_place() -> None:
    """The project's own file can be read, and has the groups D1-D7, S1-S8 and N."""
    groups = load_criteria()
    assert list(groups) == [*(f"D{n}" for n in range(1, 8)), *(f"S{n}" for n in range(1, 9)), "N"]
    assert len(list_ids(groups)) == 113
