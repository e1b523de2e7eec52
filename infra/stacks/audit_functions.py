"""The functions that write, witness and check the audit log. Everything in it can be made again."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from functions.sequence_audit_log.settings import SequenceAuditLogSettings
from infra.constructs import audit_grants, grants
from infra.constructs.python_function import PythonFunction
from infra.environments import EnvironmentConfig
from infra.function_packages import ARCHITECTURE, RUNTIME, FunctionPackage, layer_code
from infra.names import Names
from infra.outputs import add_outputs
from infra.stacks.audit_log import AuditLogStack
from infra.stacks.control import ControlStack
from infra.stacks.storage import StorageStack

BATCH_SIZE = 10
"""The most that Lambda takes from a FIFO queue at once."""
SEQUENCER_MEMORY_MIB = 1024


class AuditFunctionsStack(Stack):
    """The sequencer, the witness and the check, each with a role of its own."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        storage: StorageStack,
        audit: AuditLogStack,
        control: ControlStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        stores = audit.stores
        layer = lambda_.LayerVersion(
            self,
            "Dependencies",
            code=layer_code(local=environment.is_local),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURE],
            description="What the functions of the audit log need beside the Lambda runtime",
        )
        sequence = PythonFunction(
            self,
            "SequenceAuditLog",
            environment=environment,
            names=names,
            package=FunctionPackage("sequence_audit_log", parts=("crypto", "audit", "operations", "aws")),
            settings=SequenceAuditLogSettings,
            values={
                "origin": names.audit_origin,
                "audit_bucket": stores.bucket_name,
                "audit_trust_bucket": stores.trust_bucket_name,
                "audit_state_table": stores.state.table_name,
                "log_keys_id": stores.log_secret_name,
                "event_bus": names.event_bus,
            },
            statements=[
                *audit_grants.sequence_audit(stores, self),
                control.bus.put_events(),
                grants.use_data_key(storage.stores, self, "events"),
            ],
            layer=layer,
            log_key=storage.stores.data_key,
            memory_mib=SEQUENCER_MEMORY_MIB,
        )
        lambda_.EventSourceMapping(
            self,
            "Events",
            target=sequence.function,
            event_source_arn=stores.queue.queue_arn,
            batch_size=BATCH_SIZE,
            report_batch_item_failures=True,
        )
        add_outputs(self, SequenceAuditLogFunction=sequence.function.function_name)
