"""The answer to a compromise, put together on AWS, with the queue by which it goes on."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from functions.respond_to_compromise.messages import GoOn
from functions.respond_to_compromise.ports import Surroundings
from functions.respond_to_compromise.responding import Responder
from functions.respond_to_compromise.settings import RespondToCompromiseSettings
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.alerts import EventBridgeAlerts
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.audit_trust import S3TrustBucket
from pqtransfer.aws.clients import client_config, make_object_client, make_session
from pqtransfer.aws.containers import S3Containers
from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.failures import translated
from pqtransfer.aws.incidents import DynamoIncidentStore
from pqtransfer.aws.key_orders import SqsKeyOrders
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.queue import TransferQueue
from pqtransfer.aws.signature_evidence import AuditLogEvidence
from pqtransfer.aws.vault import RoleKeyReader
from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.environment import load_settings
from pqtransfer.protection.incidents import (
    CREDENTIALS_REVOKED_DETAIL_TYPE,
    CompromiseReported,
    Incident,
    IncidentStore,
    ParticipantCredentialsRevoked,
)
from pqtransfer.protection.renewing import EnvelopeRenewer
from pqtransfer.recording.keys import KeyFacts, RecordingKeyReader
from pqtransfer.transfers.ledger import FINAL_STATES
from pqtransfer.transfers.request import TransferRequest
from pqtransfer.transfers.signed_request import sign_request

SOURCE = "pqtransfer"
SERVICE = "respond-to-compromise"
LONGEST_DELAY_SECONDS = 900
"""The most that SQS knows."""


@dataclass(frozen=True)
class SignedRequests:
    """`RequestSubmitter` on the ledger and the transfer queue."""

    ledger: DynamoTransferLedger
    queue: TransferQueue

    def submit(self, request: TransferRequest, key: PrivateKey, *, at: datetime) -> None:
        record = self.ledger.submit(request, at=at)
        if record.state not in FINAL_STATES:
            self.queue.send(sign_request(request, key))


@dataclass(frozen=True)
class BusAnnouncer:
    """`Announcer` on the event bus."""

    bus: EventBridgeBus

    def announce_credentials_revoked(self, event: ParticipantCredentialsRevoked) -> None:
        self.bus.put(CREDENTIALS_REVOKED_DETAIL_TYPE, event.model_dump_json(), at=event.revoked_at)


@dataclass(frozen=True)
class IncidentService:
    """Takes reports, and goes on with incidents by messages to itself."""

    responder: Responder
    send: Callable[[str, int], None]
    poll_seconds: int
    forgotten_after: timedelta = timedelta(minutes=30)
    """Longer than a run that failed takes to come again by itself."""

    def take(self, report: CompromiseReported) -> Incident:
        """Revoke at once; everything else follows by messages."""
        incident = self.responder.report(report)
        self._begin(incident)
        return incident

    def work(self, incident_id: str, *, run: int) -> Incident:
        """Go on; when it is not closed then, once more a little later. A message of a run that has ended does nothing.

        However many messages there are of one run, one follows them: the one whose work ended first sends it.
        """
        if self._incidents.read_run(incident_id).number != run:
            return self._incidents.get(incident_id)
        incident = self.responder.work(incident_id)
        if not incident.is_closed and self._incidents.hand_on(incident_id, run, at=self.responder.now()):
            self._send(incident_id, run=run + 1, delay_seconds=self._wait(incident))
        return incident

    def resume(self) -> int:
        """Go on with every incident that is not closed and that nobody has gone on with for a while."""
        at, resumed = self.responder.now(), 0
        for incident in self._incidents.list_all():
            run = self._incidents.read_run(incident.incident_id)
            idle = at - max(run.handed_on_at or incident.revoked_at, incident.changed_at)
            if incident.is_closed or idle < self.forgotten_after:
                continue
            if self._incidents.hand_on(incident.incident_id, run.number, at=at):
                self._send(incident.incident_id, run=run.number + 1, delay_seconds=0)
                resumed += 1
        return resumed

    def retry(self, incident_id: str) -> Incident:
        """Try again what failed.

        Raises:
            IncidentNotFoundError: there is no such incident.
            CloudError, AuditUnavailableError: it can be asked for again.
        """
        incident = self.responder.retry(incident_id)
        self._begin(incident)
        return incident

    @property
    def _incidents(self) -> IncidentStore:
        return self.responder.around.incidents

    def _wait(self, incident: Incident) -> int:
        """The seconds until the next run: longer where it is known that nothing is due before."""
        due = self.responder.next_due(incident)
        known = 0 if due is None else math.ceil((due - self.responder.now()).total_seconds())
        return max(self.poll_seconds, min(known, LONGEST_DELAY_SECONDS))

    def _begin(self, incident: Incident) -> None:
        if not incident.is_closed:
            run = self._incidents.read_run(incident.incident_id)
            self._send(incident.incident_id, run=run.number, delay_seconds=0)

    def _send(self, incident_id: str, *, run: int, delay_seconds: int) -> None:
        self.send(GoOn(incident_id=incident_id, run=run).model_dump_json(), delay_seconds)


def connect_incident_service(*, has_time: Callable[[], bool]) -> IncidentService:
    """The service of this environment. Keys that it has read stay in memory for one call; each reading is on record."""
    connected = _connect()
    around = replace(
        connected.around, renewer_for=cache(connected.around.renewer_for), evidence=connected.make_evidence()
    )
    responder = Responder(around, now=lambda: datetime.now(UTC), has_time=has_time, removal_wait=connected.removal_wait)
    return IncidentService(responder, connected.send, connected.poll_seconds)


@dataclass(frozen=True)
class _Connected:
    """What is connected once for each instance of the function, so that a report need not wait for it."""

    around: Surroundings
    make_evidence: Callable[[], AuditLogEvidence]
    send: Callable[[str, int], None]
    poll_seconds: int
    removal_wait: timedelta


@cache
def _connect() -> _Connected:
    settings, session = load_settings(RespondToCompromiseSettings), make_session()
    config = client_config()
    sqs, s3 = session.client("sqs", config=config), make_object_client(session)
    bus = EventBridgeBus(session.client("events", config=config), bus=settings.event_bus, source=SOURCE)
    registry = DynamoKeyRegistry(session.client("dynamodb", config=config), table_name=settings.participants_table)
    ledger = DynamoTransferLedger.open(session, settings.transfers_table)
    containers = S3Containers.open(session, bucket=settings.data_bucket)
    index = DynamoDependencyIndex.open(session, settings.envelopes_table)
    trail = _connect_trail(settings.audit_queue_url)
    reader = RoleKeyReader(session.client("sts", config=config))

    def make_renewer(correlation_id: str) -> EnvelopeRenewer:
        return EnvelopeRenewer(
            registry=registry,
            key_reader=RecordingKeyReader(reader, trail, KeyFacts(SERVICE, correlation_id)),
            ledger=ledger,
            containers=containers,
            index=index,
            trail=trail,
            minimum_suite_id=settings.minimum_suite,
            session_name=SERVICE,
        )

    def make_evidence() -> AuditLogEvidence:
        return AuditLogEvidence(
            s3,
            bucket=settings.audit_bucket,
            trust=S3TrustBucket(s3, bucket=settings.audit_trust_bucket),
            origin=settings.audit_origin,
        )

    def send(body: str, delay_seconds: int) -> None:
        with translated(action="go on with an incident"):
            sqs.send_message(QueueUrl=settings.incidents_queue_url, MessageBody=body, DelaySeconds=delay_seconds)

    around = Surroundings(
        registry=registry,
        index=index,
        incidents=DynamoIncidentStore.open_table(session, settings.incidents_table),
        renewer_for=make_renewer,
        ledger=ledger,
        containers=containers,
        key_orders=SqsKeyOrders(sqs, queue_url=settings.key_orders_queue_url),
        requests=SignedRequests(ledger, TransferQueue(sqs, queue_url=settings.queue_url)),
        announcer=BusAnnouncer(bus),
        alerts=EventBridgeAlerts(bus),
        evidence=make_evidence(),
        trail=trail,
    )
    return _Connected(
        around, make_evidence, send, settings.poll_seconds, timedelta(minutes=settings.removal_wait_minutes)
    )


@cache
def _connect_trail(audit_queue_url: str) -> AuditTrail:
    """One producer of audit events for each instance of the function."""
    return connect_audit_trail(make_session(), queue_url=audit_queue_url, service=SERVICE, spool_directory=None)
