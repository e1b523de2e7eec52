"""The key service: a queue of orders, the function that carries them out, the drill of backups, and their schedules.

The role of the function stands apart: participants' roles trust it, so it outlives the function (as the worker's does).
So do that of the function that renews envelopes, and that of the one that answers a compromise: a role each, so that
an error in one may not do what another has to.
"""

from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_events import Schedule
from constructs import Construct

from functions.drill_key_restore.settings import DrillKeyRestoreSettings
from functions.rotate_keys.settings import RotateKeysSettings
from infra.constructs import audit_grants, grants, key_grants
from infra.constructs.audit_grants import AuditStores
from infra.constructs.event_bus import TransferEvents
from infra.constructs.function_factory import FunctionFactory
from infra.constructs.function_triggers import BusTrigger, ClockTrigger
from infra.constructs.grants import DataStores
from infra.constructs.python_function import PythonFunction
from infra.constructs.queues import hidden_for_function, make_queue
from infra.environments import EnvironmentConfig
from infra.names import Names
from pqtransfer.aws.key_orders import SWEEP_GROUP
from pqtransfer.keys.events import DRILL_CONTINUES_DETAIL_TYPE

BATCH_SIZE = 5
RECEIVES_AT_MOST = 20
SWEEP = Schedule.rate(Duration.hours(1))
DRILL = Schedule.rate(Duration.days(6))
"""At least weekly: an alarm that waits for a week, the most that CloudWatch does, must not wait for the same minute."""
DRILL_SECONDS = 900
DRILL_MEMORY_MIB = 512
PARTS = ("crypto", "keys", "audit", "operations", "transfers", "recording", "aws")


class ActingIdentity(Construct):
    """The role of a function that acts as participants, with nobody's permission to do anything yet."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, role_name: str, description: str
    ) -> None:
        super().__init__(scope, id)
        self.role = iam.Role(
            self,
            "Role",
            role_name=role_name,
            description=description,
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        )
        self.role.apply_removal_policy(RemovalPolicy.RETAIN if environment.retain_data else RemovalPolicy.DESTROY)


@dataclass(frozen=True)
class KeyServiceParts:
    """What stands around the key service."""

    stores: DataStores
    audit: AuditStores
    bus: TransferEvents
    functions: FunctionFactory
    recovery_public_key: str


class KeyService(Construct):
    """`rotate` and `drill`, each under a role of its own."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        identity: iam.Role,
        parts: KeyServiceParts,
    ) -> None:
        super().__init__(scope, id)
        self._environment, self._names, self._parts = environment, names, parts
        self.dead_letters = self._make_queue("DeadLetters")
        self.orders = self._make_queue("Orders", dead_letters=self.dead_letters)
        self.rotate = self._make_rotate(identity)
        self.drill = self._make_drill()
        lambda_.EventSourceMapping(
            self,
            "OrdersTrigger",
            target=self.rotate.function,
            event_source_arn=self.orders.queue_arn,
            batch_size=BATCH_SIZE,
            report_batch_item_failures=True,
        )
        ClockTrigger(self, "Sweep", function=self.rotate, schedule=SWEEP, payload={"action": SWEEP_GROUP})
        ClockTrigger(self, "WeeklyDrill", function=self.drill, schedule=DRILL, payload={"action": "drill"})
        # Where a run had no time left.
        BusTrigger(self, "DrillContinues", function=self.drill, bus=parts.bus, detail_type=DRILL_CONTINUES_DETAIL_TYPE)

    def _make_queue(self, id: str, *, dead_letters: sqs.Queue | None = None) -> sqs.Queue:
        return make_queue(
            self,
            id,
            environment=self._environment,
            key=self._parts.stores.data_key,
            dead_letters=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=RECEIVES_AT_MOST)
            if dead_letters
            else None,
            visibility=hidden_for_function(self._environment, self._environment.function_timeout_seconds),
            fifo=True,
        )

    def _make_rotate(self, identity: iam.Role) -> PythonFunction:
        environment, parts, stack = self._environment, self._parts, Stack.of(self)
        stores = parts.stores
        return parts.functions.make(
            self,
            RotateKeysSettings,
            parts=PARTS,
            values={
                "environment": environment.name,
                "participants_table": stores.participants.table_name,
                "envelopes_table": stores.envelopes.table_name,
                "key_orders_queue_url": self.orders.queue_url,
                "audit_queue_url": parts.audit.queue.queue_url,
                "event_bus": parts.bus.name,
                "secrets_key_arn": stores.secrets_key.key_arn,
                "key_backups_bucket": stores.key_backups_bucket_name,
                "key_backups_key_arn": stores.key_backups_key.key_arn,
                "recovery_public_key": parts.recovery_public_key,
                "kem_key_days": str(environment.kem_key_days),
                "signing_key_days": str(environment.signing_key_days),
                "retiring_key_days": str(environment.retiring_key_days),
                "retired_key_days": str(environment.retired_key_days),
                "rotation_patience_seconds": str(2 * environment.function_timeout_seconds),
            },
            statements=[
                grants.use_table("ReadRegistry", stores.participants, "Query"),
                grants.use_table("ListKeys", stores.participants, "Scan"),
                grants.use_table("WriteRegistry", stores.participants, "PutItem", "UpdateItem"),
                grants.use_table("ReadEnvelopes", stores.envelopes, "GetItem", "Query"),
                *grants.make_participant_secrets(stores, stack, self._names),
                grants.act_as_participants(stores, stack, self._names),
                *key_grants.make_key_backups(stores, stack),
                key_grants.work_off_orders(stores, self.orders),
                *audit_grants.write_audit(parts.audit, stack),
                parts.bus.put_events(),
                grants.use_data_key(stores, stack, "dynamodb", "sqs", "events"),
            ],
            identity=identity,
        )

    def _make_drill(self) -> PythonFunction:
        parts, stack = self._parts, Stack.of(self)
        stores = parts.stores
        return parts.functions.make(
            self,
            DrillKeyRestoreSettings,
            parts=PARTS,
            values={
                "environment": self._environment.name,
                "participants_table": stores.participants.table_name,
                "key_backups_bucket": stores.key_backups_bucket_name,
                "key_backups_key_arn": stores.key_backups_key.key_arn,
                "event_bus": parts.bus.name,
                "audit_queue_url": parts.audit.queue.queue_url,
            },
            statements=[
                grants.use_table("ReadRegistry", stores.participants, "Query"),
                grants.use_table("ListKeys", stores.participants, "Scan"),
                *key_grants.open_key_backups(stores, stack),
                *audit_grants.write_audit(parts.audit, stack),
                parts.bus.put_events(),
                grants.use_data_key(stores, stack, "dynamodb", "events"),
            ],
            memory_mib=DRILL_MEMORY_MIB,
            timeout_seconds=DRILL_SECONDS,
        )
