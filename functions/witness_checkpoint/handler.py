"""Cosign the newest checkpoint of the audit log. Runs when the sequencer has signed one, and every minute.

Its keys and its memory are its own: neither the sequencer nor whoever can change the log can read or write them.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.witness_checkpoint.settings import WitnessCheckpointSettings
from functions.witness_checkpoint.witness import MEMORY_PATH, Witness, make_failure_alert, make_refusal_alert
from pqtransfer.audit.derived_keys import WITNESS_KINDS
from pqtransfer.audit.errors import LogMovedError
from pqtransfer.audit.key_changes import SigningKeys, describe_replacement
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.aws.alerts import EventBridgeAlerts
from pqtransfer.aws.audit_log import S3LogStore
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.audit_signing import SigningSecrets, publish_signing_keys
from pqtransfer.aws.audit_trust import WITNESS_KEYS_PATH, KeysNotPublishedError, PublishedKeysDifferError, S3TrustBucket
from pqtransfer.aws.clients import client_config, make_object_client, make_session
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.environment import load_settings
from pqtransfer.errors import IntegrityError, PqtransferError

SOURCE, WITNESS = "pqtransfer", "witness-checkpoint"

logger = Logger(service="witness_checkpoint")
telemetry = FunctionTelemetry("witness_checkpoint")


class TrustMemory:
    """The witness's memory in the trust bucket."""

    def __init__(self, trust: S3TrustBucket) -> None:
        self._trust = trust

    def load(self) -> PublishedCheckpoint | None:
        return self._trust.find(MEMORY_PATH, limit_bytes=NOTE_LIMIT_BYTES)

    def save(self, data: bytes, *, etag: str | None) -> None:
        self._trust.replace(MEMORY_PATH, data, etag=etag)


@logger.inject_lambda_context
@telemetry.observe
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int | None]:
    """Look at the log; the size of the checkpoint that is witnessed now, None when there is none."""
    settings = load_settings(WitnessCheckpointSettings)
    try:
        checkpoint = connect_witness(settings).look()
    except KeysNotPublishedError:
        return {"size": None}  # nothing was ever logged
    except LogMovedError:
        logger.info("the log moved meanwhile; the run that moved it looks again")
        return {"size": None}
    except PublishedKeysDifferError as error:
        _tell(settings, error)
        raise
    except IntegrityError as error:  # the alert was raised
        logger.error("not signed", error_code=error.code, reason=str(error))
        return {"size": None}
    except Exception as error:  # whatever it is, nothing is witnessed until it is mended
        code = error.code if isinstance(error, PqtransferError) else type(error).__name__
        connect_alerts(settings).raise_alert(make_failure_alert(code, str(error), now=datetime.now(UTC)))
        raise
    size = None if checkpoint is None else checkpoint.size
    telemetry.done(1)
    logger.info("witnessed", extra={"size": size})
    return {"size": size}


def connect_witness(settings: WitnessCheckpointSettings) -> Witness:
    """The witness of this environment, on AWS."""
    session = make_session()
    s3 = make_object_client(session)
    trust = S3TrustBucket(s3, bucket=settings.audit_trust_bucket)
    return Witness(
        log=S3LogStore(s3, bucket=settings.audit_bucket),
        memory=TrustMemory(trust),
        policy=trust.load_log_policy(settings.origin),
        signers=load_keys(settings).signers,
        alerts=connect_alerts(settings),
        now=datetime.now(UTC),
    )


def _tell(settings: WitnessCheckpointSettings, error: IntegrityError) -> None:
    """The witness has no keys that readers believe."""
    connect_alerts(settings).raise_alert(make_refusal_alert(error, now=datetime.now(UTC)))


def connect_alerts(settings: WitnessCheckpointSettings) -> EventBridgeAlerts:
    """Where alerts are raised."""
    client = make_session().client("events", config=client_config())
    return EventBridgeAlerts(EventBridgeBus(client, bus=settings.event_bus, source=SOURCE))


@cache
def load_keys(settings: WitnessCheckpointSettings) -> SigningKeys:
    """The witness's keys. Nothing is signed before they are published; that they replace others is an event."""
    session = make_session()

    def announce(keys: SigningKeys) -> None:
        trail = connect_audit_trail(session, queue_url=settings.audit_queue_url, service=WITNESS, spool_directory=None)
        trail.record(describe_replacement(keys, of=settings.witness_name, actor=WITNESS, at=datetime.now(UTC)))

    return publish_signing_keys(
        SigningSecrets(settings.witness_name, WITNESS_KINDS, settings.witness_keys_id, settings.former_witness_keys_id),
        client=session.client("secretsmanager", config=client_config()),
        kms=session.client("kms", config=client_config()),
        trust=S3TrustBucket(make_object_client(session), bucket=settings.audit_trust_bucket),
        path=WITNESS_KEYS_PATH,
        announce=announce,
    )
