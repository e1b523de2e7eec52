"""The audit log of a deployment."""

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.errors import InputError
from pqtransfer.sdk.audit_log import AuditLog
from pqtransfer.sdk.deployment import Deployment


class AuditLogUnknownError(InputError):
    """The deployment file does not say where the audit log is."""

    def __init__(self) -> None:
        super().__init__(
            "this deployment has no audit log, or its file was written by an older release; "
            "write it anew with scripts/deploy --env ENV, or name a copy of the log with --log DIR"
        )


def connect_audit_log(deployment: Deployment, policy: TrustPolicy) -> AuditLog:
    """The log of `deployment`, read with the AWS credentials of this process (see `AWS_PROFILE`).

    Raises:
        AuditLogUnknownError: the deployment has none.
    """
    bucket = getattr(deployment, "audit_bucket", None)
    if not bucket:
        raise AuditLogUnknownError
    session = make_session(region=deployment.region)
    client = session.client("s3", endpoint_url=deployment.endpoint_url, config=client_config())
    return AuditLog(S3LogFiles(client, bucket=bucket), policy)
