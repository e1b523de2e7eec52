"""Register a participant: make a managed one's keys, role and secrets, or check an external one's proof.

The request is `pqtransfer.keys.registration.RegisterParticipant`; the answer is a `Registration`, or `{"error": {...}}`
for everything that the caller can mend. No private key is ever logged or answered.

What its role needs: on the participants table Query, PutItem and UpdateItem; on
`secret:pqtransfer/ENV/participants/*` CreateSecret, TagResource, PutResourcePolicy, PutSecretValue, DescribeSecret and
DeleteSecret, and never GetSecretValue; on `role/pqtransfer/ENV/participants/*` CreateRole (only with the permissions
boundary), TagRole, UpdateAssumeRolePolicy and PutRolePolicy; on the bucket of backups ListBucket, PutObject and
DeleteObject, and never GetObject; on the key that seals them Encrypt; on the keys that encrypt table and secrets
GenerateDataKey and Decrypt; on the audit queue SendMessage.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.register_participant.audit import RegistrationFacts
from functions.register_participant.registration import Registrar
from functions.register_participant.settings import RegisterParticipantSettings
from pqtransfer.audit.trail import AuditTrail, AuditUnavailableError
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.aws.key_backups import connect_key_backups
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.proven_callers import StsPlace, prove_caller, take_proof
from pqtransfer.aws.roles import IamParticipantRoles
from pqtransfer.aws.vault import SecretsManagerVault
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.environment import load_settings
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.keys.registration import (
    CORRELATION_ID,
    Refusal,
    Registration,
    read_registration_request,
    write_answer,
)

logger = Logger(service="register_participant")
telemetry = FunctionTelemetry("register_participant")


@logger.inject_lambda_context(clear_state=True)
@telemetry.observe
def handler(event: JsonObject, context: LambdaContext) -> JsonObject:
    """Parse, register, answer; every answer is in the audit log first."""
    facts = read_facts(event, correlation_id=context.aws_request_id)
    logger.append_keys(participant=facts.name, correlation_id=facts.correlation_id)
    try:
        settings = load_settings(RegisterParticipantSettings)
        trail = connect_trail(settings.audit_queue_url)
        asked, _ = take_proof(event)
        proven = prove_caller(event, function=context.function_name, place=_find_sts(), now=datetime.now(UTC))
        registered = register(asked, settings, trail, replace(facts, proven_caller=proven))
    except PqtransferError as error:
        logger.warning("participant not registered", error_code=error.code, reason=str(error))
        return write_answer(Refusal.of(error))
    telemetry.done(1)
    logger.info("participant registered", key_ids=[key.key_id for key in registered.keys])
    return write_answer(Registration(registered=registered, identity=registered.to_identity()))


def register(
    event: JsonObject, settings: RegisterParticipantSettings, trail: AuditTrail, facts: RegistrationFacts
) -> RegisteredParticipant:
    """Register what is asked for. A refusal is on record before it is raised.

    Raises:
        PqtransferError: why it is refused.
    """
    try:
        request = read_registration_request(event)
        return connect_registrar(settings, trail, facts).register(request)
    except AuditUnavailableError:
        raise
    except PqtransferError as error:
        trail.record(*facts.refused(error))
        raise


def read_facts(event: object, *, correlation_id: str) -> RegistrationFacts:
    """Who asks for what, as far as the event says it, whatever else is wrong with it."""
    said = event if isinstance(event, dict) else {}
    asked, by, of = (said.get(name) for name in ("name", "requested_by", "correlation_id"))
    return RegistrationFacts(
        name=asked if isinstance(asked, str) else "",
        requested_by=by if isinstance(by, str) else None,
        correlation_id=of if isinstance(of, str) and re.fullmatch(CORRELATION_ID, of) else correlation_id,
    )


@cache
def _find_sts() -> StsPlace:
    return StsPlace(make_session())


@cache
def connect_trail(queue_url: str) -> AuditTrail:
    """The audit trail of this instance of the function."""
    return connect_audit_trail(
        make_session(), queue_url=queue_url, service="register_participant", spool_directory=None
    )


def connect_registrar(settings: RegisterParticipantSettings, trail: AuditTrail, facts: RegistrationFacts) -> Registrar:
    """The registrar of this environment, on AWS."""
    session, config = make_session(), client_config()
    return Registrar(
        registry=DynamoKeyRegistry(session.client("dynamodb", config=config), table_name=settings.participants_table),
        roles=IamParticipantRoles(
            session.client("iam", config=config),
            environment=settings.environment,
            role_prefix=settings.participant_role_prefix,
            acting_role_arns=(
                settings.task_role_arn,
                settings.key_service_role_arn,
                settings.protection_role_arn,
                settings.incident_response_role_arn,
            ),
            permissions_boundary_arn=settings.permissions_boundary_arn,
            secrets_key_arn=settings.secrets_key_arn,
        ),
        vault=SecretsManagerVault(
            session.client("secretsmanager", config=config),
            environment=settings.environment,
            encryption_key_arn=settings.secrets_key_arn,
        ),
        backups=connect_key_backups(
            session,
            environment=settings.environment,
            bucket=settings.key_backups_bucket,
            key_arn=settings.key_backups_key_arn,
            recovery_public_key=settings.recovery_public_key,
        ),
        trail=trail,
        facts=facts,
        minimum_suite_id=settings.minimum_suite,
        now=datetime.now(UTC),
    )
