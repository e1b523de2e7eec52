"""`@pytest.mark.requirement("D1.1")`: checks that the ids exist, and writes down what became of the tests.

With `--requirements-out FILE` the outcomes of this process go there, for scripts/requirements_report.py. The ids travel
with the reports of the tests, so it makes no difference whether other processes (pytest-xdist) run them.
"""

import json
from pathlib import Path

import pytest

from scripts.requirements_report import list_ids, load_criteria

MARK = "requirement"
WEIGHTS = {"skipped": 0, "passed": 1, "failed": 2}
"""The worst of set-up, call and tear-down counts; a set-up that passed says nothing yet."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the outcomes go."""
    parser.addoption("--requirements-out", type=Path, default=None, help="write the outcomes of marked tests here")


def pytest_configure(config: pytest.Config) -> None:
    """Collect outcomes in the process that sees all of them."""
    path = config.getoption("--requirements-out")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(OutcomeCollector(path), "requirement-outcomes")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Attach the ids to each test.

    Raises:
        pytest.UsageError: an id is not in docs/criteria.toml.
    """
    known = list_ids(load_criteria())
    for item in items:
        ids = sorted({each for mark in item.iter_markers(MARK) for each in mark.args})
        unknown = [each for each in ids if each not in known]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: docs/criteria.toml has no requirement {', '.join(unknown)}")
        if ids:
            item.user_properties.append((MARK, ids))


class OutcomeCollector:
    """The outcome of every marked test case of this process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: dict[str, list[str]] = {}
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for set-up, call and tear-down of each test."""
        ids = dict(report.user_properties).get(MARK)
        if not isinstance(ids, list):
            return
        self._ids[report.nodeid] = ids
        if report.when == "call" or not report.passed:
            worst = max(self._outcomes.get(report.nodeid, "skipped"), report.outcome, key=WEIGHTS.__getitem__)
            self._outcomes[report.nodeid] = worst

    def pytest_sessionfinish(self) -> None:
        """Write them down."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        entries = [
            {"test": name, "ids": ids, "outcome": self._outcomes.get(name, "skipped")}
            for name, ids in sorted(self._ids.items())
        ]
        self._path.write_text(json.dumps(entries, indent=1), encoding="utf-8")
