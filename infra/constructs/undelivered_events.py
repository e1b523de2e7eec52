"""The dead-letter queue of the rules on our bus: events that EventBridge could not hand to their target."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.buckets import NO_TLS_REASON
from infra.environments import EnvironmentConfig
from infra.validation import acknowledge

RETENTION_DAYS = 14


class UndeliveredEvents(Construct):
    """One queue for all rules of the environment; the alarm on queues without a dead-letter queue watches it.

    What a function takes and fails at is not here: Lambda keeps that in `StreamFailures`. Here is what never reached
    one: its permission was gone, it was throttled for a day, or its target was deleted.
    """

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, key: kms.IKey) -> None:
        super().__init__(scope, id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=environment.require_tls,
            retention_period=Duration.days(RETENTION_DAYS),
        )
        acknowledge(self.queue, {"SQS3": "It is the dead-letter queue of rules."})
        if not environment.require_tls:
            acknowledge(self.queue, {"SQS4": NO_TLS_REASON})
        stack = Stack.of(self)
        self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                sid="RulesOfThisAccount",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "ArnLike": {"aws:SourceArn": f"arn:aws:events:{stack.region}:{stack.account}:rule/*"},
                },
            )
        )

    @property
    def configuration(self) -> events.CfnRule.DeadLetterConfigProperty:
        """What a rule's target says of it."""
        return events.CfnRule.DeadLetterConfigProperty(arn=self.queue.queue_arn)
