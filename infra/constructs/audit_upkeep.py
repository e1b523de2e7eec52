"""What keeps the audit log in order: retention once a day, and a compliance report each month."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from functions.archive_audit_log.settings import ArchiveAuditLogSettings
from functions.report_compliance.settings import ReportComplianceSettings
from infra.constructs import audit_grants
from infra.constructs.audit_grants import AuditStores
from infra.constructs.function_triggers import ClockTrigger
from infra.constructs.python_function import PythonFunction
from infra.environments import EnvironmentConfig
from infra.function_packages import FunctionPackage
from infra.names import Names
from pqtransfer.environment import EnvironmentSettings

PARTS = ("crypto", "audit", "aws", "operations")
MEMORY_MIB = 1024
TIMEOUT_SECONDS = 900


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
        layer: lambda_.ILayerVersion,
        log_key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._environment, self._names, self._stores = environment, names, stores
        self._layer, self._log_key = layer, log_key
        values = {
            "origin": names.audit_origin,
            "audit_bucket": stores.bucket_name,
            "audit_trust_bucket": stores.trust_bucket_name,
            "audit_queue_url": stores.queue.queue_url,
            "audit_retention_rules": environment.audit_retention_rules,
        }
        self.archive = self._make_function(
            "ArchiveAuditLog", ArchiveAuditLogSettings, values, audit_grants.keep_audit(stores, self)
        )
        ClockTrigger(self, "EveryDay", function=self.archive, every=Duration.days(1), payload={})
        self.report = self._make_function(
            "ReportCompliance", ReportComplianceSettings, values, audit_grants.report_audit(stores, self)
        )
        events.Rule(
            self,
            "EveryMonth",
            description="Makes the compliance report of the month before",
            schedule=events.Schedule.cron(minute="30", hour="3", day="1", month="*", year="*"),
            targets=[targets.LambdaFunction(self.report.function, event=events.RuleTargetInput.from_object({}))],
        )

    def _make_function(
        self,
        id: str,
        settings: type[EnvironmentSettings],
        values: Mapping[str, str],
        statements: Sequence[iam.PolicyStatement],
    ) -> PythonFunction:
        return PythonFunction(
            self,
            id,
            environment=self._environment,
            names=self._names,
            package=FunctionPackage(settings.__module__.split(".")[1], parts=PARTS),
            settings=settings,
            values=values,
            statements=statements,
            layer=self._layer,
            log_key=self._log_key,
            memory_mib=MEMORY_MIB,
            timeout_seconds=TIMEOUT_SECONDS,
        )
