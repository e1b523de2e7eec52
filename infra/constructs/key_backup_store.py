"""Where private keys are backed up: a bucket under Object Lock, and the KMS key that seals what is put there."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.buckets import NO_TLS_REASON
from infra.constructs.wildcards import acknowledge_wildcards
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.validation import acknowledge
from pqtransfer.aws.key_backups import BACKUPS_PREFIX

ACCESS_LOG_PREFIX = "key-backups/"


class KeyBackupStore(Construct):
    """Written once, kept for as long as the lock says, whoever asks. Removing a backup leaves its version locked."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        access_logs: s3.IBucket,
    ) -> None:
        super().__init__(scope, id)
        removal = RemovalPolicy.RETAIN if environment.retain_data else RemovalPolicy.DESTROY
        self.key = kms.Key(
            self,
            "Key",
            description=f"pqtransfer {environment.name}: Seals the backups of private keys",
            enable_key_rotation=True,
            pending_window=Duration.days(30 if environment.retain_data else 7),
            removal_policy=removal,
        )
        self.bucket_name = names.key_backups_bucket
        lock = Duration.days(environment.key_backup_lock_days)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=names.key_backups_bucket,
            versioned=True,
            object_lock_enabled=True,
            object_lock_default_retention=(
                s3.ObjectLockRetention.compliance(lock)
                if environment.retain_data
                else s3.ObjectLockRetention.governance(lock)
            ),
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=environment.require_tls,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix=ACCESS_LOG_PREFIX,
            # What was removed goes once its lock is over: until then a key that was destroyed could be brought back.
            lifecycle_rules=[s3.LifecycleRule(noncurrent_version_expiration=lock)],
            removal_policy=removal,
        )
        if environment.key_backup_replica_arn and environment.key_backup_replica_key_arn:
            self._replicate_to(environment.key_backup_replica_arn, environment.key_backup_replica_key_arn)
        if not environment.require_tls:
            acknowledge(self.bucket, {"S10": NO_TLS_REASON})

    def _replicate_to(self, bucket_arn: str, key_arn: str) -> None:
        """Copy every backup to a bucket that somebody else guards. What is removed here stays there."""
        statements = [
            iam.PolicyStatement(
                sid="FindWhatToReplicate",
                actions=["s3:GetReplicationConfiguration", "s3:ListBucket"],
                resources=[self.bucket.bucket_arn],
            ),
            iam.PolicyStatement(
                sid="ReadWhatToReplicate",
                actions=[
                    "s3:GetObjectVersionForReplication",
                    "s3:GetObjectVersionTagging",
                    "s3:GetObjectRetention",
                    "s3:GetObjectLegalHold",
                ],
                resources=[f"arn:aws:s3:::{self.bucket_name}/{BACKUPS_PREFIX}*"],
            ),
            iam.PolicyStatement(
                sid="WriteReplicas",
                actions=["s3:ReplicateObject", "s3:ReplicateTags"],
                resources=[f"{bucket_arn}/{BACKUPS_PREFIX}*"],
            ),
            iam.PolicyStatement(
                sid="DecryptOriginals",
                actions=["kms:Decrypt"],
                resources=[self.key.key_arn],
                conditions={"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}},
            ),
            iam.PolicyStatement(
                sid="EncryptReplicas",
                actions=["kms:Encrypt"],
                resources=[key_arn],
                conditions={"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}},
            ),
        ]
        role = iam.Role(
            self,
            "ReplicationRole",
            description="What S3 may do to replicate the backups of private keys",
            assumed_by=iam.ServicePrincipal("s3.amazonaws.com"),
            inline_policies={"Allowed": iam.PolicyDocument(statements=statements)},
        )
        acknowledge_wildcards(role, statements)
        bucket = self.bucket.node.default_child
        assert isinstance(bucket, s3.CfnBucket)  # noqa: S101 - narrows the type for mypy
        bucket.replication_configuration = s3.CfnBucket.ReplicationConfigurationProperty(
            role=role.role_arn,
            rules=[
                s3.CfnBucket.ReplicationRuleProperty(
                    id="Backups",
                    status="Enabled",
                    priority=0,
                    filter=s3.CfnBucket.ReplicationRuleFilterProperty(prefix=BACKUPS_PREFIX),
                    delete_marker_replication=s3.CfnBucket.DeleteMarkerReplicationProperty(status="Disabled"),
                    source_selection_criteria=s3.CfnBucket.SourceSelectionCriteriaProperty(
                        sse_kms_encrypted_objects=s3.CfnBucket.SseKmsEncryptedObjectsProperty(status="Enabled")
                    ),
                    destination=s3.CfnBucket.ReplicationDestinationProperty(
                        bucket=bucket_arn,
                        encryption_configuration=s3.CfnBucket.EncryptionConfigurationProperty(
                            replica_kms_key_id=key_arn
                        ),
                    ),
                )
            ],
        )
