"""The offline commands, as scripts of commands and what they print."""

from pathlib import Path

import pytest

from tests.unit.cli.scripting import SCRIPTS, run_script


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_script_prints_what_it_says(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of output, on stdout and on stderr, and every exit code."""
    monkeypatch.chdir(tmp_path)
    run_script(script)
