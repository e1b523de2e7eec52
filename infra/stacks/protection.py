"""What keeps containers under keys that count: the index of envelopes, rewraps, and the answer to a compromise."""

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from functions.index_envelopes.settings import IndexEnvelopesSettings
from infra.constructs import grants
from infra.constructs.python_function import PythonFunction
from infra.constructs.stream_trigger import StreamTrigger, read_stream
from infra.environments import EnvironmentConfig
from infra.function_packages import FunctionPackage
from infra.names import Names
from infra.outputs import add_outputs
from infra.stacks.control import ControlStack
from infra.stacks.storage import StorageStack

DOMAINS = ("crypto", "keys", "transfers", "audit", "operations", "protection", "aws")


class ProtectionStack(Stack):
    """Everything in it can be made again; what it knows stands in the storage stack."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        storage: StorageStack,
        control: ControlStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        stores = storage.stores
        index = PythonFunction(
            self,
            "IndexEnvelopes",
            environment=environment,
            names=names,
            package=FunctionPackage("index_envelopes", parts=("crypto", "keys", "transfers", "protection", "aws")),
            settings=IndexEnvelopesSettings,
            values={"envelopes_table": stores.envelopes.table_name, "data_bucket": stores.bucket_name},
            statements=[
                *read_stream(stores.transfers),
                *grants.keep_envelopes(stores),
                grants.read_models(stores),
                grants.find_models(stores),
                control.failures.report(),
                grants.use_data_key(stores, self, "s3", "sqs", "dynamodb"),
            ],
            layer=control.layer,
            log_key=stores.data_key,
        )
        StreamTrigger(self, "EndedTransfers", table=stores.transfers, function=index, failures=control.failures)
        events.Rule(
            self,
            "Backfill",
            description="Go on with reading the containers of before there was an index",
            schedule=events.Schedule.rate(Duration.hours(1)),
            targets=[targets.LambdaFunction(index.function, retry_attempts=0)],
        )
        add_outputs(self, IndexEnvelopesFunction=index.function.function_name)
