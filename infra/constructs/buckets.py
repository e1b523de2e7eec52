"""The bucket of encrypted models, and the bucket that records who asked for what."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.validation import acknowledge

NO_TLS_REASON = (
    "The embedded cloud answers on loopback without TLS; every environment in AWS refuses requests without it."
)


class DataBuckets(Construct):
    """`data` is versioned and encrypted under our key; every request to it is recorded in `access_logs`."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names, key: kms.IKey
    ) -> None:
        super().__init__(scope, id)
        self.access_logs = s3.Bucket(
            self,
            "AccessLogs",
            # The service that delivers access logs cannot use a customer's key.
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=environment.require_tls,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(environment.log_retention_days))],
            removal_policy=_removal(environment),
        )
        self.data = s3.Bucket(
            self,
            "Data",
            bucket_name=names.data_bucket,
            versioned=True,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=environment.require_tls,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix="data/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(environment.abort_upload_days),
                    noncurrent_version_expiration=Duration.days(environment.old_version_days),
                )
            ],
            removal_policy=_removal(environment),
        )
        acknowledge(self.access_logs, {"S1": "It is the bucket of access logs: recording itself would never end."})
        if not environment.require_tls:
            for bucket in (self.access_logs, self.data):
                acknowledge(bucket, {"S10": NO_TLS_REASON})


def _removal(environment: EnvironmentConfig) -> RemovalPolicy:
    return RemovalPolicy.RETAIN if environment.retain_data else RemovalPolicy.DESTROY
