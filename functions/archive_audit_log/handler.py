"""Archive and purge what is due of the audit log. Runs once a day; each step can be repeated safely.

`{"dry_run": true}` tells what it would do and does nothing. A log that is not intact is not touched: the run fails.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.archive_audit_log.settings import ArchiveAuditLogSettings
from pqtransfer.audit.retention import RetentionRules
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.audit.upkeep import ACTOR, Upkeep
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.audit_retention import S3RetentionStore
from pqtransfer.aws.audit_trust import KeysNotPublishedError, S3TrustBucket
from pqtransfer.aws.clients import make_object_client, make_session
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.environment import load_settings

logger = Logger(service="archive_audit_log")
telemetry = FunctionTelemetry("archive_audit_log")


@logger.inject_lambda_context
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int | None]:
    """Do what is due; how many entries were archived, purged, and announced for the next run."""
    settings = load_settings(ArchiveAuditLogSettings)
    try:
        upkeep = connect_upkeep(settings)
    except KeysNotPublishedError:
        return {}  # nothing was ever logged
    outcome = upkeep.run(
        now=datetime.now(UTC),
        correlation_id=f"{ACTOR}-{context.aws_request_id}",
        dry_run=event.get("dry_run") is True,
    )
    logger.info("audit log kept", extra=asdict(outcome))
    return asdict(outcome)


def connect_upkeep(settings: ArchiveAuditLogSettings) -> Upkeep:
    """Retention in this environment, on AWS."""
    client = make_object_client(make_session())
    trust = S3TrustBucket(client, bucket=settings.audit_trust_bucket)
    return Upkeep(
        S3LogFiles(client, bucket=settings.audit_bucket),
        trust.load_keys(settings.origin).to_policy(),
        store=S3RetentionStore(client, bucket=settings.audit_bucket),
        rules=RetentionRules.from_text(settings.audit_retention_rules),
        trail=connect_trail(settings.audit_queue_url),
    )


@cache
def connect_trail(queue_url: str) -> AuditTrail:
    """One producer for the life of this instance."""
    return connect_audit_trail(make_session(), queue_url=queue_url, service=ACTOR, spool_directory=None)
