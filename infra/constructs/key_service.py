"""The key service: a queue of orders, the function that carries them out, the drill of backups, and their schedules.

The role of the function stands apart: participants' roles trust it, so it outlives the function (as the worker's does).
So does that of the functions that renew envelopes: neither may do what the other does.
"""

from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.drill_key_restore.settings import DrillKeyRestoreSettings
from functions.rotate_keys.settings import RotateKeysSettings
from infra.constructs import audit_grants, grants, key_grants
from infra.constructs.audit_grants import AuditStores
from infra.constructs.buckets import NO_TLS_REASON
from infra.constructs.event_bus import TransferEvents
from infra.constructs.grants import DataStores
from infra.constructs.python_function import PythonFunction
from infra.environments import EnvironmentConfig
from infra.function_packages import FunctionPackage
from infra.names import Names
from infra.validation import acknowledge
from pqtransfer.aws.key_orders import SWEEP_GROUP
from pqtransfer.keys.events import DRILL_CONTINUES_DETAIL_TYPE

BATCH_SIZE = 5
RECEIVES_AT_MOST = 20
VISIBILITY_TIMEOUTS = 6
"""How many runs of the function a message stays hidden for, as Lambda recommends."""
SWEEP_EVERY = Duration.hours(1)
DRILL_EVERY = Duration.days(7)
DRILL_SECONDS = 900
DRILL_MEMORY_MIB = 512
PARTS = ("crypto", "keys", "audit", "operations", "transfers", "recording", "aws")


class ActingIdentity(Construct):
    """The role of functions that act as participants, with nobody's permission to do anything yet."""

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
    bus_name: str
    layer: lambda_.ILayerVersion
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
        self._run_every("Sweep", SWEEP_EVERY, self.rotate, body={"action": SWEEP_GROUP})
        self._run_every("WeeklyDrill", DRILL_EVERY, self.drill, body={"action": "drill"})
        self._continue_drill()

    def _make_queue(self, id: str, *, dead_letters: sqs.Queue | None = None) -> sqs.Queue:
        timeouts = 1 if self._environment.is_local else VISIBILITY_TIMEOUTS
        queue = sqs.Queue(
            self,
            id,
            fifo=True,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=self._parts.stores.data_key,
            enforce_ssl=self._environment.require_tls,
            retention_period=Duration.days(self._environment.message_retention_days),
            visibility_timeout=Duration.seconds(timeouts * self._environment.function_timeout_seconds),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=RECEIVES_AT_MOST)
            if dead_letters
            else None,
        )
        if dead_letters is None:
            acknowledge(queue, {"SQS3": "It is the dead-letter queue."})
        if not self._environment.require_tls:
            acknowledge(queue, {"SQS4": NO_TLS_REASON})
        return queue

    def _make_rotate(self, identity: iam.Role) -> PythonFunction:
        environment, parts, stack = self._environment, self._parts, Stack.of(self)
        stores = parts.stores
        return PythonFunction(
            self,
            "RotateKeys",
            environment=environment,
            names=self._names,
            package=FunctionPackage("rotate_keys", parts=PARTS),
            settings=RotateKeysSettings,
            values={
                "environment": environment.name,
                "participants_table": stores.participants.table_name,
                "envelopes_table": stores.envelopes.table_name,
                "key_orders_queue_url": self.orders.queue_url,
                "audit_queue_url": parts.audit.queue.queue_url,
                "event_bus": parts.bus_name,
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
            layer=parts.layer,
            log_key=stores.data_key,
            identity=identity,
        )

    def _make_drill(self) -> PythonFunction:
        parts, stack = self._parts, Stack.of(self)
        stores = parts.stores
        return PythonFunction(
            self,
            "DrillKeyRestore",
            environment=self._environment,
            names=self._names,
            package=FunctionPackage("drill_key_restore", parts=PARTS),
            settings=DrillKeyRestoreSettings,
            values={
                "environment": self._environment.name,
                "participants_table": stores.participants.table_name,
                "key_backups_bucket": stores.key_backups_bucket_name,
                "key_backups_key_arn": stores.key_backups_key.key_arn,
                "event_bus": parts.bus_name,
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
            layer=parts.layer,
            log_key=stores.data_key,
            memory_mib=DRILL_MEMORY_MIB,
            timeout_seconds=DRILL_SECONDS,
        )

    def _run_every(self, id: str, interval: Duration, function: PythonFunction, *, body: dict[str, str]) -> None:
        rule = events.CfnRule(
            self,
            id,
            description=f"Runs {function.package_name} every {interval.to_human_string()}",
            schedule_expression=events.Schedule.rate(interval).expression_string,
            targets=[
                events.CfnRule.TargetProperty(
                    id="Function", arn=function.function.function_arn, input=Stack.of(self).to_json_string(body)
                )
            ],
        )
        self._let_call(f"{id}Permission", rule, function)

    def _continue_drill(self) -> None:
        rule = events.CfnRule(
            self,
            "DrillContinues",
            description="Lets the drill of backups go on where a run had no time left",
            event_bus_name=self._parts.bus_name,
            event_pattern={"detail-type": [DRILL_CONTINUES_DETAIL_TYPE]},
            targets=[events.CfnRule.TargetProperty(id="Function", arn=self.drill.function.function_arn)],
        )
        rule.add_dependency(self._parts.bus.bus)
        self._let_call("DrillContinuesPermission", rule, self.drill)

    def _let_call(self, id: str, rule: events.CfnRule, function: PythonFunction) -> None:
        lambda_.CfnPermission(
            self,
            id,
            action="lambda:InvokeFunction",
            function_name=function.function.function_name,
            principal="events.amazonaws.com",
            source_arn=rule.attr_arn,
        )
