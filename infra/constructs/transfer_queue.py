"""The queue of transfer requests, and the queue for those that can never be processed."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.buckets import NO_TLS_REASON
from infra.environments import EnvironmentConfig
from infra.validation import acknowledge

RECEIVES_FOR_A_TRY = 20


class TransferQueue(Construct):
    """Requests, and beside them those that were given up.

    A worker counts the tries of a transfer itself, and gives the message up with the reason. What SQS counts are
    receives, and these are more: a worker that stops hands its message back, and while one worker holds a transfer, a
    second message about it comes and goes. So SQS's own limit lies far above, for messages that kill their workers
    before these can count.

    A worker says with each receive how long the message stays invisible, by its lease. What the queue itself says is
    for everybody else who receives, an operator for instance: two leases.
    """

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
            visibility_timeout=Duration.seconds(2 * environment.lease_seconds),
            receive_message_wait_time=Duration.seconds(20),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=RECEIVES_FOR_A_TRY * environment.max_receives
            ),
        )
        acknowledge(self.dead_letters, {"SQS3": "It is the dead-letter queue."})
        if not environment.require_tls:
            for queue in (self.requests, self.dead_letters):
                acknowledge(queue, {"SQS4": NO_TLS_REASON})
