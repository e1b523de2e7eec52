"""The legal holds of a deployment's audit log."""

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.holds import Holds
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_holds import S3HoldStore
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.callers import name_caller
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.sdk.audit_connection import read_published_keys
from pqtransfer.sdk.deployment import Deployment

SERVICE = "custodian"


def connect_holds(deployment: Deployment, *, policy: TrustPolicy | None = None) -> Holds:
    """The holds of `deployment`, under the AWS credentials of this process: those of the role `custodian`.

    Args:
        policy: whose signatures to believe; left out, the keys that the deployment has published.

    Raises:
        KeysNotPublishedError, CloudError: they cannot be read.
    """
    session = make_session(region=deployment.region)
    endpoint_url, config = deployment.endpoint_url, client_config()
    s3 = session.client("s3", endpoint_url=endpoint_url, config=config)
    caller = name_caller(session.client("sts", endpoint_url=endpoint_url, config=config))
    return Holds(
        files=S3LogFiles(s3, bucket=deployment.audit_bucket),
        policy=policy or read_published_keys(deployment).to_policy(),
        store=S3HoldStore(s3, bucket=deployment.audit_bucket),
        trail=connect_audit_trail(
            session,
            queue_url=deployment.audit_queue_url,
            service=SERVICE,
            spool_directory=None,
            endpoint_url=endpoint_url,
        ),
        actor=caller,
        through={"caller": caller},
    )
