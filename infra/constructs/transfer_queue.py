"""The queue of transfer requests, and the queue for those that can never be processed."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.buckets import NO_TLS_REASON
from infra.environments import EnvironmentConfig
from infra.validation import acknowledge

RECEIVES_FOR_THE_REASON = 3
"""A worker gives a message up, with the reason, at the receive after `max_receives`; SQS itself does only later."""


class TransferQueue(Construct):
    """A message that was received `max_receives` times without success moves to the dead-letter queue."""

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, key: kms.IKey) -> None:
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
        self.requests = sqs.Queue(
            self,
            "Requests",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=environment.require_tls,
            retention_period=retention,
            visibility_timeout=Duration.seconds(environment.message_visibility_seconds),
            receive_message_wait_time=Duration.seconds(20),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=environment.max_receives + RECEIVES_FOR_THE_REASON
            ),
        )
        acknowledge(self.dead_letters, {"SQS3": "It is the dead-letter queue."})
        if not environment.require_tls:
            for queue in (self.requests, self.dead_letters):
                acknowledge(queue, {"SQS4": NO_TLS_REASON})
