"""What one decision on the size of the fleet costs us while 100,000 transfers wait, with AWS answering at once.

Calls to AWS are left out: their answers come from memory. What is left is reading the page of the ledger, deciding,
writing the audit event, and writing and reading the history.
"""

import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from uuid6 import uuid7

from functions.decide_scaling.scaling import Scaling
from pqtransfer.audit.events import AuditEvent, AuditFacts
from pqtransfer.aws.fleet import FleetState
from pqtransfer.aws.scaling_history import DynamoDecisionHistory
from pqtransfer.aws.workload import WaitingTransfers
from pqtransfer.scaling.policy import ScalingPolicy
from pqtransfer.transfers.request import TransferRequest

QUEUED, RUNS = 100_000, 200
EVENT_ID = "0198c0de-0000-7000-8000-000000000001"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class DecisionTimes:
    """Seconds of CPU that decisions took."""

    queued: int
    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99_seconds(self) -> float:
        return statistics.quantiles(self.seconds, n=100)[-1]


class _Rows:
    """A table whose queries are answered from memory."""

    def __init__(self, rows: list[dict[str, Any]], *, newest_first: bool = False) -> None:
        self._rows, self._newest_first = rows, newest_first

    def query(self, **asked: Any) -> dict[str, Any]:
        count = asked["Limit"]
        return {"Items": self._rows[: -count - 1 : -1] if self._newest_first else self._rows[:count]}

    def put_item(self, **asked: Any) -> None:
        self._rows.append(asked["Item"])

    def update_item(self, **asked: Any) -> None:  # noqa: ARG002 - the table's
        self._rows[-1]["applied"] = True


class _WrittenTrail:
    """Writes every event as it would go to the queue, and keeps none."""

    def record(self, *facts: AuditFacts) -> None:
        for each in facts:
            said_by = {"producer": "bench/1", "sequence": 1, "event_id": EVENT_ID, "time_ms": 1}
            AuditEvent.model_validate({**each.model_dump(), **said_by}).to_json()


def measure_decisions(*, queued: int = QUEUED, runs: int = RUNS) -> DecisionTimes:
    """Decisions one after the other, each of which changes the fleet."""
    request = TransferRequest(
        transfer_id=str(uuid7()),
        kind="encrypt",
        source="s3://models/model.safetensors",
        sender="site-a",
        recipients=("site-b", "site-c"),
        expected_size_bytes=17_500_000_000,
        deadline=NOW + timedelta(hours=3),
        correlation_id="bench",
    ).to_json()
    waiting = [{"request": request, "submitted_at": NOW.isoformat()} for _ in range(queued)]
    history: list[dict[str, Any]] = []
    counts = iter(range(1, 2 * runs + 2))
    scaling = Scaling(
        service="workers",
        policy=ScalingPolicy(minimum=1, maximum=500),
        fleet=SimpleNamespace(
            read=lambda: FleetState(next(counts) % 50, 10, 0), count_protected=lambda: 10, set_desired=lambda _: None
        ),
        queue=SimpleNamespace(read=lambda: (queued, 10)),
        backlog=WaitingTransfers(_Rows(waiting)),  # type: ignore[arg-type]
        metrics=SimpleNamespace(read=lambda **_: ((60.0,) * 6, 1e9)),
        history=DynamoDecisionHistory(_Rows(history, newest_first=True), service="workers"),  # type: ignore[arg-type]
        trail=_WrittenTrail(),
        alerts=SimpleNamespace(raise_alert=lambda _: None),
    )
    seconds = []
    for minute in range(runs):
        began = time.thread_time()
        scaling.run(now=NOW + timedelta(minutes=minute), correlation_id="bench")
        seconds.append(time.thread_time() - began)
    return DecisionTimes(queued, tuple(seconds))
