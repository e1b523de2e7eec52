"""The KMS keys: one for data at rest, one that seals data keys in checkpoints, one for participants' secrets."""

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.environments import EnvironmentConfig
from infra.names import Names


class EncryptionKeys(Construct):
    """Keys that rotate every year. Who may use them stands in the policies of the roles, and nowhere else."""

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names) -> None:
        super().__init__(scope, id)
        self.data = _make_key(
            self, "Data", environment, "Encrypts the data bucket, the tables, the queues and the logs"
        )
        self.checkpoints = _make_key(self, "Checkpoints", environment, "Seals the data keys of unfinished transfers")
        self.secrets = _make_key(self, "Secrets", environment, "Encrypts the private keys of managed participants")
        _let_services_use(self.data, names)


def _make_key(scope: Construct, id: str, environment: EnvironmentConfig, purpose: str) -> kms.Key:
    return kms.Key(
        scope,
        id,
        description=f"pqtransfer {environment.name}: {purpose}",
        enable_key_rotation=True,
        pending_window=Duration.days(30 if environment.retain_data else 7),
        removal_policy=RemovalPolicy.RETAIN if environment.retain_data else RemovalPolicy.DESTROY,
    )


def _let_services_use(key: kms.Key, names: Names) -> None:
    """CloudWatch Logs and EventBridge act in their own name: each may use the key for our groups, our bus, and
    queues that rules send to: those of alert processing, and of what rules could not deliver."""
    stack = Stack.of(key)
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="LogGroups",
            principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
            actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
            resources=["*"],
            conditions={
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": stack.format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name=f"{names.log_group_prefix}/*",
                        arn_format=ArnFormat.COLON_RESOURCE_NAME,
                    )
                }
            },
        )
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="EventBus",
            principals=[iam.ServicePrincipal("events.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
            resources=["*"],
            conditions={
                "StringEquals": {
                    "aws:SourceAccount": stack.account,
                    "aws:SourceArn": stack.format_arn(
                        service="events", resource="event-bus", resource_name=names.event_bus
                    ),
                }
            },
        )
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="UndeliveredEvents",
            principals=[iam.ServicePrincipal("events.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=["*"],
            conditions={
                "StringEquals": {"aws:SourceAccount": stack.account},
                "ArnLike": {
                    "aws:SourceArn": stack.format_arn(service="events", resource="rule", resource_name="*"),
                },
            },
        )
    )
