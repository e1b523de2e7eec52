"""What the audit log stands on: bucket under Object Lock, trust bucket, state, queues, and the secrets of its keys.

There are two queues, so that the sequencer knows where an event came from: one for the functions and workers, and one
for sites.

Two secrets, one for the log and one for its witness, are drawn by Secrets Manager itself when the stack is deployed: no
person and no pipeline ever holds them, and there is no first run that could fail half-way. Signing keys are derived
from them.
"""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.audit_grants import AuditStores, SigningKeys
from infra.constructs.buckets import NO_TLS_REASON
from infra.constructs.queues import hidden_for_function, make_queue
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.validation import acknowledge
from pqtransfer.aws.audit_retention import ARCHIVE_TAG
from pqtransfer.aws.audit_signing import KMS_PREFIX

ENTRIES_PREFIX, STAGED_PREFIX = "tile/entries/", "staged/"
SEED_LETTERS = 64
"""Out of 62 letters and digits: more than 380 bits."""
QUEUE_RETENTION_DAYS = 14
RECEIVES_AT_MOST = 1000
"""A batch fails when the log cannot be appended to, and then every one does: messages wait for days, not for tries."""


class AuditStore(Construct):
    """Versioned, locked, encrypted under a key of its own."""

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names) -> None:
        super().__init__(scope, id)
        self._environment = environment
        self.key = self._make_key()
        self.access_logs = self._make_access_logs()
        self.bucket = self._make_bucket("Log", names.audit_bucket, "log/", locked=True)
        self.trust = self._make_bucket("Trust", names.audit_trust_bucket, "trust/", locked=False)
        self.state = self._make_table()
        self.dead_letters = self._make_queue("DeadLetters")
        self.queue = self._make_queue("Events", dead_letters=self.dead_letters)
        self.site_dead_letters = self._make_queue("SiteDeadLetters")
        self.site_queue = self._make_queue("SiteEvents", dead_letters=self.site_dead_letters)
        log_keys = self._make_signing_keys("LogKeys", names.audit_log_secret, environment.audit_log_key_generation)
        witness_keys = self._make_signing_keys(
            "WitnessKeys", names.audit_witness_secret, environment.audit_witness_key_generation
        )
        self.stores = AuditStores(
            bucket_name=names.audit_bucket,
            trust_bucket_name=names.audit_trust_bucket,
            state=self.state,
            queue=self.queue,
            site_queue=self.site_queue,
            log_keys=log_keys,
            witness_keys=witness_keys,
            key=self.key,
            embedded=environment.is_local,
        )

    @property
    def _removal(self) -> RemovalPolicy:
        return RemovalPolicy.RETAIN if self._environment.retain_data else RemovalPolicy.DESTROY

    def _make_key(self) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            description=f"pqtransfer {self._environment.name}: Encrypts the audit log, its queue, state and secrets",
            enable_key_rotation=True,
            pending_window=Duration.days(30 if self._environment.retain_data else 7),
            removal_policy=self._removal,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alerts",
                principals=[
                    iam.ServicePrincipal("events.amazonaws.com"),
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                ],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        return key

    def _make_access_logs(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=self._environment.require_tls,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(self._environment.log_retention_days))],
            removal_policy=self._removal,
        )
        acknowledge(bucket, {"S1": "It is the bucket of access logs: recording itself would never end."})
        if not self._environment.require_tls:
            acknowledge(bucket, {"S10": NO_TLS_REASON})
        return bucket

    def _make_bucket(self, id: str, name: str, prefix: str, *, locked: bool) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            id,
            bucket_name=name,
            versioned=True,
            object_lock_enabled=locked or None,
            object_lock_default_retention=self._make_lock() if locked else None,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=self._environment.require_tls,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix=prefix,
            removal_policy=self._removal,
        )
        if locked:
            self._add_lifecycle(bucket)
        if not self._environment.require_tls:
            acknowledge(bucket, {"S10": NO_TLS_REASON})
        return bucket

    def _add_lifecycle(self, bucket: s3.Bucket) -> None:
        """Archive what retention has tagged; drop what a batch had staged when its lock has ended.

        The archive's class answers at once, so that an old entry can be verified and proven without waiting.
        """
        tag, value = ARCHIVE_TAG
        archive = s3.Transition(
            storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, transition_after=Duration.days(0)
        )
        bucket.add_lifecycle_rule(id="archive", prefix=ENTRIES_PREFIX, tag_filters={tag: value}, transitions=[archive])
        bucket.add_lifecycle_rule(
            id="staged",
            prefix=STAGED_PREFIX,
            expiration=Duration.days(self._environment.audit_retention_days + 1),
            noncurrent_version_expiration=Duration.days(self._environment.audit_retention_days + 1),
        )

    def _make_lock(self) -> s3.ObjectLockRetention:
        days = Duration.days(self._environment.audit_retention_days)
        if self._environment.audit_lock_mode == "COMPLIANCE":
            return s3.ObjectLockRetention.compliance(days)
        return s3.ObjectLockRetention.governance(days)

    def _make_table(self) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            "State",
            partition_key=dynamodb.Attribute(name="item", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._environment.retain_data,
            removal_policy=self._removal,
        )

    def _make_queue(self, id: str, *, dead_letters: sqs.Queue | None = None) -> sqs.Queue:
        return make_queue(
            self,
            id,
            environment=self._environment,
            key=self.key,
            dead_letters=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=RECEIVES_AT_MOST)
            if dead_letters
            else None,
            retention_days=QUEUE_RETENTION_DAYS,
            visibility=hidden_for_function(self._environment, self._environment.function_timeout_seconds),
            fifo=True,
            removal_policy=self._removal,
        )

    def _make_signing_keys(self, id: str, name: str, generation: int) -> SigningKeys:
        """Those of this generation, and of the one before it: they sign along, until they are revoked."""
        generations = [generation, generation - 1] if generation > 1 else [generation]
        ids = {number: id if number == 1 else f"{id}{number}" for number in generations}
        if self._environment.audit_signer == "kms":
            arns = [self._make_kms_keys(ids[number]) for number in generations]
            told = tuple(f"{KMS_PREFIX}{' '.join(each)}" for each in arns)
            return SigningKeys(told, kms_arns=tuple(arn for each in arns for arn in each))
        names = {number: name if number == 1 else f"{name}-{number}" for number in generations}
        for number in generations:
            self._make_secret(ids[number], names[number])
        return SigningKeys(tuple(names.values()), secret_names=tuple(names.values()))

    def _make_kms_keys(self, id: str) -> tuple[str, ...]:
        """One key for each algorithm of a note. KMS rotates none of them, and cannot: they are replaced on purpose."""
        specs = (kms.KeySpec.ECC_NIST_EDWARDS25519, kms.KeySpec.ML_DSA_44)
        return tuple(
            kms.Key(
                self,
                f"{id}{algorithm}",
                description=f"pqtransfer {self._environment.name}: Signs the audit log ({id}, {algorithm})",
                key_spec=spec,
                key_usage=kms.KeyUsage.SIGN_VERIFY,
                pending_window=Duration.days(30 if self._environment.retain_data else 7),
                removal_policy=self._removal,
            ).key_arn
            for algorithm, spec in zip(("Ed25519", "MlDsa44"), specs, strict=True)
        )

    def _make_secret(self, id: str, name: str) -> None:
        secret = secretsmanager.Secret(
            self,
            id,
            secret_name=name,
            description="What the audit log's signing keys are derived from",
            encryption_key=self.key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=SEED_LETTERS, exclude_punctuation=True
            ),
            removal_policy=self._removal,
        )
        acknowledge(
            secret,
            {"SMG4": "The keys of a log are replaced on purpose, with the former ones published: not by a clock."},
        )
