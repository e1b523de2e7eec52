"""Decide how many workers there should be. Runs every minute, and at once when the alarm of the queue goes off."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.decide_scaling.measuring import measure_queue
from functions.decide_scaling.scaling import Scaling
from functions.decide_scaling.settings import DecideScalingSettings
from pqtransfer.aws.alerts import EventBridgeAlerts
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.fleet import EcsFleet
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.aws.scaling_history import DynamoDecisionHistory
from pqtransfer.aws.workload import FleetMetrics, QueueAge, QueueDepth, WaitingTransfers
from pqtransfer.environment import load_settings
from pqtransfer.operations.metrics import WORKERS_DESIRED

SOURCE = "pqtransfer"

logger = Logger(service="decide_scaling")
telemetry = FunctionTelemetry("decide_scaling")


@logger.inject_lambda_context(clear_state=True)
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - what it is run by
    """Decide and carry it out; the decision in short."""
    decision = _connect().run(now=datetime.now(UTC), correlation_id=f"scaling-{context.aws_request_id}")
    if decision is None:
        return {"decided": False}
    told = {
        "found": decision.found,
        "desired": decision.desired,
        "needed": decision.needed,
        "reason": decision.reason,
        "says": decision.says,
        "missing": list(decision.missing),
    }
    telemetry.put({WORKERS_DESIRED: decision.desired})
    telemetry.done(1)
    logger.info("decided", extra=told)
    return {"decided": True, **told}


@cache
def _connect() -> Scaling:
    settings, session = load_settings(DecideScalingSettings), make_session()
    names = {"cluster": settings.cluster, "service": settings.service}
    bus = EventBridgeBus(session.client("events", config=client_config()), bus=settings.event_bus, source=SOURCE)
    return Scaling(
        service=settings.service,
        policy=settings.make_policy(),
        fleet=EcsFleet.open(session, **names),
        queue=QueueDepth.open(session, queue_url=settings.queue_url),
        backlog=WaitingTransfers.open(session, table_name=settings.transfers_table),
        metrics=FleetMetrics.open(session, **names),
        history=DynamoDecisionHistory.open(session, table_name=settings.decisions_table, service=settings.service),
        trail=connect_audit_trail(
            session, queue_url=settings.audit_queue_url, service="decide-scaling", spool_directory=None
        ),
        alerts=EventBridgeAlerts(bus),
        read_age=QueueAge.open(session, queue_url=settings.queue_url).read,
        publish=lambda seen: telemetry.put(measure_queue(seen)),
    )
