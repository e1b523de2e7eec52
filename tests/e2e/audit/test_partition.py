"""Killed and cut off on the deployed cloud: the log is complete in the end, with every event once."""

import contextlib
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import boto3
import pytest

from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.sdk.audit_log import AuditLog
from scripts.embedded_cloud import EmbeddedCloud
from tests.e2e.audit.scene import Scene, make_facts, wait_for
from tests.e2e.conftest import ActAs

pytestmark = pytest.mark.e2e

SEQUENCER = "SequenceAuditLog"


def read_numbers(scene: Scene, producer: str) -> list[int]:
    """The numbers of a producer's events, in the order of the log."""
    log = AuditLog(scene.log_files, scene.load_policy())
    return [each.event.sequence for each in log.tail(2000) if each.event.producer == producer]


@pytest.mark.requirement("D4.6", "D7.3", "N10")
def test_events_wait_in_the_spool_while_the_queue_cannot_be_reached(
    scene: Scene, act_as: ActAs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that recorded them dies before the queue is back; a later one brings them."""
    keys = act_as("worker")
    session = boto3.Session(keys.aws_access_key_id, keys.aws_secret_access_key, keys.aws_session_token, "us-east-1")
    queue_url = scene.deployment.audit_queue_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    cut_off = connect_audit_trail(session, queue_url=queue_url, service="e2e-cut-off", spool_directory=tmp_path)
    for number in range(60):
        cut_off.record(make_facts(number))
    assert read_numbers(scene, cut_off.producer) == []
    cut_off._spool.close(within_seconds=30)  # type: ignore[union-attr]
    monkeypatch.setenv("AWS_ENDPOINT_URL", scene.deployment.endpoint_url or "")
    connect_audit_trail(session, queue_url=queue_url, service="e2e-later", spool_directory=tmp_path)
    wait_for("events of the dead process", lambda: read_numbers(scene, cut_off.producer)[59:] or None)
    scene.settle()
    assert read_numbers(scene, cut_off.producer) == list(range(1, 61))
    assert scene.check() == {}


@pytest.mark.requirement("D7.3", "D7.5", "N10")
def test_a_sequencer_that_is_killed_again_and_again_loses_and_repeats_nothing(
    scene: Scene, cloud: EmbeddedCloud
) -> None:
    """Its process gets SIGKILL while it works; what it had in hand comes again, and is recognized."""
    trail, killed = scene.make_trail("e2e-killed"), 0
    for burst in range(4):
        for number in range(12):
            trail.record(*(make_facts(number) for _ in range(5)))
        deadline = time.monotonic() + 3
        while killed <= burst and time.monotonic() < deadline:
            killed += kill_sequencers(cloud)
            time.sleep(0.02)
    assert killed
    scene.settle()
    numbers = read_numbers(scene, trail.producer)
    assert Counter(numbers) == Counter(range(1, 241))
    assert scene.check() == {}


def kill_sequencers(cloud: EmbeddedCloud) -> int:
    """Kill every process of the embedded cloud that runs the sequencer's code: how many there were."""
    server = json.loads((cloud.folder / "cloud.json").read_text(encoding="utf-8"))["pid"]
    count = 0
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (path / "cmdline").read_bytes()
            stat = (path / "stat").read_text().rpartition(")")[2].split()
            if SEQUENCER.encode() in command and int(stat[1]) == server:
                os.kill(int(path.name), signal.SIGKILL)
                count += 1
    return count
