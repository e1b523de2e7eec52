"""Connects the function to its environment."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache

from functions.process_alerts.delivering import Deliverer
from functions.process_alerts.reading_channels import ChannelReader
from functions.process_alerts.recovering import Recoveries
from functions.process_alerts.sending import ChannelSender
from functions.process_alerts.service import SERVICE, AlertService
from functions.process_alerts.settings import ProcessAlertsSettings
from functions.process_alerts.watching import StallWatch
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.alert_store import DynamoAlertStore
from pqtransfer.aws.alerts import EventBridgeAlerts
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.failures import translated
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.recovery import FleetRecoverer
from pqtransfer.aws.topics import AlertTopic
from pqtransfer.aws.webhooks import WebhookClient
from pqtransfer.environment import load_settings
from pqtransfer.operations.channels import EMAIL_CHANNEL, AddressRules, Channel
from pqtransfer.operations.deliveries import ChannelKind, Route
from pqtransfer.recording.alerts import AlertFacts

SOURCE = "pqtransfer"
LOCAL = "local"
EMAIL_ROUTE = Route(channel=EMAIL_CHANNEL, kind=ChannelKind.EMAIL)


def connect_alert_service(*, run_id: str, has_time: Callable[[], bool]) -> AlertService:
    """The alerts of this environment, for one run of the function."""
    settings = load_settings(ProcessAlertsSettings)
    channels = _connect_channels(settings.channels_id).read()
    store, trail = _connect_store(settings.alerts_table), _connect_trail(settings.audit_queue_url)
    facts = AlertFacts(SERVICE)
    routes = [
        EMAIL_ROUTE,
        *(Route.model_validate(each.model_dump(include=set(Route.model_fields))) for each in channels or ()),
    ]
    return AlertService(
        store=store,
        trail=trail,
        routes=routes,
        deliverer=Deliverer(
            store=store,
            sender=_connect_sender(settings, channels),
            trail=trail,
            alerts=_connect_alerts(settings.event_bus),
            facts=facts,
            run_id=run_id,
        ),
        recoveries=Recoveries(store=store, recoverer=_connect_recoverer(settings), trail=trail, facts=facts),
        watch=StallWatch(_connect_ledger(settings.transfers_table)),
        now=lambda: datetime.now(UTC),
        has_time=has_time,
    )


@cache
def _connect_channels(secret_id: str) -> ChannelReader:
    """One for each instance of the function: it keeps what it read last."""
    client = make_session().client("secretsmanager", config=client_config())

    def fetch() -> str:
        with translated(action="read the channels of alerts"):
            return client.get_secret_value(SecretId=secret_id)["SecretString"]

    return ChannelReader(fetch)


@cache
def _connect_webhooks(hosts: str, *, is_local: bool) -> WebhookClient:
    allowed = frozenset(each.strip() for each in hosts.split(",") if each.strip())
    return WebhookClient(AddressRules(hosts=allowed, allows_loopback=is_local))


@cache
def _connect_topic(topic_arn: str) -> AlertTopic:
    return AlertTopic(make_session().client("sns", config=client_config()), topic_arn=topic_arn)


def _connect_sender(settings: ProcessAlertsSettings, channels: Sequence[Channel] | None) -> ChannelSender:
    return ChannelSender(
        environment=settings.environment,
        topic=_connect_topic(settings.alerts_topic_arn),
        webhooks=_connect_webhooks(settings.webhook_hosts, is_local=settings.environment == LOCAL),
        channels=None if channels is None else {each.channel: each for each in channels},
    )


@cache
def _connect_store(table_name: str) -> DynamoAlertStore:
    return DynamoAlertStore.open_table(make_session(), table_name)


@cache
def _connect_ledger(table_name: str) -> DynamoTransferLedger:
    return DynamoTransferLedger.open(make_session(), table_name)


@cache
def _connect_trail(queue_url: str) -> AuditTrail:
    """One producer of audit events for each instance of the function."""
    return connect_audit_trail(make_session(), queue_url=queue_url, service=SERVICE, spool_directory=None)


@cache
def _connect_alerts(bus: str) -> EventBridgeAlerts:
    client = make_session().client("events", config=client_config())
    return EventBridgeAlerts(EventBridgeBus(client, bus=bus, source=SOURCE))


def _connect_recoverer(settings: ProcessAlertsSettings) -> FleetRecoverer:
    return _make_recoverer(
        settings.cluster, settings.transfers_table, settings.queue_url, settings.dead_letter_queue_url
    )


@cache
def _make_recoverer(cluster: str, transfers_table: str, queue_url: str, dead_letter_queue_url: str) -> FleetRecoverer:
    session, config = make_session(), client_config()
    return FleetRecoverer(
        ecs=session.client("ecs", config=config),
        sqs=session.client("sqs", config=config),
        work=_connect_ledger(transfers_table),
        now=lambda: datetime.now(UTC),
        cluster=cluster,
        queue_url=queue_url,
        dead_letter_queue_url=dead_letter_queue_url,
    )
