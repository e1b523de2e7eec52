"""The audit log of a deployment, and the keys that it has published."""

from datetime import datetime
from typing import TYPE_CHECKING

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.events import AuditFacts
from pqtransfer.audit.published_keys import PublishedKeys
from pqtransfer.audit.retention import RetentionRules
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.audit.upkeep import RetentionOutcome, Upkeep
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_retention import S3RetentionStore
from pqtransfer.aws.audit_trust import S3TrustBucket
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.read_ahead import ReadAheadLogFiles
from pqtransfer.sdk.audit_log import AuditLog
from pqtransfer.sdk.deployment import Deployment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def connect_audit_log(deployment: Deployment, *, policy: TrustPolicy | None = None) -> AuditLog:
    """The log of `deployment`, read with the AWS credentials of this process (see `AWS_PROFILE`).

    Args:
        policy: whose signatures to believe; left out, the keys that the deployment has published. Whoever can write to
            its trust bucket decides then: for a check that does not rely on the deployment, bring keys that were kept.

    Raises:
        KeysNotPublishedError: the deployment has published none yet.
        CloudError: they cannot be read.
    """
    if policy is None:
        policy = read_published_keys(deployment).to_policy()
    files = S3LogFiles(_connect(deployment), bucket=deployment.audit_bucket)
    return AuditLog(ReadAheadLogFiles(files), policy)


def read_published_keys(deployment: Deployment) -> PublishedKeys:
    """The keys that the deployment has published.

    Raises:
        KeysNotPublishedError, CloudError: there are none yet, or they cannot be read.
    """
    trust = S3TrustBucket(_connect(deployment), bucket=deployment.audit_trust_bucket)
    return trust.load_keys(deployment.audit_origin)


def plan_retention(
    deployment: Deployment, rules: RetentionRules, *, now: datetime, policy: TrustPolicy | None = None
) -> RetentionOutcome:
    """What a run of retention would do at `now`; nothing is written, recorded or deleted.

    Raises:
        IntegrityError: the log is not intact; retention would not touch it.
        KeysNotPublishedError, CloudError: it cannot be read.
    """
    client = _connect(deployment)
    upkeep = Upkeep(
        S3LogFiles(client, bucket=deployment.audit_bucket),
        policy or read_published_keys(deployment).to_policy(),
        store=S3RetentionStore(client, bucket=deployment.audit_bucket),
        rules=rules,
        trail=_NoTrail(),
    )
    return upkeep.run(now=now, correlation_id="plan", dry_run=True)


class _NoTrail:
    """A plan records nothing."""

    def record(self, *facts: AuditFacts) -> None:
        raise AuditUnavailableError(f"a plan was about to record {len(facts)} events")


def _connect(deployment: Deployment) -> "S3Client":
    session = make_session(region=deployment.region)
    return session.client("s3", endpoint_url=deployment.endpoint_url, config=client_config())
