"""The fleet of a deployment: its workers, its queue, and how it came to its size.

fleet = connect_fleet(load_deployment(Path("deployment.json")))
print(fleet.look().decisions[0].says)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pqtransfer.aws.clients import make_session
from pqtransfer.aws.fleet import EcsFleet, FleetState
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.scaling_history import DynamoDecisionHistory
from pqtransfer.aws.workload import QueueDepth
from pqtransfer.scaling.deciding import Decision
from pqtransfer.scaling.history import DecisionHistory
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.transfers.ledger import TransferLedger, TransferRecord, TransferState
from pqtransfer.transfers.request import TransferKind

MOST_WORKERS = 500


class Service(Protocol):
    """`pqtransfer.aws.fleet.EcsFleet`."""

    def read(self) -> FleetState: ...


class Queue(Protocol):
    """`pqtransfer.aws.workload.QueueDepth`."""

    def read(self) -> tuple[int, int]: ...


@dataclass(frozen=True)
class FleetView:
    """The fleet at one moment. `work` holds what each busy worker does."""

    at: datetime
    desired: int
    running: int
    pending: int
    minimum: int
    maximum: int
    messages_waiting: int
    messages_in_flight: int
    work: tuple[TransferRecord, ...]
    decisions: tuple[Decision, ...]

    @property
    def busy(self) -> int:
        """Workers with a transfer in their hands."""
        return len({record.owner for record in self.work})

    @property
    def idle(self) -> int:
        """Workers without."""
        return max(0, self.running - self.busy)


@dataclass(frozen=True)
class Fleet:
    """The fleet of one deployment, by its ports."""

    service: Service
    queue: Queue
    ledger: TransferLedger
    history: DecisionHistory
    minimum: int
    maximum: int
    now: Callable[[], datetime]

    def look(self, *, decisions: int = 10) -> FleetView:
        """What there is now, and the last decisions, newest first.

        Raises:
            CloudError: a part of the deployment does not answer, or the caller may not ask it.
        """
        at, state = self.now(), self.service.read()
        waiting, in_flight = self.queue.read()
        running = self.ledger.list_recent(sender=None, state=TransferState.RUNNING, limit=MOST_WORKERS)
        return FleetView(
            at=at,
            desired=state.desired,
            running=state.running,
            pending=state.pending,
            minimum=self.minimum,
            maximum=self.maximum,
            messages_waiting=waiting,
            messages_in_flight=in_flight,
            work=tuple(_held_by_workers(list(running), at)),
            decisions=tuple(each.decision for each in self.history.read_recent(limit=decisions)),
        )


def connect_fleet(deployment: Deployment, *, profile: str | None = None) -> Fleet:
    """The fleet, with the default AWS credentials or those of a profile."""
    session = make_session(profile=profile, region=deployment.region)
    return Fleet(
        service=EcsFleet.open(session, cluster=deployment.cluster, service=deployment.service),
        queue=QueueDepth.open(session, queue_url=deployment.queue_url),
        ledger=DynamoTransferLedger.open(session, deployment.transfers_table, endpoint_url=deployment.endpoint_url),
        history=DynamoDecisionHistory.open(
            session,
            table_name=deployment.decisions_table,
            service=deployment.service,
            endpoint_url=deployment.endpoint_url,
        ),
        minimum=deployment.workers_minimum,
        maximum=deployment.workers_maximum,
        now=lambda: datetime.now(UTC),
    )


def _held_by_workers(records: Sequence[TransferRecord], at: datetime) -> Sequence[TransferRecord]:
    """Those whose lease is alive; an upload is in the hands of its sender."""
    return [
        record
        for record in records
        if record.kind is not TransferKind.UPLOAD and record.lease_expires_at and record.lease_expires_at > at
    ]
