"""Move every envelope under a key that was replaced to the keys that its recipients have now.

A `KeyRotated` event on the bus begins it; messages, a page each, do it. Payloads are not touched: an envelope is
replaced by one with the next epoch, only if nobody else replaced it meanwhile.

Its role is its own, and participants' roles trust it. What it needs: on the participants table Query and Scan; on the
envelopes table and its index to read and keep them; on the transfers table GetItem; on containers GetObject, and
PutObject of envelopes alone; to act as participants; SendMessage to the audit queue and to its own.
"""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.renew_envelopes.pages import Page, PageReport, PageWorker, first_page
from functions.renew_envelopes.settings import RenewEnvelopesSettings
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.containers import S3Containers
from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.queue import TransferQueue
from pqtransfer.aws.vault import RoleKeyReader
from pqtransfer.environment import load_settings
from pqtransfer.keys.events import KeyRotated
from pqtransfer.protection.recent_registry import RecentRegistry
from pqtransfer.protection.renewing import EnvelopeRenewer
from pqtransfer.recording.keys import KeyFacts, RecordingKeyReader

SERVICE = "renew-envelopes"

logger = Logger(service="renew_envelopes")
telemetry = FunctionTelemetry("renew_envelopes")
processor = BatchProcessor(event_type=EventType.SQS)


@logger.inject_lambda_context
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    """Work off the pages in the batch, or begin with what a rotation left."""
    settings = load_settings(RenewEnvelopesSettings)
    if "Records" in event:
        return process_partial_response(
            event=event, record_handler=lambda record: work(record, settings), processor=processor, context=context
        )
    page = first_page(KeyRotated.model_validate(event["detail"]))
    if page is not None:
        _connect_queue(settings).send(page.model_dump_json(exclude_none=True))
    return {"begun": page is not None}


def work(record: SQSRecord, settings: RenewEnvelopesSettings) -> PageReport:
    """Work off one page.

    Raises:
        PqtransferError: some envelopes have to be tried again; the message comes again.
    """
    page = Page.model_validate_json(record.body)
    report = connect_page_worker(settings, correlation_id=page.correlation_id).work(page)
    logger.info("page done", extra={"key_id": page.key_id[:16], **report.model_dump()})
    return report


def connect_page_worker(settings: RenewEnvelopesSettings, *, correlation_id: str) -> PageWorker:
    """The worker of this environment. Keys that it has read stay in memory for one page; each reading is on record."""
    session, config = make_session(), client_config(connections=32)
    trail = _connect_trail(settings.audit_queue_url)
    reader = RoleKeyReader(session.client("sts", config=config))
    index = DynamoDependencyIndex.open(session, settings.envelopes_table)
    registry = DynamoKeyRegistry(session.client("dynamodb", config=config), table_name=settings.participants_table)
    return PageWorker(
        index=index,
        renewer=EnvelopeRenewer(
            registry=registry,
            directory=RecentRegistry(registry, monotonic=time.monotonic),
            key_reader=RecordingKeyReader(reader, trail, KeyFacts(SERVICE, correlation_id)),
            ledger=DynamoTransferLedger.open(session, settings.transfers_table),
            containers=S3Containers.open(session, bucket=settings.data_bucket),
            index=index,
            trail=trail,
            minimum_suite_id=settings.minimum_suite,
            session_name=SERVICE,
        ),
        send=_connect_queue(settings).send,
    )


def _connect_queue(settings: RenewEnvelopesSettings) -> TransferQueue:
    return TransferQueue(make_session().client("sqs", config=client_config()), queue_url=settings.renewals_queue_url)


@cache
def _connect_trail(audit_queue_url: str) -> AuditTrail:
    """One producer of audit events for each instance of the function."""
    return connect_audit_trail(make_session(), queue_url=audit_queue_url, service=SERVICE, spool_directory=None)
