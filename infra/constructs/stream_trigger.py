"""Runs a function for the changes of a table, in order, and lets no single change hold the others up for ever."""

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from infra.constructs.python_function import PythonFunction
from infra.constructs.queues import make_queue
from infra.environments import EnvironmentConfig

BATCH_SIZE = 25
# What can never be taken, the function itself leaves out; so a failure is most often an outage, and worth many tries. A
# record that fails for a reason nobody foresaw holds up its shard for these tries, and then goes to the failures. There
# it is only named: half of the 24 hours for which the stream keeps it are left to whoever looks.
RETRY_ATTEMPTS = 100
RECORD_AGE_MAX_HOURS = 12
FAILURE_RETENTION_DAYS = 14


def read_stream(table: dynamodb.ITable) -> list[iam.PolicyStatement]:
    """Follow the changes of a table. `ListStreams` knows no resource."""
    return [
        iam.PolicyStatement(
            sid="ReadStream",
            actions=["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
            resources=[table.table_stream_arn or ""],
        ),
        iam.PolicyStatement(sid="FindStream", actions=["dynamodb:ListStreams"], resources=["*"]),
    ]


class StreamFailures(Construct):
    """The queue that names the records which a function gave up: stream, shard and sequence numbers, no content."""

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, key: kms.IKey) -> None:
        super().__init__(scope, id)
        self.queue = make_queue(self, "Queue", environment=environment, key=key, retention_days=FAILURE_RETENTION_DAYS)

    def report(self) -> iam.PolicyStatement:
        """Write to this queue: Lambda does it in the function's name."""
        return iam.PolicyStatement(sid="ReportFailures", actions=["sqs:SendMessage"], resources=[self.queue.queue_arn])


class StreamTrigger(Construct):
    """From a table's stream to a function, which names the records that failed; `failures` takes what it gave up."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        table: dynamodb.ITable,
        function: PythonFunction,
        failures: StreamFailures,
    ) -> None:
        super().__init__(scope, id)
        lambda_.EventSourceMapping(
            self,
            "Mapping",
            target=function.function,
            event_source_arn=table.table_stream_arn,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=BATCH_SIZE,
            max_record_age=Duration.hours(RECORD_AGE_MAX_HOURS),
            retry_attempts=RETRY_ATTEMPTS,
            bisect_batch_on_error=True,
            report_batch_item_failures=True,
            on_failure=event_sources.SqsDlq(failures.queue),
        )
