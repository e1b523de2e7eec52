"""The roles that people and sites work under: submitter, recipient, operator, custodian.

The account decides who may take them.
"""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs import audit_grants, grants, key_grants, scaling_grants
from infra.constructs.audit_grants import AuditStores
from infra.constructs.grants import DataStores
from infra.constructs.stream_trigger import StreamFailures
from infra.constructs.tables import TRANSFER_INDEXES
from infra.constructs.transfer_queue import TransferQueue
from infra.constructs.undelivered_events import UndeliveredEvents
from infra.constructs.wildcards import acknowledge_wildcards
from infra.names import Names
from pqtransfer.aws.transfer_items import LIVE_INDEX


class SiteRoles(Construct):
    """A submitter sends and cancels, a recipient receives, an operator also registers participants and sees all.

    A custodian reads the audit log and keeps entries of it from being purged. It does nothing else.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        stores: DataStores,
        audit: AuditStores,
        queue: TransferQueue,
        failures: StreamFailures,
        undelivered: UndeliveredEvents,
        register_participant: lambda_.IFunction,
        key_functions: Sequence[lambda_.IFunction],
    ) -> None:
        super().__init__(scope, id)
        stack = Stack.of(self)
        reads = [
            # What a site does with keys and models is for the log, too.
            *audit_grants.write_audit_as_site(audit, stack),
            grants.read_models(stores),
            grants.find_models(stores),
            grants.use_table("ReadTransfers", stores.transfers, "GetItem", "BatchGetItem"),
            grants.query_indexes("ListTransfers", stores.transfers, TRANSFER_INDEXES),
            grants.use_table("ReadRegistry", stores.participants, "Query"),
        ]
        submits = [
            *reads,
            *grants.write_models(stores),
            grants.note_envelopes(stores),
            grants.use_table("WriteTransfers", stores.transfers, "PutItem", "UpdateItem"),
            iam.PolicyStatement(sid="Submit", actions=["sqs:SendMessage"], resources=[queue.requests.queue_arn]),
        ]
        given_up = [queue.dead_letters.queue_arn, failures.queue.queue_arn, undelivered.queue.queue_arn]
        operates = [
            *submits,
            *audit_grants.read_audit(audit, stack),
            # Everybody's transfers and workers at once: for whoever runs the fleet, not for a site.
            grants.query_indexes("WatchTransfers", stores.transfers, [LIVE_INDEX]),
            # The registry has a row for each key of each participant: whoever registers them may see the list.
            grants.use_table("ListParticipants", stores.participants, "Scan"),
            iam.PolicyStatement(
                sid="Register", actions=["lambda:InvokeFunction"], resources=[register_participant.function_arn]
            ),
            iam.PolicyStatement(
                sid="OrderKeys",
                actions=["lambda:InvokeFunction"],
                resources=[function.function_arn for function in key_functions],
            ),
            key_grants.find_key_backups(stores),
            iam.PolicyStatement(
                sid="SeeQueues",
                actions=["sqs:GetQueueAttributes"],
                resources=[queue.requests.queue_arn, *given_up],
            ),
            iam.PolicyStatement(
                sid="SeeDeadLetters",
                actions=["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility"],
                resources=given_up,
            ),
            iam.PolicyStatement(
                sid="SeeFleet",
                actions=["ecs:DescribeServices"],
                resources=scaling_grants.in_cluster(stores, stack, names, f"service/{names.prefix}/*"),
            ),
        ]
        # A participant's role says itself who may take it; these roles may try.
        act = grants.act_as_participants(stores, stack, names)
        self.recipient = self._make_role(
            "Recipient", names, [*reads, act, grants.use_data_key(stores, stack, "s3", "dynamodb")]
        )
        use_key = grants.use_data_key(stores, stack, "s3", "sqs", "dynamodb")
        self.submitter = self._make_role("Submitter", names, [*submits, act, use_key])
        self.operator = self._make_role("Operator", names, [*operates, use_key])
        self.custodian = self._make_role("Custodian", names, audit_grants.hold_audit(audit, stack))

    def _make_role(self, id: str, names: Names, statements: Sequence[iam.PolicyStatement]) -> iam.Role:
        role = iam.Role(
            self,
            id,
            role_name=f"{names.prefix}-{id.lower()}",
            description=f"What a pqtransfer {id.lower()} may do",
            assumed_by=iam.AccountRootPrincipal(),
            max_session_duration=Duration.hours(12),
            inline_policies={"Allowed": iam.PolicyDocument(statements=list(statements))},
        )
        acknowledge_wildcards(role, statements)
        return role
