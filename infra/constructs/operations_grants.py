"""Who may do what with alerts, and with what the system tries by itself; see `grants` for how to read it."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns

from infra.constructs.grants import DataStores, query_indexes, use_table, via
from infra.constructs.transfer_queue import TransferQueue
from infra.names import Names
from pqtransfer.aws.alert_store import DUE_INDEX


def keep_alerts(stores: DataStores) -> list[iam.PolicyStatement]:
    """Keep alerts and silences: read and write rows, and find what is due."""
    return [
        use_table("KeepAlerts", stores.alerts, "GetItem", "Query", "PutItem", "DeleteItem"),
        query_indexes("FindAlerts", stores.alerts, [DUE_INDEX]),
    ]


def watch_alerts(stores: DataStores) -> list[iam.PolicyStatement]:
    """See alerts and silences, and change none."""
    return [
        use_table("WatchAlerts", stores.alerts, "GetItem", "Query"),
        query_indexes("FindAlerts", stores.alerts, [DUE_INDEX]),
    ]


def tell_administrators(
    stores: DataStores, stack: Stack, topic: sns.ITopic, key: kms.IKey
) -> list[iam.PolicyStatement]:
    """Publish to the topic of the administrators, which is encrypted under `key`."""
    return [
        iam.PolicyStatement(sid="TellAdministrators", actions=["sns:Publish"], resources=[topic.topic_arn]),
        iam.PolicyStatement(
            sid="SealForAdministrators",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[key.key_arn],
            conditions=stores.when(via(stack, "sns")),
        ),
    ]


def read_channels(stack: Stack, names: Names) -> iam.PolicyStatement:
    """Read the secret with the channels, and no other."""
    return iam.PolicyStatement(
        sid="ReadChannels",
        actions=["secretsmanager:GetSecretValue"],
        resources=[f"arn:aws:secretsmanager:{stack.region}:{stack.account}:secret:{names.alert_channels}-??????"],
    )


def recover(stack: Stack, names: Names, queue: TransferQueue, *, embedded: bool) -> list[iam.PolicyStatement]:
    """Stop tasks, roll the service back, and give messages another chance: in this environment's cluster and queues."""
    arn = f"arn:aws:ecs:{stack.region}:{stack.account}"
    return [
        iam.PolicyStatement(
            sid="ReplaceTasks",
            actions=["ecs:DescribeTasks", "ecs:StopTask"],
            resources=[f"{arn}:task/{names.prefix}/*"],
        ),
        iam.PolicyStatement(
            sid="FindTasks",
            actions=["ecs:ListTasks"],
            resources=["*"],
            conditions={} if embedded else {"ArnEquals": {"ecs:cluster": f"{arn}:cluster/{names.prefix}"}},
        ),
        iam.PolicyStatement(
            sid="RollBack",
            actions=["ecs:DescribeServices", "ecs:UpdateService"],
            resources=[f"{arn}:service/{names.prefix}/*"],
        ),
        iam.PolicyStatement(
            sid="TakeDeadLetters",
            actions=["sqs:ReceiveMessage", "sqs:DeleteMessage"],
            resources=[queue.dead_letters.queue_arn],
        ),
        iam.PolicyStatement(sid="Redrive", actions=["sqs:SendMessage"], resources=[queue.requests.queue_arn]),
    ]
