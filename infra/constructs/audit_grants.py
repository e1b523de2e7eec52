"""Who may do what with the audit log: `grants` for the log alone."""

from dataclasses import dataclass

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.grants import use_table, via


@dataclass(frozen=True)
class SigningKeys:
    """What a log or a witness signs with: those in force come first, then those before, if there are any.

    `ids` are what its function is told: the name of a secret, or the ARNs of KMS keys. `secret_names` or `kms_arns` are
    what its role needs.
    """

    ids: tuple[str, ...]
    secret_names: tuple[str, ...] = ()
    kms_arns: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditStores:
    """What permissions of the audit log are about. `queue` is the system's. `embedded` as in `DataStores`."""

    bucket_name: str
    trust_bucket_name: str
    state: dynamodb.ITable
    queue: sqs.IQueue
    site_queue: sqs.IQueue
    log_keys: SigningKeys
    witness_keys: SigningKeys
    key: kms.IKey
    embedded: bool


def write_audit(audit: AuditStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Send events to the audit log, as a function or a worker. Nothing in it can be read or changed so."""
    return _write_audit(audit.queue, audit, stack)


def write_audit_as_site(audit: AuditStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Send events to the audit log, as a site: the sequencer takes no other name and no action of the system so."""
    return _write_audit(audit.site_queue, audit, stack)


def read_audit(audit: AuditStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Read the audit log with its keys, everything that it takes to check it."""
    return [
        iam.PolicyStatement(
            sid="ReadAudit",
            actions=["s3:GetObject", "s3:GetObjectVersion"],
            resources=[f"arn:aws:s3:::{audit.bucket_name}/*", f"arn:aws:s3:::{audit.trust_bucket_name}/keys/*"],
        ),
        iam.PolicyStatement(
            sid="FindAudit",
            actions=["s3:ListBucket", "s3:ListBucketVersions"],
            resources=[f"arn:aws:s3:::{audit.bucket_name}", f"arn:aws:s3:::{audit.trust_bucket_name}"],
        ),
        _use_key("OpenAudit", audit, stack, ["kms:Decrypt"], "s3"),
    ]


def sequence_audit(audit: AuditStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Be the sequencer: drain the queues, move the state, write files, sign with the log's keys. Never delete."""
    return [
        *read_audit(audit, stack),
        iam.PolicyStatement(
            sid="DrainAudit",
            actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            resources=[audit.queue.queue_arn, audit.site_queue.queue_arn],
        ),
        use_table("MoveAudit", audit.state, "GetItem", "BatchGetItem", "PutItem", "ConditionCheckItem"),
        iam.PolicyStatement(
            sid="WriteAuditFiles",
            actions=["s3:PutObject"],
            resources=[
                *(f"arn:aws:s3:::{audit.bucket_name}/{each}" for each in ("tile/*", "staged/*", "refused/*")),
                f"arn:aws:s3:::{audit.bucket_name}/unwitnessed",
                f"arn:aws:s3:::{audit.trust_bucket_name}/keys/log",
                f"arn:aws:s3:::{audit.trust_bucket_name}/keys/former-log",
            ],
        ),
        _sign_audit(stack, audit.log_keys),
        *write_audit(audit, stack),
        _use_key(
            "UseAuditKey",
            audit,
            stack,
            ["kms:GenerateDataKey", "kms:Decrypt"],
            "s3",
            "sqs",
            "dynamodb",
            "secretsmanager",
        ),
    ]


def witness_audit(audit: AuditStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Be the witness: read the log, sign with the witness's keys, remember, and show the cosigned checkpoint."""
    return [
        *read_audit(audit, stack),
        iam.PolicyStatement(
            sid="ShowWitnessed",
            actions=["s3:PutObject"],
            resources=[
                f"arn:aws:s3:::{audit.bucket_name}/checkpoint",
                f"arn:aws:s3:::{audit.trust_bucket_name}/keys/witness",
                f"arn:aws:s3:::{audit.trust_bucket_name}/keys/former-witness",
            ],
        ),
        _remember(audit, "witness/last"),
        _sign_audit(stack, audit.witness_keys),
        *write_audit(audit, stack),
        _use_key("UseAuditKey", audit, stack, ["kms:GenerateDataKey", "kms:Decrypt"], "s3", "secretsmanager"),
    ]


def check_audit(audit: AuditStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Check the log: read it and its state, remember what was verified, preserve evidence. Nothing of it changes."""
    return [
        *read_audit(audit, stack),
        use_table("ReadAuditState", audit.state, "GetItem", "BatchGetItem"),
        _remember(audit, "checker/*"),
        iam.PolicyStatement(
            sid="PreserveEvidence",
            actions=["s3:PutObject", "s3:PutObjectLegalHold"],
            resources=[f"arn:aws:s3:::{audit.bucket_name}/evidence/*"],
        ),
        *write_audit(audit, stack),
        _use_key("UseAuditKey", audit, stack, ["kms:GenerateDataKey", "kms:Decrypt"], "s3", "dynamodb"),
    ]


def keep_audit(audit: AuditStores, scope: Construct) -> list[iam.PolicyStatement]:
    """Archive and purge: tag bundles, delete those whose locks have ended, and say where the log begins."""
    stack = Stack.of(scope)
    return [
        *read_audit(audit, stack),
        iam.PolicyStatement(
            sid="KeepBundles",
            actions=["s3:PutObjectTagging", "s3:GetObjectLegalHold", "s3:DeleteObjectVersion"],
            resources=[f"arn:aws:s3:::{audit.bucket_name}/tile/entries/*"],
        ),
        iam.PolicyStatement(
            sid="SayWhatIsKept",
            actions=["s3:PutObject"],
            resources=[f"arn:aws:s3:::{audit.bucket_name}/{name}" for name in ("purged", "retention")],
        ),
        *write_audit(audit, stack),
        _use_key("UseAuditKey", audit, stack, ["kms:GenerateDataKey", "kms:Decrypt"], "s3"),
    ]


def hold_audit(audit: AuditStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Put entries under legal hold, and lift it: read the log, change the holds of bundles, record that. No more."""
    return [
        *read_audit(audit, stack),
        iam.PolicyStatement(
            sid="HoldBundles",
            actions=["s3:PutObjectLegalHold", "s3:GetObjectLegalHold"],
            resources=[f"arn:aws:s3:::{audit.bucket_name}/tile/entries/*"],
        ),
        *write_audit(audit, stack),
    ]


def report_audit(audit: AuditStores, scope: Construct) -> list[iam.PolicyStatement]:
    """Report on the log: read it, write reports beside it, record that, and remember how far a long one has come."""
    stack = Stack.of(scope)
    return [
        *read_audit(audit, stack),
        _remember(audit, "reporter/*"),
        iam.PolicyStatement(
            sid="WriteReports",
            actions=["s3:PutObject"],
            resources=[f"arn:aws:s3:::{audit.bucket_name}/reports/*"],
        ),
        *write_audit(audit, stack),
        _use_key("UseAuditKey", audit, stack, ["kms:GenerateDataKey", "kms:Decrypt"], "s3"),
    ]


def _write_audit(queue: sqs.IQueue, audit: AuditStores, stack: Stack) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(sid="WriteAudit", actions=["sqs:SendMessage"], resources=[queue.queue_arn]),
        _use_key("SealAudit", audit, stack, ["kms:GenerateDataKey", "kms:Decrypt"], "sqs"),
    ]


def _remember(audit: AuditStores, path: str) -> iam.PolicyStatement:
    """A document of one's own in the trust bucket."""
    return iam.PolicyStatement(
        sid="Remember",
        actions=["s3:GetObject", "s3:PutObject"],
        resources=[f"arn:aws:s3:::{audit.trust_bucket_name}/{path}"],
    )


def _sign_audit(stack: Stack, keys: SigningKeys) -> iam.PolicyStatement:
    """Nobody else may: neither read a secret of keys, nor sign with a key of KMS."""
    if keys.kms_arns:
        return iam.PolicyStatement(
            sid="SignAudit", actions=["kms:Sign", "kms:GetPublicKey"], resources=list(keys.kms_arns)
        )
    # Secrets Manager puts a hyphen and six signs behind the name.
    secrets = f"arn:aws:secretsmanager:{stack.region}:{stack.account}:secret"
    return iam.PolicyStatement(
        sid="SignAudit",
        actions=["secretsmanager:GetSecretValue"],
        resources=[f"{secrets}:{name}-??????" for name in keys.secret_names],
    )


def _use_key(sid: str, audit: AuditStores, stack: Stack, actions: list[str], *services: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid,
        actions=actions,
        resources=[audit.key.key_arn],
        conditions={} if audit.embedded else via(stack, *services),
    )
