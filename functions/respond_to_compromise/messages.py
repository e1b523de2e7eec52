"""What reaches the function: reports, and messages of its own."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pqtransfer.errors import InputError
from pqtransfer.protection.incidents import CompromiseReported, IncidentId


class MalformedReportError(InputError):
    """A report, or a message about an incident, does not say what is needed."""

    def __init__(self, problems: str) -> None:
        super().__init__(f"this is no report of a compromise: {problems}")


class GoOn(BaseModel):
    """The message by which an incident is gone on with, in the run of this number and no other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident_id: IncidentId
    run: int = Field(default=0, ge=0)


class Retry(BaseModel):
    """An administrator wants what failed to be tried again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["retry"]
    incident_id: IncidentId


def read_retry(document: Any) -> str:
    """The incident in which an administrator wants what failed to be tried again.

    Raises:
        MalformedReportError: none is named.
    """
    try:
        return Retry.model_validate(document).incident_id
    except ValidationError as error:
        raise MalformedReportError(_explain(error)) from None


def read_report(document: Any, *, proven_caller: str | None = None) -> CompromiseReported:
    """The report in `document`, already parsed from JSON. Who called is what was proven, whatever the document says.

    Raises:
        MalformedReportError: names the fields that are wrong, never their values.
    """
    try:
        said = {**document, "proven_caller": proven_caller} if isinstance(document, dict) else document
        return CompromiseReported.model_validate(said)
    except ValidationError as error:
        raise MalformedReportError(_explain(error)) from None


def read_go_on(body: str) -> GoOn:
    """The incident that a message names, and its run.

    Raises:
        MalformedReportError: none.
    """
    try:
        return GoOn.model_validate(json.loads(body))
    except ValidationError as error:
        raise MalformedReportError(_explain(error)) from None
    except ValueError:
        raise MalformedReportError("it is not JSON") from None


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'report'}: {each['msg']}" for each in problems[:5])
