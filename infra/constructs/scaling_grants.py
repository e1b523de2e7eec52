"""What the function that decides the size of the fleet may do: look at the work, and set one number of one service."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from infra.constructs import grants
from infra.constructs.grants import DataStores
from infra.names import Names
from pqtransfer.aws.transfer_items import STATE_INDEX


def scale_service(stores: DataStores, stack: Stack, names: Names, *, service_name: str) -> list[iam.PolicyStatement]:
    """Set the desired count of this service, and of no other; see its tasks and their protection."""
    cluster_arn = f"arn:aws:ecs:{stack.region}:{stack.account}:cluster/{names.prefix}"
    return [
        iam.PolicyStatement(
            sid="ScaleService",
            actions=["ecs:DescribeServices", "ecs:UpdateService"],
            resources=in_cluster(stores, stack, names, f"service/{names.prefix}/{service_name}"),
        ),
        iam.PolicyStatement(
            sid="ListTasks",
            actions=["ecs:ListTasks"],
            resources=["*"],
            conditions=stores.when({"ArnEquals": {"ecs:cluster": cluster_arn}}),
        ),
        iam.PolicyStatement(
            sid="SeeProtection",
            actions=["ecs:GetTaskProtection"],
            resources=in_cluster(stores, stack, names, f"task/{names.prefix}/*"),
        ),
    ]


def in_cluster(stores: DataStores, stack: Stack, names: Names, resource: str) -> list[str]:
    """The ARN of a service or of tasks. The embedded cloud asks for the cluster's, whatever in it is meant."""
    place = f"arn:aws:ecs:{stack.region}:{stack.account}"
    return [f"{place}:{resource}", *([f"{place}:cluster/{names.prefix}"] if stores.embedded else [])]


def see_workload(stores: DataStores, *, queue_arn: str) -> list[iam.PolicyStatement]:
    """How much waits, for how long, and how busy the fleet is."""
    return [
        iam.PolicyStatement(sid="SeeQueue", actions=["sqs:GetQueueAttributes"], resources=[queue_arn]),
        grants.query_indexes("SeeWaitingTransfers", stores.transfers, [STATE_INDEX]),
        iam.PolicyStatement(sid="SeeMetrics", actions=["cloudwatch:GetMetricData"], resources=["*"]),
    ]


def keep_decisions(stores: DataStores) -> iam.PolicyStatement:
    """Keep what was decided, and look back."""
    return grants.use_table("KeepDecisions", stores.decisions, "Query", "PutItem", "UpdateItem")
