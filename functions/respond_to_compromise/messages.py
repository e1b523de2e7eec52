"""What reaches the function: reports, and messages of its own."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pqtransfer.errors import InputError
from pqtransfer.protection.incidents import CompromiseReported, IncidentId


class MalformedReportError(InputError):
    """A report, or a message about an incident, does not say what is needed."""

    def __init__(self, problems: str) -> None:
        super().__init__(f"this is no report of a compromise: {problems}")


class GoOn(BaseModel):
    """The message by which an incident is gone on with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident_id: IncidentId


def read_report(document: Any) -> CompromiseReported:
    """The report in `document`, already parsed from JSON.

    Raises:
        MalformedReportError: names the fields that are wrong, never their values.
    """
    try:
        return CompromiseReported.model_validate(document)
    except ValidationError as error:
        raise MalformedReportError(_explain(error)) from None


def read_incident_id(body: str) -> str:
    """The incident that a message names.

    Raises:
        MalformedReportError: none.
    """
    try:
        return GoOn.model_validate(json.loads(body)).incident_id
    except ValidationError as error:
        raise MalformedReportError(_explain(error)) from None
    except ValueError:
        raise MalformedReportError("it is not JSON") from None


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'report'}: {each['msg']}" for each in problems[:5])
