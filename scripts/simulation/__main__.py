"""The command scripts/simulate_scaling: simulate, print the tables, and write them into docs/scaling.md."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from scripts.simulation.fleet import Conditions
from scripts.simulation.report import write_plots, write_table
from scripts.simulation.running import compare
from scripts.simulation.workload import Workload
from scripts.toolchain import ROOT

PAGE = ROOT / "docs" / "scaling.md"
PLOTS = ROOT / "docs" / "plots"
SMALL_ROUND = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/simulate_scaling", description=__doc__)
    parser.add_argument("--days", type=int, default=30, help="how many days, with one round each")
    parser.add_argument("--transfers", type=int, default=10_000, help="in a round")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write tables and plots into docs/")
    given = parser.parse_args(arguments)
    workload, conditions = Workload(days=given.days, transfers=given.transfers), Conditions()
    large = compare(workload, conditions, seed=given.seed)
    small = compare(replace(workload, transfers=SMALL_ROUND), conditions, seed=given.seed)
    tables = {"large": write_table(large), "small": write_table(small)}
    for name, table in tables.items():
        print(f"{name} rounds\n{table}\n")
    if given.write:
        text = PAGE.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = replace_block(text, name, table)
        PAGE.write_text(text, encoding="utf-8")
        write_plots(large, PLOTS)
    return 0


def replace_block(text: str, name: str, block: str) -> str:
    """The text with another block between its marks."""
    begin, end = f"<!-- {name}: scripts/simulate_scaling --write -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{block}{end}{after}"


if __name__ == "__main__":
    sys.exit(main())
