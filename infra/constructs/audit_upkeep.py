"""What keeps the audit log in order: retention once a day, and a compliance report each month."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk.aws_events import Schedule
from constructs import Construct

from functions.archive_audit_log.settings import ArchiveAuditLogSettings
from functions.report_compliance.settings import ReportComplianceSettings
from infra.constructs import audit_grants
from infra.constructs.audit_grants import AuditStores
from infra.constructs.event_bus import TransferEvents
from infra.constructs.function_factory import FunctionFactory
from infra.constructs.function_triggers import BusTrigger, ClockTrigger
from infra.environments import EnvironmentConfig
from infra.names import Names

PARTS = ("crypto", "audit", "aws", "operations")
UNFINISHED_DETAIL_TYPE = "ComplianceReportUnfinished"
MEMORY_MIB = 1024
TIMEOUT_SECONDS = 900
DAILY = Schedule.rate(Duration.days(1))
MONTHLY = Schedule.cron(minute="30", hour="3", day="1", month="*", year="*")


class AuditUpkeep(Construct):
    """`archive` and `report`, each with a role of its own."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        stores: AuditStores,
        functions: FunctionFactory,
        bus: TransferEvents,
        tell: Sequence[iam.PolicyStatement],
    ) -> None:
        """`tell`: what it takes to put events on `bus`."""
        super().__init__(scope, id)
        values = {
            "origin": names.audit_origin,
            "audit_bucket": stores.bucket_name,
            "audit_trust_bucket": stores.trust_bucket_name,
            "audit_queue_url": stores.queue.queue_url,
            "audit_retention_rules": environment.audit_retention_rules,
            "event_bus": names.event_bus,
        }
        self.archive = functions.make(
            self,
            ArchiveAuditLogSettings,
            parts=PARTS,
            values=values,
            statements=audit_grants.keep_audit(stores, self),
            memory_mib=MEMORY_MIB,
            timeout_seconds=TIMEOUT_SECONDS,
        )
        ClockTrigger(self, "EveryDay", function=self.archive, schedule=DAILY, payload={})
        self.report = functions.make(
            self,
            ReportComplianceSettings,
            parts=PARTS,
            values=values,
            statements=[*audit_grants.report_audit(stores, self), *tell],
            memory_mib=MEMORY_MIB,
            timeout_seconds=TIMEOUT_SECONDS,
        )
        BusTrigger(self, "GoOnReporting", function=self.report, bus=bus, detail_type=UNFINISHED_DETAIL_TYPE)
        # Of the month before.
        ClockTrigger(self, "EveryMonth", function=self.report, schedule=MONTHLY, payload={})
