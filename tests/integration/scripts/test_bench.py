"""The benchmark runs: a small round of everything that needs no deployment."""

import json
import subprocess
from pathlib import Path

from scripts.benchmarks.__main__ import CONTENDERS
from scripts.toolchain import ROOT


def test_a_smoke_run_measures_every_contender_and_leaves_nothing(tmp_path: Path) -> None:
    """`scripts/bench --smoke` takes seconds, checks what was received, and writes only what it is told to."""
    committed = ROOT.joinpath("docs", "benchmarks.md")
    before = committed.read_bytes() if committed.exists() else None
    work, found = tmp_path / "work", tmp_path / "found.json"
    work.mkdir()
    subprocess.run(
        [ROOT / "scripts" / "bench", "--smoke", "--json", str(found), "--folder", str(work)],
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=240,
    )
    tables = json.loads(found.read_text())["tables"]
    measured = {name: {row["contender"] for row in table} for name, table in tables.items()}
    assert {name: found | {"rclone_crypt"} for name, found in measured.items()} == {
        name: {*contenders, "rclone_crypt"} for name, contenders in CONTENDERS.items()
    }
    assert all(sample["cpu_seconds"] > 0 for table in tables.values() for row in table for sample in row["samples"])
    assert list(work.iterdir()) == []
    assert (committed.read_bytes() if committed.exists() else None) == before
