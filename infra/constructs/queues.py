"""Queues as every one of ours is: encrypted, with TLS, and with another one for what is given up."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.buckets import NO_TLS_REASON
from infra.environments import EnvironmentConfig
from infra.validation import acknowledge

VISIBILITY_TIMEOUTS = 6
"""How many runs of its function a message stays hidden for, as Lambda recommends."""


def make_queue(
    scope: Construct,
    id: str,
    *,
    environment: EnvironmentConfig,
    key: kms.IKey,
    dead_letters: sqs.DeadLetterQueue | None = None,
    retention_days: int | None = None,
    visibility: Duration | None = None,
    long_poll: Duration | None = None,
    fifo: bool = False,
    removal_policy: RemovalPolicy | None = None,
) -> sqs.Queue:
    """A queue; without `dead_letters` it is one of these itself. Messages are kept as long as those of transfers."""
    queue = sqs.Queue(
        scope,
        id,
        # What is not asked for is left out: a queue that is not FIFO must not say so.
        fifo=fifo or None,
        encryption=sqs.QueueEncryption.KMS,
        encryption_master_key=key,
        enforce_ssl=environment.require_tls,
        retention_period=Duration.days(retention_days or environment.message_retention_days),
        visibility_timeout=visibility,
        receive_message_wait_time=long_poll,
        dead_letter_queue=dead_letters,
        removal_policy=removal_policy,
    )
    if dead_letters is None:
        acknowledge(queue, {"SQS3": "It is the dead-letter queue."})
    if not environment.require_tls:
        acknowledge(queue, {"SQS4": NO_TLS_REASON})
    return queue


def hidden_for_function(environment: EnvironmentConfig, function_seconds: int) -> Duration:
    """How long a message stays hidden from others while a function has it. In the embedded cloud for one run only."""
    return Duration.seconds((1 if environment.is_local else VISIBILITY_TIMEOUTS) * function_seconds)
