"""The two roles of a worker task: what its code may do, and what the platform may do to start it.

The first is made of two parts. Participants' roles trust it, and IAM keeps a trusted role by an id that a role of the
same name, made later, does not have: so the role itself stands with the data and outlives the fleet. What it may do
comes and goes with the fleet.
"""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs import audit_grants, grants
from infra.constructs.audit_grants import AuditStores
from infra.constructs.grants import DataStores
from infra.constructs.transfer_queue import TransferQueue
from infra.constructs.wildcards import acknowledge_wildcards
from infra.environments import EnvironmentConfig
from infra.names import Names

PULL_ACTIONS = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


class WorkerIdentity(Construct):
    """The task role, with nobody's permission to do anything yet."""

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names) -> None:
        super().__init__(scope, id)
        self.role = iam.Role(
            self,
            "Role",
            role_name=names.worker_role,
            description="What a transfer worker may do",
            assumed_by=_who_may_act(environment),
        )
        self.role.apply_removal_policy(RemovalPolicy.RETAIN if environment.retain_data else RemovalPolicy.DESTROY)


class WorkerPermissions(Construct):
    """Everything a transfer needs, nothing else. A worker reads no secret and deletes no object."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        stores: DataStores,
        audit: AuditStores,
        queue: TransferQueue,
        role: iam.Role,
    ) -> None:
        super().__init__(scope, id)
        stack = Stack.of(self)
        statements = [
            *grants.read_source_buckets(environment.source_buckets),
            *grants.open_sources(stores, stack, environment.source_key_arns),
            *grants.write_destination_buckets(environment.destination_buckets),
            *grants.seal_destinations(stores, stack, environment.destination_key_arns),
            grants.read_models(stores),
            grants.find_models(stores),
            *grants.write_models(stores),
            grants.use_table("UseTransfers", stores.transfers, "GetItem", "PutItem", "UpdateItem"),
            grants.use_table(
                "UseCheckpoints", stores.checkpoints, "GetItem", "Query", "PutItem", "DeleteItem", "BatchWriteItem"
            ),
            grants.use_table("ReadRegistry", stores.participants, "Query"),
            grants.note_envelopes(stores),
            *_drain(queue),
            *audit_grants.write_audit(audit, stack),
            grants.seal_checkpoints(stores),
            grants.use_data_key(stores, stack, "s3", "sqs", "dynamodb"),
            grants.act_as_participants(stores, stack, names),
            grants.protect_tasks(stack, names),
        ]
        self.policy = iam.Policy(self, "Policy", statements=statements, roles=[role])
        acknowledge_wildcards(self.policy, statements)


class ExecutionRole(Construct):
    """The execution role: fetch this image, write this log."""

    def __init__(
        self, scope: Construct, id: str, *, log_group: logs.ILogGroup, image_repository_arn: str | None
    ) -> None:
        super().__init__(scope, id)
        writes_log = iam.PolicyStatement(
            sid="WriteLog", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]
        )
        pulls = _pull(image_repository_arn)
        self.role = iam.Role(
            self,
            "Role",
            description="What ECS may do to start a transfer worker",
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            inline_policies={"Allowed": iam.PolicyDocument(statements=[writes_log, *pulls])},
        )
        acknowledge_wildcards(self.role, pulls)


def _drain(queue: TransferQueue) -> Sequence[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="DrainQueue",
            actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
            resources=[queue.requests.queue_arn],
        ),
        iam.PolicyStatement(sid="GiveUp", actions=["sqs:SendMessage"], resources=[queue.dead_letters.queue_arn]),
    ]


def _pull(repository_arn: str | None) -> Sequence[iam.PolicyStatement]:
    if repository_arn is None:
        return []
    return [
        # ECR hands out its token for the whole account; the images behind it are the next statement's.
        iam.PolicyStatement(sid="LogInToRegistry", actions=["ecr:GetAuthorizationToken"], resources=["*"]),
        iam.PolicyStatement(sid="PullImage", actions=PULL_ACTIONS, resources=[repository_arn]),
    ]


def _who_may_act(environment: EnvironmentConfig) -> iam.IPrincipal:
    tasks = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
    if not environment.account_may_act_as_worker:
        return tasks
    # A local worker is a process, and takes its role by sts:AssumeRole.
    return iam.CompositePrincipal(tasks, iam.AccountRootPrincipal())
