"""docs/audit-events.md lists what the code records: no action more, none less."""

import ast
import re
from pathlib import Path

import pytest

from pqtransfer.audit.events import EventKind
from scripts.toolchain import ROOT

PAGE = ROOT / "docs" / "audit-events.md"
PRODUCERS = ("pqtransfer", "transfer_worker", "functions", "scripts")
ACTION = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*){1,3}")
NOT_ACTIONS = re.compile(r".*\.(json|py|parquet|safetensors|bin|toml|html|pdf|csv|txt|log|md)")
"""What looks like one and is the name of a file."""
ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| .+ \| .+ \|$", re.MULTILINE)


def read_table() -> dict[str, str]:
    """Action -> kind."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) == len(dict(rows)), "an action has two rows"
    return dict(rows)


def find_actions(path: Path) -> set[str]:
    """The actions in a file: texts that look like one and are given to a call, or are named `ACTION`, `..._ACTION`."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call):
            given = [*node.args, *(each.value for each in node.keywords if each.arg in ("action", "operation"))]
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and f"_{target.id}".endswith("_ACTION") for target in node.targets
        ):
            given = [node.value]
        found |= {each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    return {each for each in found if ACTION.fullmatch(each) and not NOT_ACTIONS.fullmatch(each)}


def test_every_action_in_the_code_is_in_the_table_and_none_besides() -> None:
    """Whoever adds one says when it is recorded, and by whom."""
    recorded = {
        action: path.relative_to(ROOT).as_posix()
        for folder in PRODUCERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "benchmarks" not in path.parts
        for action in find_actions(path)
    }
    table = read_table()
    assert {action: place for action, place in recorded.items() if action not in table} == {}
    assert sorted(table.keys() - recorded.keys()) == []


def test_every_kind_is_one() -> None:
    """As events spell it."""
    assert set(read_table().values()) <= set(EventKind)


@pytest.mark.parametrize(
    ("source", "actions"),
    [
        ('AuditFacts(action="key.create")', {"key.create"}),
        ('self._make(AuditFacts, "key.use")', {"key.use"}),
        ('with telling(observer, "envelope.open"): pass', {"envelope.open"}),
        ('PURGE_ACTION = "audit.purge"', {"audit.purge"}),
        ('AuditFacts(details={"a": "b.c"}); Path("manifest.json")', set()),
        ('ACTION = "audit.tamper"; NAME = "not.one"', {"audit.tamper"}),
    ],
)
def test_how_actions_are_found(tmp_path: Path, source: str, actions: set[str]) -> None:
    """The test above can fail."""
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert find_actions(path) == actions
