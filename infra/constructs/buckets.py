"""The bucket of encrypted models, and the bucket that records who asked for what."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.grants import TRANSFERS_PREFIX
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.validation import acknowledge
from pqtransfer.transfers.folder import MANIFEST_NAME, PAYLOAD_NAME

NO_TLS_REASON = (
    "The embedded cloud answers on loopback without TLS; every environment in AWS refuses requests without it."
)

WRITTEN_ONCE = (PAYLOAD_NAME, MANIFEST_NAME)


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
        if not environment.is_local:
            # The embedded cloud's requests carry neither condition key: there, this would refuse every upload.
            self.data.add_to_resource_policy(_refuse_overwriting(self.data))
        acknowledge(self.access_logs, {"S1": "It is the bucket of access logs: recording itself would never end."})
        if not environment.require_tls:
            for bucket in (self.access_logs, self.data):
                acknowledge(bucket, {"S10": NO_TLS_REASON})


def _refuse_overwriting(data: s3.IBucket) -> iam.PolicyStatement:
    """Whoever writes a payload or a manifest has to say `If-None-Match: *`, so that what is there stays.

    `s3:ObjectCreationOperation` is false for the requests of a multipart upload that make no object yet, and take no
    such header: starting it, and writing its parts. Completing it makes one. An envelope is replaced by a rewrap.
    """
    return iam.PolicyStatement(
        sid="RefuseOverwriting",
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=["s3:PutObject"],
        resources=[data.arn_for_objects(f"{TRANSFERS_PREFIX}*/{name}") for name in WRITTEN_ONCE],
        conditions={"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    )


def _removal(environment: EnvironmentConfig) -> RemovalPolicy:
    return RemovalPolicy.RETAIN if environment.retain_data else RemovalPolicy.DESTROY
