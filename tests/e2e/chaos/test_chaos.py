"""A small chaos run: whatever the machine makes of its times, every transfer ends as it must, and nothing is left."""

import json
from pathlib import Path

import pytest

from pqtransfer.sdk.deployment import Deployment
from scripts.chaos_run.__main__ import run_chaos
from scripts.chaos_run.world import World
from scripts.embedded_cloud import EmbeddedCloud

pytestmark = pytest.mark.e2e


@pytest.mark.requirement("D6.5")
def test_eight_transfers_under_faults(cloud: EmbeddedCloud, deployment: Deployment, tmp_path: Path) -> None:
    """Right content or a true reason; no upload, lock, checkpoint or message left over; nothing written twice."""
    world = World(cloud, deployment, tmp_path)
    world.register()
    report = tmp_path / "report.md"
    verdict = run_chaos(world, seed=1, transfers=8, workers=2, report=report, command="scripts/chaos --seed 1")
    assert verdict.problems == ()
    assert verdict.completed + sum(verdict.failed.values()) == 8
    assert verdict.completed > 0
    document = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(document["faults"]) >= 13
