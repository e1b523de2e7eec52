"""Runs a function for the changes of a table."""

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.python_function import PythonFunction

BATCH_SIZE = 25
# A record that fails is retried until it is this old; the stream keeps it for 24 hours.
RECORD_AGE_MAX_HOURS = 12


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


class StreamTrigger(Construct):
    """From a table's stream to a function, which names the records that failed."""

    def __init__(self, scope: Construct, id: str, *, table: dynamodb.ITable, function: PythonFunction) -> None:
        super().__init__(scope, id)
        lambda_.EventSourceMapping(
            self,
            "Mapping",
            target=function.function,
            event_source_arn=table.table_stream_arn,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=BATCH_SIZE,
            max_record_age=Duration.hours(RECORD_AGE_MAX_HOURS),
            bisect_batch_on_error=True,
            report_batch_item_failures=True,
        )
