"""The adapters of one deployment: its tables, queue, buckets and secrets, under one session's credentials."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.callers import name_caller
from pqtransfer.aws.clients import Session, client_config, make_role_session
from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.aws.folder import S3Connection, S3Folder
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.queue import TransferQueue
from pqtransfer.aws.service_load import WorkloadReader
from pqtransfer.aws.vault import RoleKeyReader
from pqtransfer.sdk.deployment import Deployment


@dataclass(frozen=True)
class Connections:
    """Connects to each service when it is asked for, and once.

    `audit_spool` is a directory in which events for the audit log wait for its queue; without it, callers do.
    """

    deployment: Deployment
    session: Session
    audit_spool: Path | None = field(default=None, kw_only=True)

    @cached_property
    def ledger(self) -> DynamoTransferLedger:
        """The ledger of transfers."""
        return self._open_ledger()

    def prompt_ledger(self, *, within_seconds: float) -> DynamoTransferLedger:
        """The same ledger, by calls that answer or fail within this time."""
        return self._open_ledger(within_seconds=within_seconds)

    @cached_property
    def registry(self) -> DynamoKeyRegistry:
        """The key registry."""
        return DynamoKeyRegistry(self._client("dynamodb"), table_name=self.deployment.participants_table)

    @cached_property
    def dependencies(self) -> DynamoDependencyIndex:
        """The index of which containers need which keys."""
        return DynamoDependencyIndex.open(
            self.session, self.deployment.envelopes_table, endpoint_url=self.deployment.endpoint_url
        )

    @cached_property
    def queue(self) -> TransferQueue:
        """The queue of requests."""
        return TransferQueue(self._client("sqs"), queue_url=self.deployment.queue_url)

    @cached_property
    def workload(self) -> WorkloadReader:
        """What the queue holds, and how many workers there are."""
        return WorkloadReader(
            sqs=self._client("sqs"),
            ecs=self._client("ecs"),
            queue_url=self.deployment.queue_url,
            cluster=self.deployment.cluster,
            service=self.deployment.service,
        )

    @cached_property
    def trail(self) -> AuditTrail:
        """The audit log."""
        return connect_audit_trail(
            self.session,
            queue_url=self.deployment.site_audit_queue_url,
            service="client",
            spool_directory=self.audit_spool,
            endpoint_url=self.deployment.endpoint_url,
        )

    @cached_property
    def caller(self) -> str:
        """Whom AWS takes the session for."""
        return name_caller(self._client("sts"))

    def container(self, transfer_id: str) -> S3Folder:
        """The folder of one transfer in the data bucket."""
        return S3Folder(self._data, bucket=self.deployment.data_bucket, prefix=f"transfers/{transfer_id}/")

    def site(self, bucket: str) -> S3Folder:
        """A bucket that belongs to a site."""
        connection = S3Connection.open(self.session, endpoint_url=self.deployment.endpoint_url)
        return S3Folder(connection, bucket=bucket)

    def key_reader(self) -> RoleKeyReader:
        """Reads the private keys of managed participants, under their roles."""
        return RoleKeyReader(self._client("sts"), connect=self._connect_secrets)

    @cached_property
    def _data(self) -> S3Connection:
        endpoint_url = self.deployment.data_endpoint_url or self.deployment.endpoint_url
        return S3Connection.open(self.session, endpoint_url=endpoint_url)

    def _open_ledger(self, *, within_seconds: float | None = None) -> DynamoTransferLedger:
        deployment = self.deployment
        return DynamoTransferLedger.open(
            self.session,
            deployment.transfers_table,
            endpoint_url=deployment.endpoint_url,
            within_seconds=within_seconds,
        )

    def _client(self, service: Any) -> Any:
        return self.session.client(service, endpoint_url=self.deployment.endpoint_url, config=client_config())

    def _connect_secrets(self, credentials: Any) -> Any:
        session = make_role_session(credentials, region=self.deployment.region)
        return session.client("secretsmanager", endpoint_url=self.deployment.endpoint_url, config=client_config())
