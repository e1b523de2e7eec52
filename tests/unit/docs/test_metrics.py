"""docs/metrics.md lists every metric as the catalogue has it."""

from pqtransfer.operations.metrics import METRICS
from scripts.toolchain import ROOT


def test_every_metric_has_its_row() -> None:
    """With its unit, its further dimension and its meaning; and no other is listed."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{each.name}` | {each.unit.value} | {each.split_by or ''} | {each.meaning} |" for each in METRICS
    ]
