"""Which environment is meant, and what overrides its values: `--context key=value` first, then `PQTRANSFER_<KEY>`.

Nothing here reads the process environment by itself: the caller passes it, so that every rule can be tested.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from functions.archive_audit_log.settings import ArchiveAuditLogSettings
from functions.check_audit_integrity.settings import CheckAuditIntegritySettings
from functions.decide_scaling.settings import DecideScalingSettings
from functions.drill_key_restore.settings import DrillKeyRestoreSettings
from functions.index_envelopes.settings import IndexEnvelopesSettings
from functions.process_alerts.settings import ProcessAlertsSettings
from functions.publish_transfer_events.settings import PublishTransferEventsSettings
from functions.register_participant.settings import RegisterParticipantSettings
from functions.renew_envelopes.settings import RenewEnvelopesSettings
from functions.report_compliance.settings import ReportComplianceSettings
from functions.respond_to_compromise.settings import RespondToCompromiseSettings
from functions.rotate_keys.settings import RotateKeysSettings
from functions.sequence_audit_log.settings import SequenceAuditLogSettings
from functions.witness_checkpoint.settings import WitnessCheckpointSettings
from infra.environments import EMBEDDED_ACCOUNT, EMBEDDED_REGION, EnvironmentConfig
from pqtransfer.environment import ENVIRONMENT_VARIABLE_PREFIX, name_variable
from pqtransfer.errors import InputError
from transfer_worker.settings import WorkerSettings

ENVIRONMENT_KEY = "env"

DEFAULTS: dict[str, dict[str, Any]] = {
    "local": {
        "account": EMBEDDED_ACCOUNT,
        "region": EMBEDDED_REGION,
        "interface_endpoints": False,
        "flow_logs": False,
        "require_tls": False,
        "retain_data": False,
        "termination_protection": True,
        "account_may_act_as_worker": True,
        "source_buckets": ("pqtransfer-local-source",),
        "destination_buckets": ("pqtransfer-local-results",),
        "worker_image": "pqtransfer/transfer-worker:local",
        "workers_maximum": 3,
        "composite_alarms": False,
        "queue_threshold": 4,
        "settle_seconds": 5,
        "abort_upload_days": 1,
        "old_version_days": 1,
        "log_retention_days": 1,
        "audit_retention_days": 1,
        "audit_retention_rules": "default=1:1",
        "audit_lock_mode": "GOVERNANCE",
        "key_backup_lock_days": 1,
        "removal_wait_minutes": 0,
    },
    "dev": {
        "retain_data": False,
        "termination_protection": False,
        "workers_maximum": 2,
        "old_version_days": 7,
        "log_retention_days": 14,
        "audit_retention_days": 1,
        "audit_retention_rules": "default=7:30",
        "audit_lock_mode": "GOVERNANCE",
        "key_backup_lock_days": 30,
    },
    "staging": {
        "vpc_cidr": "10.41.0.0/16",
        "workers_maximum": 4,
        "log_retention_days": 90,
        "audit_retention_days": 90,
        "audit_retention_rules": "default=30:365",
        "audit_lock_mode": "GOVERNANCE",
    },
    "production": {
        "vpc_cidr": "10.42.0.0/16",
        "availability_zones": 3,
        "worker_cpu_units": 4096,
        "worker_memory_mib": 8192,
        "worker_buffer_mib": 768,
        "workers_minimum": 2,
        "workers_maximum": 20,
        "old_version_days": 90,
        "log_retention_days": 365,
    },
}

# What must be said by whoever deploys, because no default could be right.
REQUIRED: dict[str, tuple[str, ...]] = {
    "local": (),
    "dev": ("account", "region", "recovery_public_key"),
    "staging": ("account", "region", "certificate_arn", "recovery_public_key"),
    "production": ("account", "region", "certificate_arn", "recovery_public_key"),
}

# Where these go, the credentials say: a developer's own account. The others are named, lest a shell's profile decides.
FOLLOWS_CREDENTIALS = ("dev",)

# Variables with our prefix that configure programs, not deployments: somebody who runs one has them in the shell too.
PROGRAM_SETTINGS = (
    WorkerSettings,
    RotateKeysSettings,
    DrillKeyRestoreSettings,
    RegisterParticipantSettings,
    PublishTransferEventsSettings,
    SequenceAuditLogSettings,
    IndexEnvelopesSettings,
    RenewEnvelopesSettings,
    RespondToCompromiseSettings,
    WitnessCheckpointSettings,
    CheckAuditIntegritySettings,
    DecideScalingSettings,
    ArchiveAuditLogSettings,
    ReportComplianceSettings,
    ProcessAlertsSettings,
)
PROGRAM_VARIABLES = frozenset(
    {name_variable(field) for settings in PROGRAM_SETTINGS for field in settings.model_fields}
    | {
        "PQTRANSFER_DEPLOYMENT",
        "PQTRANSFER_ENV",
        "PQTRANSFER_AUDIT_KEYS",
        "PQTRANSFER_AUDIT_LOG",
        "PQTRANSFER_KEY",
        "PQTRANSFER_PARTICIPANT",
    }
)


class ConfigurationError(InputError):
    """The configuration of an environment cannot be used."""


class UnknownEnvironmentError(ConfigurationError):
    """No environment was named, or one that does not exist."""


class UnknownSettingError(ConfigurationError):
    """A key or variable that no setting has: most often a slip of the pen."""


class MissingSettingError(ConfigurationError):
    """A setting without a default was not given."""


class InvalidSettingError(ConfigurationError):
    """A setting's value is not usable, or not together with the others."""


def load_environment(context: Mapping[str, Any], variables: Mapping[str, str]) -> EnvironmentConfig:
    """The configuration that `context` and `variables` ask for.

    Raises:
        ConfigurationError: says what is wrong, and how to mend it.
    """
    name = context.get(ENVIRONMENT_KEY) or variables.get("PQTRANSFER_ENV")
    if name not in DEFAULTS:
        raise UnknownEnvironmentError(_explain_environment(name))
    _refuse_unknown(context, variables)
    values = {"name": name, **DEFAULTS[name], **_overrides_in(context, variables)}
    if name in FOLLOWS_CREDENTIALS:
        values = {**_place_of_credentials(variables), **values}
    _require(name, values)
    _check_credentials(name, values, variables)
    try:
        return EnvironmentConfig.model_validate(values)
    except ValidationError as error:
        raise InvalidSettingError(_explain_invalid(name, error)) from None


def _overrides_in(context: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key in _setting_keys():
        if variables.get(name_variable(key)):
            values[key] = variables[name_variable(key)]
        if key in context:
            values[key] = context[key]
    return values


def _place_of_credentials(variables: Mapping[str, str]) -> dict[str, str]:
    """The account and region that the CDK found the credentials to be of."""
    found = {"account": variables.get("CDK_DEFAULT_ACCOUNT"), "region": variables.get("CDK_DEFAULT_REGION")}
    return {key: value for key, value in found.items() if value}


def _setting_keys() -> list[str]:
    return [key for key in EnvironmentConfig.model_fields if key != "name"]


def _refuse_unknown(context: Mapping[str, Any], variables: Mapping[str, str]) -> None:
    keys = _setting_keys()
    # The CDK keeps feature flags (`@aws-cdk/...`) and lookups (`availability-zones:...`) in the context too.
    given = [key for key in context if not any(sign in key for sign in "@:/")]
    for key in given:
        if key not in {*keys, ENVIRONMENT_KEY}:
            raise UnknownSettingError(
                f"--context {key}=... is no setting.{_suggest(key, keys)} The settings are: {', '.join(keys)}"
            )
    known = {name_variable(key) for key in keys} | PROGRAM_VARIABLES
    for variable in variables:
        if variable.startswith(ENVIRONMENT_VARIABLE_PREFIX) and variable not in known:
            raise UnknownSettingError(
                f"The variable {variable} is no setting.{_suggest(variable, sorted(known))} "
                f"Unset it with: unset {variable}"
            )


def _suggest(given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _require(name: str, values: Mapping[str, Any]) -> None:
    missing = [key for key in REQUIRED[name] if values.get(key) is None]
    if missing:
        raise MissingSettingError("\n".join(f"{name} needs {key}. {_how_to_set(key)}" for key in missing))


def _how_to_set(key: str) -> str:
    field = EnvironmentConfig.model_fields[key]
    example = field.examples[0] if field.examples else "VALUE"
    return f"It is {field.description}. Set it with: --context {key}={example} or export {name_variable(key)}={example}"


def _check_credentials(name: str, values: Mapping[str, Any], variables: Mapping[str, str]) -> None:
    """The CDK tells which account the credentials belong to: it has to be the one that is meant."""
    current, meant = variables.get("CDK_DEFAULT_ACCOUNT"), values.get("account")
    if current and meant and current != meant:
        hint = (
            "start the embedded cloud with scripts/cloud start, and deploy with scripts/deploy --env local"
            if name == "local"
            else f"choose credentials of account {meant} (AWS_PROFILE), or correct account"
        )
        raise InvalidSettingError(f"{name} belongs in account {meant}, but the credentials are of {current}: {hint}")
    if current == EMBEDDED_ACCOUNT and name != "local":
        raise InvalidSettingError(
            f"{name} cannot be deployed to the embedded cloud: use --context env=local, or credentials for AWS"
        )


def _explain_environment(name: object) -> str:
    what = "No environment is named" if not name else f"There is no environment {name!r}"
    return f"{what}: add --context env=ENV, where ENV is one of {', '.join(DEFAULTS)}"


def _explain_invalid(name: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        message = problem["msg"].removeprefix("Value error, ")
        if problem["loc"]:
            key = str(problem["loc"][0])
            lines.append(f"{key} is not usable in {name}: {message}. {_how_to_set(key)}")
        else:
            lines.append(f"The settings of {name} do not fit together: {message}")
    return "\n".join(lines)
