"""One run: look, decide, put it on record, keep it, tell the service.

What cannot be learned is left out of the observation, and the decision says so. Only the service itself and the history
of decisions must answer. A run that dies between two steps leaves a decision that was not carried out; the next decides
again. Of two runs at the same time, the slower one finds its number taken, and does nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Protocol, TypeVar

from aws_lambda_powertools import Logger

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.failures import CloudError
from pqtransfer.aws.fleet import FleetState
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity
from pqtransfer.recording.scaling import describe_scaling
from pqtransfer.scaling.deciding import Decision, decide
from pqtransfer.scaling.history import DecisionHistory, Numbered
from pqtransfer.scaling.observing import Observation, WaitingTransfer
from pqtransfer.scaling.policy import ScalingPolicy

REMEMBERED = 20
"""Decisions: one a minute, so what was added for CPU is remembered as long as the policy wants."""
AT_LIMIT_FOR = timedelta(minutes=10)

logger = Logger(service="decide_scaling", child=True)
T = TypeVar("T")


class Fleet(Protocol):
    """`pqtransfer.aws.fleet.EcsFleet`."""

    def read(self) -> FleetState: ...
    def count_protected(self) -> int | None: ...
    def set_desired(self, count: int) -> None: ...


class Queue(Protocol):
    """`pqtransfer.aws.workload.QueueDepth`."""

    def read(self) -> tuple[int, int]: ...


class Backlog(Protocol):
    """`pqtransfer.aws.workload.WaitingTransfers`."""

    def read(self, *, now: datetime) -> Sequence[WaitingTransfer]: ...


class Metrics(Protocol):
    """`pqtransfer.aws.workload.FleetMetrics`."""

    def read(self, *, now: datetime) -> tuple[Sequence[float], float | None]: ...


def ignore_observation(_seen: Observation) -> None:
    """Nobody else wants to know."""


def know_no_age(_now: datetime) -> float | None:
    """Nobody measures how old the oldest message is."""
    return None


@dataclass(frozen=True)
class Scaling:
    """Scales one service by its ports. `publish` is told of what was seen; `read_age` is of the queue, in seconds."""

    service: str
    policy: ScalingPolicy
    fleet: Fleet
    queue: Queue
    backlog: Backlog
    metrics: Metrics
    history: DecisionHistory
    trail: AuditTrail
    alerts: Alerts
    publish: Callable[[Observation], None] = ignore_observation
    read_age: Callable[[datetime], float | None] = know_no_age

    def run(self, *, now: datetime, correlation_id: str) -> Decision | None:
        """Decide, and carry it out; None when another run did.

        Raises:
            CloudError: the service or the history does not answer.
            AuditUnavailableError: the decision could not be put on record, and is not carried out.
        """
        recent = self.history.read_recent(limit=REMEMBERED)
        seen = self._observe(now)
        self.publish(seen)
        decision = decide(seen, self.policy, recent=[each.decision for each in recent])
        number = recent[0].number + 1 if recent else 1
        facts = describe_scaling(decision, service=self.service, correlation_id=correlation_id)
        if facts:
            self.trail.record(*facts)
        if not self.history.add(number, replace(decision, applied=not decision.is_change)):
            logger.info("another run has decided", number=number)
            return None
        if decision.is_change:
            self.fleet.set_desired(decision.desired)
            self.history.mark_applied(number)
        self._tell_of_limit(decision, recent, correlation_id)
        return decision

    def _observe(self, now: datetime) -> Observation:
        state = self.fleet.read()
        messages = _try("the queue", self.queue.read)
        measured = _try("CPU and network", lambda: self.metrics.read(now=now))
        waiting, in_flight = messages or (None, None)
        cpu, bytes_per_second = measured or (None, None)
        busy = min(state.running, in_flight or 0)
        return Observation(
            at=now,
            desired=state.desired,
            running=state.running,
            pending=state.pending,
            messages_waiting=waiting,
            messages_in_flight=in_flight,
            oldest_waiting=_try("what waits", lambda: self.backlog.read(now=now)),
            oldest_message_seconds=_try("the age of the queue", lambda: self.read_age(now)),
            protected=_try("the protection of tasks", self.fleet.count_protected),
            cpu_percent=cpu or None,
            # Measured over all tasks; those that do nothing move nothing.
            bytes_per_second=None if bytes_per_second is None else bytes_per_second * state.running / max(1, busy),
        )

    def _tell_of_limit(self, decision: Decision, recent: Sequence[Numbered], correlation_id: str) -> None:
        """An alert, once, when more workers are needed than are allowed, and were for a while."""
        if decision.needed <= self.policy.maximum:
            return
        over = takewhile(lambda each: each.decision.needed > self.policy.maximum, recent)
        since = min((each.decision.at for each in over), default=decision.at)
        before = recent[0].decision.at if recent else decision.at
        if not before - since < AT_LIMIT_FOR <= decision.at - since:
            return
        self.alerts.raise_alert(
            Alert(
                code="fleet-at-limit",
                key=f"fleet-at-limit/{self.service}",
                severity=AlertSeverity.WARNING,
                summary=f"{decision.needed} workers are needed, {self.policy.maximum} is the limit: {decision.says}",
                remedy="follow docs/runbooks/fleet-at-limit.md",
                raised_at=decision.at,
                correlation_id=correlation_id,
                details={"service": self.service, "needed": str(decision.needed), "maximum": str(self.policy.maximum)},
            )
        )


def _try(what: str, ask: Callable[[], T]) -> T | None:
    """The answer; None, and a line in the log, when there is none."""
    try:
        return ask()
    except CloudError as error:
        logger.warning("not known", what=what, error_code=error.code, reason=str(error))
        return None
