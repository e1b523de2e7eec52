"""A queue that a function drains one message at a time, with a dead-letter queue beside it."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.buckets import NO_TLS_REASON
from infra.environments import EnvironmentConfig
from infra.validation import acknowledge

VISIBILITY_TIMEOUTS = 6
"""How many runs of the function a message stays hidden for, as Lambda recommends."""


class WorkQueue(Construct):
    """Messages of a function to itself, or of an event to it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        key: kms.IKey,
        function_seconds: int,
        receives_at_most: int,
    ) -> None:
        super().__init__(scope, id)
        retention = Duration.days(environment.message_retention_days)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=environment.require_tls,
            retention_period=retention,
        )
        self.messages = sqs.Queue(
            self,
            "Messages",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=environment.require_tls,
            retention_period=retention,
            visibility_timeout=Duration.seconds(
                function_seconds if environment.is_local else VISIBILITY_TIMEOUTS * function_seconds
            ),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=receives_at_most),
        )
        acknowledge(self.dead_letters, {"SQS3": "It is the dead-letter queue."})
        if not environment.require_tls:
            for queue in (self.messages, self.dead_letters):
                acknowledge(queue, {"SQS4": NO_TLS_REASON})

    def work_off(self, sid: str) -> iam.PolicyStatement:
        """Take messages, and put messages there."""
        return iam.PolicyStatement(
            sid=sid,
            actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:SendMessage"],
            resources=[self.messages.queue_arn],
        )

    def trigger(self, function: lambda_.Function, *, at_once: int | None = None) -> None:
        """Run the function for each message."""
        lambda_.EventSourceMapping(
            self,
            "Trigger",
            target=function,
            event_source_arn=self.messages.queue_arn,
            batch_size=1,
            report_batch_item_failures=True,
            max_concurrency=at_once,
        )
