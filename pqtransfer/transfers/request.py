"""What a site asks for: one `TransferRequest`. Versioned JSON; idempotent by transfer id; signed for the queue.

| kind    | source                          | destination          | recipients                             |
|---------|---------------------------------|----------------------|----------------------------------------|
| encrypt | the model, an S3 object         | -                    | who may read it                        |
| decrypt | a container `s3://.../ID/`      | the S3 object to make | the sender itself: it reads            |
| rewrap  | a container                     | -                    | who may read it from now on            |
| verify  | a container                     | -                    | -                                      |
| upload  | - (on the sender's machine)     | -                    | who may read it; never taken by a worker |
| reencrypt | a container of its sender     | -                    | who may read it from now on, of those who could |
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pqtransfer.crypto.canonical_json import Base64Bytes
from pqtransfer.crypto.envelope import MAXIMUM_RECIPIENTS
from pqtransfer.crypto.geometry import MAXIMUM_PLAINTEXT_LENGTH_BYTES
from pqtransfer.crypto.identity import ParticipantName
from pqtransfer.crypto.manifest import Metadata, TransferId
from pqtransfer.crypto.suites import DEFAULT_SUITE_ID
from pqtransfer.errors import InputError

REQUEST_FORMAT = "pqtransfer-request/1"
REQUEST_LIMIT_BYTES = 256 * 1024  # the largest SQS message

_S3_URI = re.compile(
    r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^\x00-\x1f?#]{1,1024})(?:\?versionId=([!-~]{1,1024}))?"
)


class MalformedRequestError(InputError):
    """A message is not a transfer request of a version that is known."""


class InvalidRequestError(InputError):
    """What a sender asks for is not a transfer request."""


class InvalidLocationError(InputError):
    """A text is not the URI of an S3 object."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri[:200]!r} is not the URI of an S3 object; write s3://BUCKET/KEY[?versionId=ID]")


class TransferKind(StrEnum):
    """What is done with the source."""

    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    REWRAP = "rewrap"
    VERIFY = "verify"
    UPLOAD = "upload"
    REENCRYPT = "reencrypt"


class S3Location(BaseModel):
    """One object, or one version of it."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    key: str
    version_id: str | None = None

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read `s3://BUCKET/KEY[?versionId=ID]`.

        Raises:
            InvalidLocationError: the text is something else.
        """
        match = _S3_URI.fullmatch(uri)
        if match is None:
            raise InvalidLocationError(uri)
        bucket, key, version_id = match.groups()
        return cls(bucket=bucket, key=key, version_id=version_id)

    def __str__(self) -> str:
        version = f"?versionId={self.version_id}" if self.version_id else ""
        return f"s3://{self.bucket}/{self.key}{version}"


def _check_uri(value: str) -> str:
    try:
        S3Location.parse(value)
    except InvalidLocationError as error:
        raise ValueError(str(error)) from None
    return value


S3Uri = Annotated[str, Field(max_length=2200), AfterValidator(_check_uri)]


class TransferRequest(BaseModel):
    """One transfer, as it is asked for. Sizes are in bytes, times carry their zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pqtransfer-request/1"] = "pqtransfer-request/1"
    transfer_id: TransferId
    kind: TransferKind
    source: S3Uri | None = None
    destination: S3Uri | None = None
    sender: ParticipantName
    recipients: tuple[ParticipantName, ...] = Field(default=(), max_length=MAXIMUM_RECIPIENTS)
    suite: str = Field(default=DEFAULT_SUITE_ID, max_length=32)
    expected_size_bytes: int | None = Field(default=None, ge=0, le=MAXIMUM_PLAINTEXT_LENGTH_BYTES)
    expected_sha256: Annotated[Base64Bytes, Field(min_length=32, max_length=32)] | None = None
    hash_plaintext: bool = False
    priority: int = Field(default=5, ge=0, le=9)
    deadline: AwareDatetime | None = None
    correlation_id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if len(set(self.recipients)) != len(self.recipients):
            raise ValueError("a recipient is named twice")
        if (self.source is None) is not (self.kind is TransferKind.UPLOAD):
            raise ValueError("every kind but upload needs a source; upload has none")
        if self.kind not in (TransferKind.DECRYPT, TransferKind.VERIFY) and not self.recipients:
            raise ValueError(f"{self.kind} needs at least one recipient")
        if self.kind is TransferKind.DECRYPT and (self.destination is None or self.recipients != (self.sender,)):
            raise ValueError("decrypt needs a destination, and its one recipient is its sender: who asks, reads")
        if self.kind is not TransferKind.DECRYPT and self.destination is not None:
            raise ValueError(f"{self.kind} takes no destination: containers stand in the data bucket")
        if self.kind is not TransferKind.ENCRYPT and self.source is not None and not self.source.endswith("/"):
            raise ValueError(f"{self.kind} takes a container, s3://BUCKET/transfers/ID/ with a slash at its end")
        return self

    @property
    def source_location(self) -> S3Location:
        """The source.

        Raises:
            InvalidLocationError: the request is an upload, which has none.
        """
        return S3Location.parse(self.source or "")

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def create(cls, **fields: Any) -> Self:
        """A request from what a caller says.

        Raises:
            InvalidRequestError: fields that are missing, unknown, wrong, or do not go together.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InvalidRequestError(f"this is not a transfer that can be asked for: {name_problems(error)}") from None

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a message.

        Raises:
            MalformedRequestError: not JSON, an unknown version, or fields that are missing, unknown or wrong.
        """
        if len(text) > REQUEST_LIMIT_BYTES:
            raise MalformedRequestError(f"the message has more than {REQUEST_LIMIT_BYTES} bytes")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise MalformedRequestError(f"the message is not a {REQUEST_FORMAT}: {name_problems(error)}") from None


def has_passed(deadline: datetime | None, *, now: datetime) -> bool:
    """True when there is a deadline and it is over."""
    return deadline is not None and now > deadline


def name_problems(error: ValidationError) -> str:
    """The first problems of a document in one line; the values themselves are not shown."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)[:5]
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'message'}: {problem['msg']}" for problem in problems)[
        :1000
    ]
