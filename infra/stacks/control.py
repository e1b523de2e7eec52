"""What decides and tells: the queue, the event bus, the functions, the roles of people and sites."""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from functions.publish_transfer_events.settings import PublishTransferEventsSettings
from functions.register_participant.settings import RegisterParticipantSettings
from infra.constructs import audit_grants, grants, key_grants
from infra.constructs.event_bus import TransferEvents
from infra.constructs.function_factory import FunctionFactory
from infra.constructs.key_service import KeyService, KeyServiceParts
from infra.constructs.participant_boundary import ParticipantBoundary
from infra.constructs.site_roles import SiteRoles
from infra.constructs.stream_trigger import StreamFailures, StreamTrigger, read_stream
from infra.constructs.transfer_queue import TransferQueue
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.outputs import add_outputs
from infra.recovery_key import read_recovery_key
from infra.stacks.audit_log import AuditLogStack
from infra.stacks.storage import StorageStack


class ControlStack(Stack):
    """The serverless control plane. Everything in it can be made again."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        storage: StorageStack,
        audit: AuditLogStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        stores = storage.stores
        self.queue = TransferQueue(self, "Queue", environment=environment, key=stores.data_key)
        self.bus = TransferEvents(self, "Events", environment=environment, names=names, key=stores.data_key)
        recovery_public_key = read_recovery_key(environment)
        boundary = ParticipantBoundary(self, "ParticipantBoundary", names=names, stores=stores)
        self.functions = functions = FunctionFactory(
            self, environment=environment, names=names, log_key=stores.data_key
        )
        register = functions.make(
            self,
            RegisterParticipantSettings,
            parts=("audit", "transfers", "crypto", "keys", "operations", "recording", "aws"),
            values={
                "environment": environment.name,
                "participants_table": stores.participants.table_name,
                "participant_role_prefix": grants.participant_role_arn_prefix(self, names),
                "task_role_arn": storage.worker.role.role_arn,
                "permissions_boundary_arn": boundary.arn,
                "secrets_key_arn": stores.secrets_key.key_arn,
                "key_service_role_arn": storage.key_service.role.role_arn,
                "protection_role_arn": storage.protection.role.role_arn,
                "incident_response_role_arn": storage.incident_response.role.role_arn,
                "key_backups_bucket": stores.key_backups_bucket_name,
                "key_backups_key_arn": stores.key_backups_key.key_arn,
                "recovery_public_key": recovery_public_key,
                "minimum_suite": environment.minimum_suite,
                "audit_queue_url": audit.store.queue.queue_url,
            },
            statements=[
                *audit_grants.write_audit(audit.stores, self),
                *grants.make_participant_roles(stores, self, names, boundary_arn=boundary.arn),
                *grants.make_participant_secrets(stores, self, names),
                *key_grants.make_key_backups(stores, self),
                grants.use_table("ReadRegistry", stores.participants, "Query"),
                grants.use_table("WriteRegistry", stores.participants, "PutItem", "UpdateItem"),
                grants.use_data_key(stores, self, "dynamodb"),
            ],
        )
        self.failures = failures = StreamFailures(self, "StreamFailures", environment=environment, key=stores.data_key)
        publish = functions.make(
            self,
            PublishTransferEventsSettings,
            parts=("audit", "crypto", "operations", "recording", "aws"),
            values={"event_bus": names.event_bus, "audit_queue_url": audit.store.queue.queue_url},
            statements=[
                *audit_grants.write_audit(audit.stores, self),
                *read_stream(stores.transfers),
                self.bus.put_events(),
                failures.report(),
                grants.use_data_key(stores, self, "dynamodb", "sqs"),
            ],
        )
        StreamTrigger(self, "TransferChanges", table=stores.transfers, function=publish, failures=failures)
        self.keys = keys = KeyService(
            self,
            "Keys",
            environment=environment,
            names=names,
            identity=storage.key_service.role,
            parts=KeyServiceParts(
                stores=stores,
                audit=audit.stores,
                bus=self.bus,
                functions=functions,
                recovery_public_key=recovery_public_key,
            ),
        )
        self.roles = SiteRoles(
            self,
            "Roles",
            names=names,
            stores=stores,
            audit=audit.stores,
            queue=self.queue,
            failures=failures,
            undelivered=self.bus.undelivered,
            register_participant=register.function,
            key_functions=(keys.rotate.function, keys.drill.function),
        )
        add_outputs(
            self,
            QueueUrl=self.queue.requests.queue_url,
            DeadLetterQueueUrl=self.queue.dead_letters.queue_url,
            StreamFailuresQueueUrl=failures.queue.queue_url,
            EventBus=names.event_bus,
            MinimumSuite=environment.minimum_suite,
            ParticipantRolePrefix=grants.participant_role_arn_prefix(self, names),
            KeyOrdersQueueUrl=keys.orders.queue_url,
            RotateKeysFunction=keys.rotate.function.function_name,
            DrillKeyRestoreFunction=keys.drill.function.function_name,
            RegisterParticipantFunction=register.function.function_name,
            PublishTransferEventsFunction=publish.function.function_name,
        )
