"""The key service of one environment on AWS, and what becomes of an order that cannot be carried out."""

from dataclasses import dataclass
from datetime import UTC, datetime

from functions.rotate_keys.records import describe_failure
from functions.rotate_keys.rotating import KeyRotator
from functions.rotate_keys.settings import RotateKeysSettings
from functions.rotate_keys.settling import KeySettler
from functions.rotate_keys.sweeping import KeySweeper
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.alerts import EventBridgeAlerts
from pqtransfer.aws.clients import Session, client_config
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.key_backups import connect_key_backups
from pqtransfer.aws.key_catalogue import DynamoKeyCatalogue
from pqtransfer.aws.key_orders import EventBridgeKeyAnnouncer, SqsKeyOrders
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.vault import RoleKeyReader, SecretsManagerVault
from pqtransfer.errors import AccessError, InputError, IntegrityError, PqtransferError
from pqtransfer.keys.backups import KeyBackups
from pqtransfer.keys.dependents import KeyDependents
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity
from pqtransfer.recording.keys import KeyFacts, RecordingKeyReader

EVENT_SOURCE = "pqtransfer"


@dataclass(frozen=True)
class KeyService:
    """What the handler needs. Made once for a running instance; the time is new with each call."""

    settings: RotateKeysSettings
    registry: DynamoKeyRegistry
    catalogue: DynamoKeyCatalogue
    vault: SecretsManagerVault
    reader: RoleKeyReader
    backups: KeyBackups
    orders: SqsKeyOrders
    announcer: EventBridgeKeyAnnouncer
    alerts: Alerts
    dependents: KeyDependents
    trail: AuditTrail

    def carry_out(self, order: KeyOrder) -> dict[str, object]:
        """Do what the order says, and tell what was done.

        Raises:
            PqtransferError: it could not be done. It is recorded, and the administrators are told when only they can
                mend it.
        """
        try:
            return self._carry_out(order, now=datetime.now(UTC))
        except (AccessError, InputError, IntegrityError) as error:
            self.trail.record(describe_failure(order, error))
            self.alerts.raise_alert(describe_alert(order, error, at=datetime.now(UTC)))
            raise

    def sweeper(self) -> KeySweeper:
        """Looks for what is due now."""
        return KeySweeper(
            catalogue=self.catalogue,
            orders=self.orders,
            alerts=self.alerts,
            policy=self.settings.policy,
            patience=self.settings.patience,
            now=datetime.now(UTC),
        )

    def _carry_out(self, order: KeyOrder, *, now: datetime) -> dict[str, object]:
        if order.action is KeyAction.SETTLE:
            settled = KeySettler(
                registry=self.registry,
                vault=self.vault,
                backups=self.backups.store,
                dependents=self.dependents,
                announcer=self.announcer,
                trail=self.trail,
                policy=self.settings.policy,
                patience=self.settings.patience,
                now=now,
            ).settle(order)
            return {
                name: [key.key_id for key in getattr(settled, name)]
                for name in ("retired", "destroyed", "kept", "unknown")
            }
        rotator = KeyRotator(
            registry=self.registry,
            vault=self.vault,
            reader=RecordingKeyReader(self.reader, self.trail, KeyFacts(order.actor, order.correlation_id)),
            backups=self.backups,
            announcer=self.announcer,
            trail=self.trail,
            patience=self.settings.patience,
            now=now,
        )
        if order.action is KeyAction.BACK_UP:
            return {"backed_up": [key.key_id for key in rotator.back_up(order)]}
        key = rotator.rotate(order)
        return {"new_key": None if key is None else key.key_id}


def describe_alert(order: KeyOrder, error: PqtransferError, *, at: datetime) -> Alert:
    """What the administrators are told of an order that only they can mend."""
    subject = f"the {order.purpose} key" if order.purpose else "the keys"
    return Alert(
        code="key-rotation-failed",
        key=f"key-rotation-failed/{order.participant}/{order.purpose or 'all'}",
        severity=AlertSeverity.HIGH,
        summary=f"{order.action} of {subject} of {order.participant} failed: {error}"[:1024],
        remedy="The old key stays in use. See docs/runbooks/key-rotation-failed.md",
        raised_at=at,
        correlation_id=order.correlation_id,
        details={"participant": order.participant, "error": error.code},
    )


def connect_key_service(
    settings: RotateKeysSettings, session: Session, *, trail: AuditTrail, dependents: KeyDependents
) -> KeyService:
    """The key service of this environment, on AWS."""
    config = client_config()
    bus = EventBridgeBus(session.client("events", config=config), bus=settings.event_bus, source=EVENT_SOURCE)
    dynamodb = session.client("dynamodb", config=config)
    return KeyService(
        settings=settings,
        registry=DynamoKeyRegistry(dynamodb, table_name=settings.participants_table),
        catalogue=DynamoKeyCatalogue(dynamodb, table_name=settings.participants_table),
        vault=SecretsManagerVault(
            session.client("secretsmanager", config=config),
            environment=settings.environment,
            encryption_key_arn=settings.secrets_key_arn,
        ),
        reader=RoleKeyReader(session.client("sts", config=config)),
        backups=connect_key_backups(
            session,
            environment=settings.environment,
            bucket=settings.key_backups_bucket,
            key_arn=settings.key_backups_key_arn,
            recovery_public_key=settings.recovery_public_key,
        ),
        orders=SqsKeyOrders(session.client("sqs", config=config), queue_url=settings.key_orders_queue_url),
        announcer=EventBridgeKeyAnnouncer(bus),
        alerts=EventBridgeAlerts(bus),
        dependents=dependents,
        trail=trail,
    )
