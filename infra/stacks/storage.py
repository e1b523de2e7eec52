"""Everything that would be missed: models, states, keys. Logical ids are pinned by a test; deletion is refused."""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from infra.constructs.alert_channels import AlertChannels
from infra.constructs.buckets import DataBuckets
from infra.constructs.encryption_keys import EncryptionKeys
from infra.constructs.grants import DataStores
from infra.constructs.key_backup_store import KeyBackupStore
from infra.constructs.key_service import ActingIdentity
from infra.constructs.tables import Tables
from infra.constructs.worker_roles import WorkerIdentity
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.outputs import add_outputs


class StorageStack(Stack):
    """Keys, buckets and tables, and the roles of whoever acts for participants: their roles trust these."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names, **kwargs: Any
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.keys = EncryptionKeys(self, "Keys", environment=environment, names=names)
        self.buckets = DataBuckets(self, "Buckets", environment=environment, names=names, key=self.keys.data)
        self.tables = Tables(self, "Tables", environment=environment, key=self.keys.data)
        self.worker = WorkerIdentity(self, "Worker", environment=environment, names=names)
        self.key_service = ActingIdentity(
            self,
            "KeyService",
            environment=environment,
            role_name=names.key_service_role,
            description="What the function that rotates keys may do",
        )
        self.protection = ActingIdentity(
            self,
            "Protection",
            environment=environment,
            role_name=names.protection_role,
            description="What the function that renews envelopes may do",
        )
        self.incident_response = ActingIdentity(
            self,
            "IncidentResponse",
            environment=environment,
            role_name=names.incident_response_role,
            description="What the function that answers a compromise may do",
        )
        self.key_backups = KeyBackupStore(
            self, "KeyBackups", environment=environment, names=names, access_logs=self.buckets.access_logs
        )
        self.channels = AlertChannels(self, "AlertChannels", environment=environment, names=names, key=self.keys.data)
        self.stores = DataStores(
            bucket_name=names.data_bucket,
            transfers=self.tables.transfers,
            checkpoints=self.tables.checkpoints,
            participants=self.tables.participants,
            envelopes=self.tables.envelopes,
            incidents=self.tables.incidents,
            decisions=self.tables.decisions,
            alerts=self.tables.alerts,
            data_key=self.keys.data,
            checkpoint_key=self.keys.checkpoints,
            secrets_key=self.keys.secrets,
            key_backups_bucket_name=names.key_backups_bucket,
            key_backups_key=self.key_backups.key,
            embedded=environment.is_local,
        )
        add_outputs(
            self,
            DataBucket=self.buckets.data.bucket_name,
            TransfersTable=self.tables.transfers.table_name,
            CheckpointsTable=self.tables.checkpoints.table_name,
            ParticipantsTable=self.tables.participants.table_name,
            EnvelopesTable=self.tables.envelopes.table_name,
            IncidentsTable=self.tables.incidents.table_name,
            DecisionsTable=self.tables.decisions.table_name,
            AlertsTable=self.tables.alerts.table_name,
            CheckpointKeyArn=self.keys.checkpoints.key_arn,
            KeyBackupsBucket=self.key_backups.bucket.bucket_name,
            TaskRoleArn=self.worker.role.role_arn,
        )
