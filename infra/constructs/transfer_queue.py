"""The queue of transfer requests, and the queue for those that can never be processed."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.queues import make_queue
from infra.environments import EnvironmentConfig

RECEIVES_FOR_A_TRY = 20
LONG_POLL = Duration.seconds(20)


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
        self.dead_letters = make_queue(self, "DeadLetters", environment=environment, key=key)
        receives_at_most = RECEIVES_FOR_A_TRY * environment.max_receives
        self.requests = make_queue(
            self,
            "Requests",
            environment=environment,
            key=key,
            dead_letters=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=receives_at_most),
            visibility=Duration.seconds(2 * environment.lease_seconds),
            long_poll=LONG_POLL,
        )
