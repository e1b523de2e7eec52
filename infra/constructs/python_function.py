"""A Lambda function with a role of its own, which may write its log and do what its statements say. Nothing else.

The role is made with the function, unless others trust it: then it stands with the data (`identity`), and what it may
do comes and goes with the function.
"""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.log_group import make_log_group
from infra.constructs.settings_environment import make_environment
from infra.constructs.wildcards import acknowledge_wildcards
from infra.environments import EnvironmentConfig
from infra.function_packages import ARCHITECTURE, RUNTIME, FunctionPackage
from infra.names import Names
from pqtransfer.aws.function_telemetry import ENVIRONMENT_VARIABLE
from pqtransfer.environment import EnvironmentSettings


class PythonFunction(Construct):
    """`package` deployed with the variables of `settings`, under a role with `statements`."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        package: FunctionPackage,
        settings: type[EnvironmentSettings],
        values: Mapping[str, str],
        statements: Sequence[iam.PolicyStatement],
        layer: lambda_.ILayerVersion,
        log_key: kms.IKey,
        memory_mib: int | None = None,
        timeout_seconds: int | None = None,
        identity: iam.Role | None = None,
    ) -> None:
        super().__init__(scope, id)
        self.package_name = package.name
        logs = make_log_group(
            self,
            "Log",
            environment=environment,
            name=f"{names.log_group_prefix}/functions/{package.name}",
            key=log_key,
        )
        writes_log = iam.PolicyStatement(
            sid="WriteOwnLog", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[logs.log_group_arn]
        )
        allowed = [writes_log, *([] if environment.is_local else [_trace()]), *statements]
        self.role = identity or self._make_role(package, allowed)
        if identity is not None:
            policy = iam.Policy(self, "Policy", statements=allowed, roles=[identity])
            acknowledge_wildcards(policy, allowed)
        self.function = lambda_.Function(
            self,
            "Function",
            description=f"pqtransfer: {package.name.replace('_', ' ')}",
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            code=package.code(),
            handler=package.handler,
            layers=[layer],
            # A role that the CDK may not add to: what it may do stands in `statements` alone.
            role=self.role.without_policy_updates(),
            log_group=logs,
            memory_size=memory_mib or environment.function_memory_mib,
            timeout=Duration.seconds(timeout_seconds or environment.function_timeout_seconds),
            # The embedded cloud has no X-Ray.
            tracing=lambda_.Tracing.DISABLED if environment.is_local else lambda_.Tracing.ACTIVE,
            environment={
                ENVIRONMENT_VARIABLE: environment.name,
                **make_environment(settings, values),
                **({"POWERTOOLS_TRACE_DISABLED": "true"} if environment.is_local else {}),
                "POWERTOOLS_SERVICE_NAME": package.name,
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )

    def _make_role(self, package: FunctionPackage, statements: Sequence[iam.PolicyStatement]) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            description=f"What the function {package.name} may do",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={"Allowed": iam.PolicyDocument(statements=list(statements))},
        )
        acknowledge_wildcards(role, statements)
        return role


def _trace() -> iam.PolicyStatement:
    """Send traces to X-Ray, which knows no resource."""
    actions = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    return iam.PolicyStatement(sid="Trace", actions=actions, resources=["*"])
