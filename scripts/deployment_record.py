"""Puts a deployment on record in the audit log of the environment that it made or changed."""

from collections.abc import Mapping, Sequence

from uuid6 import uuid7

from pqtransfer.audit.events import AuditFacts, EventKind, Target
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.callers import name_caller
from pqtransfer.aws.clients import Session, client_config
from pqtransfer.environment import ENVIRONMENT_VARIABLE_PREFIX
from pqtransfer.recording.wording import fit_text, list_names
from pqtransfer.sdk.deployment import Deployment

SERVICE = "deploy"
TEXT_LIMIT = 200


def record_deployment(
    deployment: Deployment, session: Session, *, contexts: Sequence[str], variables: Mapping[str, str]
) -> None:
    """Put the deployment on record, as of whoever the session belongs to.

    Raises:
        AuditUnavailableError: the log takes no event.
        CloudError: AWS does not say who that is.
    """
    endpoint_url = deployment.endpoint_url
    caller = name_caller(session.client("sts", endpoint_url=endpoint_url, config=client_config()))
    trail: AuditTrail = connect_audit_trail(
        session,
        queue_url=deployment.site_audit_queue_url,
        service=SERVICE,
        spool_directory=None,
        endpoint_url=endpoint_url,
    )
    trail.record(describe_deployment(deployment, caller=caller, contexts=contexts, variables=variables))


def describe_deployment(
    deployment: Deployment, *, caller: str, contexts: Sequence[str], variables: Mapping[str, str]
) -> AuditFacts:
    """Which environment was deployed, and what was set otherwise than its defaults. Configuration holds no secret."""
    options = ("--context", "-c")
    given = [each.removeprefix("--context=").removeprefix("-c=") for each in contexts if each not in options]
    overrides = [f"{name}={value}" for name, value in variables.items() if name.startswith(ENVIRONMENT_VARIABLE_PREFIX)]
    return AuditFacts(
        kind=EventKind.CONFIGURATION,
        action="configuration.update",
        actor=fit_text(caller),
        target=Target(type="environment", id=deployment.environment),
        succeeded=True,
        correlation_id=f"deploy-{uuid7()}",
        details={
            "account": deployment.account_id,
            "region": deployment.region,
            "minimum_suite": deployment.minimum_suite,
            "data_bucket": deployment.data_bucket,
            **list_names("context", (fit_text(each, limit=TEXT_LIMIT) for each in given)),
            **list_names("variables", (fit_text(each, limit=TEXT_LIMIT) for each in sorted(overrides))),
        },
    )
