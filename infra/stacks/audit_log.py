"""The audit log at rest. Logical ids are pinned by a test; deletion is refused."""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from infra.constructs.audit_store import AuditStore
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.outputs import add_outputs


class AuditLogStack(Stack):
    """Files, state, queues and keys of the audit log. Needs no other stack, so that every other may write to it."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names, **kwargs: Any
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.store = AuditStore(self, "Audit", environment=environment, names=names)
        self.stores = self.store.stores
        add_outputs(
            self,
            AuditQueueUrl=self.store.queue.queue_url,
            AuditDeadLetterQueueUrl=self.store.dead_letters.queue_url,
            SiteAuditQueueUrl=self.store.site_queue.queue_url,
            SiteAuditDeadLetterQueueUrl=self.store.site_dead_letters.queue_url,
            AuditBucket=self.store.bucket.bucket_name,
            AuditTrustBucket=self.store.trust.bucket_name,
            AuditStateTable=self.store.state.table_name,
            AuditOrigin=names.audit_origin,
        )
