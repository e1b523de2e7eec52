"""A queue that a function drains one message at a time, with a dead-letter queue beside it."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.queues import hidden_for_function, make_queue
from infra.environments import EnvironmentConfig


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
        self.dead_letters = make_queue(self, "DeadLetters", environment=environment, key=key)
        self.messages = make_queue(
            self,
            "Messages",
            environment=environment,
            key=key,
            dead_letters=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=receives_at_most),
            visibility=hidden_for_function(environment, function_seconds),
        )

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
