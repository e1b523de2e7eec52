"""What is asked when a participant is registered, and what is answered. The command line and the function share it."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.crypto.identity import IDENTITY_LIMIT_BYTES, ParticipantName, PublicIdentity
from pqtransfer.crypto.succession import SUCCESSION_LIMIT_BYTES
from pqtransfer.errors import InputError, PqtransferError
from pqtransfer.keys.participant import Buckets, ParticipantKind, RegisteredParticipant

PRINCIPAL = re.compile(r"arn:[a-z-]+:iam::\d{12}:(root|(user|role)/[\w+=,.@/-]+)")
MOST_PRINCIPALS = 20
CORRELATION_ID = r"^[A-Za-z0-9._:-]{1,128}$"


class MalformedRegistrationError(InputError):
    """The request to register a participant does not say what is needed."""


def _check_principal(arn: str) -> str:
    if not PRINCIPAL.fullmatch(arn):
        raise ValueError("is not the ARN of an IAM role, user or account, like arn:aws:iam::123456789012:role/site-a")
    return arn


class RegisterParticipant(BaseModel):
    """The request.

    `suite` is the suite of a managed participant's keys (default: the system's). `identity` is the text of an external
    participant's `public-keys.json`; `succession` stands in its place when its keys follow others. `principals` may
    take the role of a managed participant, next to the workers; `buckets` are those that workers may read from and
    write to in its name. `requested_by` says who asks, and `correlation_id` in the course of what: for the record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ParticipantName
    kind: ParticipantKind
    suite: str | None = Field(default=None, max_length=32)
    identity: str | None = Field(default=None, max_length=IDENTITY_LIMIT_BYTES)
    succession: str | None = Field(default=None, max_length=SUCCESSION_LIMIT_BYTES)
    principals: tuple[Annotated[str, AfterValidator(_check_principal)], ...] = Field(
        default=(), max_length=MOST_PRINCIPALS
    )
    buckets: Buckets = ()
    requested_by: str | None = Field(default=None, min_length=1, max_length=512)
    correlation_id: str | None = Field(default=None, pattern=CORRELATION_ID)

    @model_validator(mode="after")
    def _require_parts_by_kind(self) -> Self:
        if self.kind is ParticipantKind.EXTERNAL and (self.identity is None) == (self.succession is None):
            raise ValueError("an external participant comes with its identity (public-keys.json), or with a succession")
        if self.kind is ParticipantKind.MANAGED and self.succession is not None:
            raise ValueError("the system rotates a managed participant's keys: leave the succession out")
        if self.kind is ParticipantKind.EXTERNAL and self.principals:
            raise ValueError("an external participant has no role, so nobody can be allowed to take it")
        if self.kind is ParticipantKind.EXTERNAL and self.buckets:
            raise ValueError("workers cannot act for an external participant, so it has no buckets for them")
        if self.kind is ParticipantKind.MANAGED and self.identity is not None:
            raise ValueError("the system makes a managed participant's keys: leave the identity out")
        return self


class Registration(BaseModel):
    """The answer: what is registered, and the public identity that others can check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registered: RegisteredParticipant
    identity: PublicIdentity | None


class Refusal(BaseModel):
    """Why the request was refused."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    exit_code: int = PqtransferError.exit_code

    @classmethod
    def of(cls, error: PqtransferError) -> Self:
        return cls(code=error.code, message=str(error), exit_code=error.exit_code)


def read_registration_request(document: object) -> RegisterParticipant:
    """The request in `document`, already parsed from JSON.

    Raises:
        MalformedRegistrationError: names the fields that are wrong, never their values.
    """
    try:
        return RegisterParticipant.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'request'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)[:5]
        )
        raise MalformedRegistrationError(f"the participant cannot be registered as asked: {problems}") from None


def write_answer(answer: Registration | Refusal) -> JsonObject:
    """The JSON object that the function answers with: the registration, or `{"error": {...}}`."""
    document: JsonObject = answer.model_dump(mode="json")
    return {"error": document} if isinstance(answer, Refusal) else document
