"""Read settings from environment variables, and say plainly what is missing (which, what for, how to set it)."""

from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pqtransfer.errors import InputError

ENVIRONMENT_VARIABLE_PREFIX = "PQTRANSFER_"

SettingsT = TypeVar("SettingsT", bound="EnvironmentSettings")


class SettingsError(InputError):
    """One or more environment variables are missing or unusable."""


class EnvironmentSettings(BaseSettings):
    """The base of every settings model: frozen, prefix `PQTRANSFER_`, an empty variable counts as missing."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_VARIABLE_PREFIX, frozen=True, env_ignore_empty=True, extra="ignore"
    )


def name_variable(field_name: str) -> str:
    """The environment variable that sets a field: `queue_url` -> `PQTRANSFER_QUEUE_URL`."""
    return f"{ENVIRONMENT_VARIABLE_PREFIX}{field_name.upper()}"


def load_settings(settings: type[SettingsT]) -> SettingsT:
    """Build `settings` from the environment.

    Raises:
        SettingsError: names every variable that is missing or invalid, what it is for, and how to set it.
    """
    try:
        return settings()
    except ValidationError as error:
        raise SettingsError(_explain(settings, error)) from None


def _explain(settings: type[EnvironmentSettings], error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        field_name = str(problem["loc"][0]) if problem["loc"] else ""
        field = settings.model_fields.get(field_name)
        purpose = field.description if field and field.description else "see the documentation of this setting"
        example = f"'{field.examples[0]}'" if field and field.examples else "VALUE"
        variable = name_variable(field_name)
        what = "is not set" if problem["type"] == "missing" else f"is not usable: {problem['msg']}"
        lines.append(f"{variable} {what}. It is {purpose}. Set it with: export {variable}={example}")
    return "\n".join(lines)
