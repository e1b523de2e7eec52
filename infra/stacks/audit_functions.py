"""The functions that write, witness and check the audit log. Everything in it can be made again."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_events import Schedule
from constructs import Construct

from functions.check_audit_integrity.settings import CheckAuditIntegritySettings
from functions.sequence_audit_log.settings import SequenceAuditLogSettings
from functions.witness_checkpoint.settings import WitnessCheckpointSettings
from infra.constructs import audit_grants, grants
from infra.constructs.administrators import Administrators
from infra.constructs.audit_upkeep import AuditUpkeep
from infra.constructs.function_factory import FunctionFactory
from infra.constructs.function_triggers import BusTrigger, ClockTrigger
from infra.constructs.python_function import PythonFunction
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.outputs import add_outputs
from infra.stacks.audit_log import AuditLogStack
from infra.stacks.control import ControlStack
from infra.stacks.storage import StorageStack

BATCH_SIZE = 10
"""The most that Lambda takes from a FIFO queue at once."""
PARTS = ("crypto", "audit", "operations", "aws")
SEQUENCER_MEMORY_MIB = 1024
WITNESS_MEMORY_MIB = 512
CHECK_MEMORY_MIB = 1769
"""One whole CPU."""
CHECK_TIMEOUT_SECONDS = 900
SIGNED_DETAIL_TYPE, UNFINISHED_DETAIL_TYPE = "AuditCheckpointSigned", "AuditCheckUnfinished"


class AuditFunctionsStack(Stack):
    """The sequencer, the witness and the check, each with a role of its own; and who is told of alerts."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        storage: StorageStack,
        audit: AuditLogStack,
        control: ControlStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self._environment, self._names = environment, names
        self._storage, self._audit, self._control = storage, audit, control
        self._functions = FunctionFactory(self, environment=environment, names=names, log_key=storage.stores.data_key)
        sequence = self._make_sequencer()
        witness = self._make_witness()
        check = self._make_check()
        upkeep = AuditUpkeep(
            self,
            "Upkeep",
            environment=environment,
            names=names,
            stores=audit.stores,
            functions=self._functions,
            bus=control.bus,
            tell=self._tell(),
        )
        self.administrators = Administrators(
            self,
            "Administrators",
            environment=environment,
            key=audit.stores.key,
        )
        add_outputs(
            self,
            SequenceAuditLogFunction=sequence.function.function_name,
            WitnessCheckpointFunction=witness.function.function_name,
            CheckAuditIntegrityFunction=check.function.function_name,
            ArchiveAuditLogFunction=upkeep.archive.function.function_name,
            ReportComplianceFunction=upkeep.report.function.function_name,
            AuditRetentionRules=environment.audit_retention_rules,
            AlertsTopicArn=self.administrators.topic.topic_arn,
        )

    def _make_sequencer(self) -> PythonFunction:
        stores = self._audit.stores
        function = self._functions.make(
            self,
            SequenceAuditLogSettings,
            parts=PARTS,
            values={
                **self._values,
                "audit_queue_arn": stores.queue.queue_arn,
                "site_audit_queue_arn": stores.site_queue.queue_arn,
                **name_keys("log_keys_id", stores.log_keys.ids),
            },
            statements=[*audit_grants.sequence_audit(stores, self), *self._tell()],
            memory_mib=SEQUENCER_MEMORY_MIB,
        )
        for name, queue in (("Events", stores.queue), ("SiteEvents", stores.site_queue)):
            lambda_.EventSourceMapping(
                self,
                name,
                target=function.function,
                event_source_arn=queue.queue_arn,
                batch_size=BATCH_SIZE,
                report_batch_item_failures=True,
            )
        return function

    def _make_witness(self) -> PythonFunction:
        stores = self._audit.stores
        function = self._functions.make(
            self,
            WitnessCheckpointSettings,
            parts=PARTS,
            values={
                **self._values,
                "witness_name": self._names.audit_witness,
                **name_keys("witness_keys_id", stores.witness_keys.ids),
            },
            statements=[*audit_grants.witness_audit(stores, self), *self._tell()],
            memory_mib=WITNESS_MEMORY_MIB,
        )
        BusTrigger(self, "Signed", function=function, bus=self._control.bus, detail_type=SIGNED_DETAIL_TYPE)
        ClockTrigger(self, "EveryMinute", function=function, schedule=Schedule.rate(Duration.minutes(1)), payload={})
        return function

    def _make_check(self) -> PythonFunction:
        function = self._functions.make(
            self,
            CheckAuditIntegritySettings,
            parts=PARTS,
            values=self._values,
            statements=[*audit_grants.check_audit(self._audit.stores, self), *self._tell()],
            memory_mib=CHECK_MEMORY_MIB,
            timeout_seconds=CHECK_TIMEOUT_SECONDS,
        )
        often = Schedule.rate(Duration.minutes(self._environment.audit_check_minutes))
        daily = Schedule.rate(Duration.days(1))
        bus = self._control.bus
        BusTrigger(self, "GoOnChecking", function=function, bus=bus, detail_type=UNFINISHED_DETAIL_TYPE)
        ClockTrigger(self, "CheckNew", function=function, schedule=often, payload={"full": False})
        ClockTrigger(self, "CheckAll", function=function, schedule=daily, payload={"full": True})
        return function

    @property
    def _values(self) -> dict[str, str]:
        stores = self._audit.stores
        return {
            "origin": self._names.audit_origin,
            "audit_bucket": stores.bucket_name,
            "audit_trust_bucket": stores.trust_bucket_name,
            "audit_state_table": stores.state.table_name,
            "audit_queue_url": stores.queue.queue_url,
            "event_bus": self._names.event_bus,
        }

    def _tell(self) -> list[Any]:
        return [self._control.bus.put_events(), grants.use_data_key(self._storage.stores, self, "events")]


def name_keys(setting: str, ids: Sequence[str]) -> dict[str, str]:
    """The settings that say which keys are in force, and which were before."""
    return dict(zip((setting, f"former_{setting}"), ids, strict=False))
