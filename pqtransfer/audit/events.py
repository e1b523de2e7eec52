"""An audit event: who did what, on what, with which key and suite, how it ended. One event, one sequence of bytes.

A producer numbers its events 1, 2, 3 ... so that a missing one is seen, and gives each an id so that a repeated one is.
In the log an event is OCSF in canonical JSON; `pqtransfer.audit.ocsf` says which class and field everything is.
"""

import json
import re
from enum import IntEnum, StrEnum
from ipaddress import ip_address
from typing import Annotated, NamedTuple, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pqtransfer.audit import ocsf
from pqtransfer.audit.errors import EventTooLargeError, MalformedEventError
from pqtransfer.crypto.canonical_json import MalformedDocumentError, read_canonical_json, write_canonical_json

EVENT_LIMIT_BYTES = 32 * 1024
DETAILS_AT_MOST = 48
SEQUENCE_AT_MOST = (1 << 53) - 1
"""What JSON numbers hold exactly."""


class EventKind(StrEnum):
    """What an event is about. Each kind is one OCSF class."""

    CRYPTOGRAPHY = "cryptography"
    KEY = "key"
    TRANSFER = "transfer"
    ACCESS = "access"
    CONFIGURATION = "configuration"
    ADMINISTRATION = "administration"
    SECURITY = "security"


class Severity(IntEnum):
    """OCSF's `severity_id`."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


def _check_event_id(value: str) -> str:
    try:
        parsed = UUID(value)
    except ValueError:
        raise ValueError("is not a UUID") from None
    if str(parsed) != value:
        raise ValueError("is not a UUID in its standard spelling (RFC 9562)")
    return value


def _check_address(value: str) -> str:
    if str(ip_address(value)) != value:
        raise ValueError("is not an IP address in its standard spelling")
    return value


def _check_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is not Unicode text") from None
    return value


Text = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_check_text)]
Details = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")], Annotated[str, AfterValidator(_check_text)]],
    Field(max_length=DETAILS_AT_MOST),
]


class Target(BaseModel):
    """What the action was on: for example a `key`, a `transfer`, a `participant`, and its id."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: str = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")
    id: Text


class AuditFacts(BaseModel):
    """What a producer says of an event. `action` is a path that ends in a verb: `envelope.wrap`, `key.revoke`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: EventKind
    action: str = Field(pattern=r"^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*){1,3}$", max_length=128)
    actor: Text
    target: Target
    succeeded: bool = Field(description="for an access decision: allowed")
    correlation_id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    severity: Severity = Severity.INFORMATIONAL
    reason: Text | None = None
    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    suite: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")] | None = None
    source_address: Annotated[str, AfterValidator(_check_address)] | None = None
    size_bytes: int | None = Field(default=None, ge=0, le=SEQUENCE_AT_MOST, description="of the file of a transfer")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    details: Details = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.kind is not EventKind.TRANSFER and (self.size_bytes is not None or self.sha256 is not None):
            raise ValueError("only a transfer has the size and the digest of a file")
        return self


class AuditEvent(AuditFacts):
    """One event of the log: the facts, with who tells them, under which number and id, and when it happened."""

    producer: str = Field(pattern=r"^[a-z0-9][a-z0-9./:_-]{0,127}$", description="the service and its instance")
    sequence: int = Field(ge=1, le=SEQUENCE_AT_MOST)
    event_id: Annotated[str, Field(max_length=36), AfterValidator(_check_event_id)]
    time_ms: int = Field(ge=0, le=SEQUENCE_AT_MOST, description="when it happened, POSIX milliseconds")

    def to_json(self) -> bytes:
        """The entry of the log: OCSF in canonical JSON (RFC 8785).

        Raises:
            EventTooLargeError: more than 32 KiB.
        """
        data = write_canonical_json(ocsf.write_event(self.model_dump(mode="json", exclude_none=True)))
        if len(data) > EVENT_LIMIT_BYTES:
            raise EventTooLargeError(len(data), EVENT_LIMIT_BYTES)
        return data

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read an entry: exactly what `to_json` writes, and nothing else.

        Raises:
            MalformedEventError: it is not.
        """
        try:
            fields = ocsf.read_event(read_canonical_json(data, name="event", limit_bytes=EVENT_LIMIT_BYTES))
            event = cls.model_validate(fields, strict=False)
        except MalformedDocumentError as error:
            raise MalformedEventError(str(error)) from None
        except ValidationError as error:
            places = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
            raise MalformedEventError(f"what it says of {', '.join(places) or 'itself'} is not allowed") from None
        if event.to_json() != data:
            raise MalformedEventError(
                "it says something in another way, or something else, than an event of this version"
            )
        return event


def read_logged_event(entry: bytes) -> AuditEvent:
    """The event of an entry that was checked against the log's root: several times faster than `from_json`.

    What it says is validated. That it is spelled in the one way was checked by who appended it, and is not again.

    Raises:
        MalformedEventError: the log has signed something that is no event.
    """
    if len(entry) > EVENT_LIMIT_BYTES:
        raise MalformedEventError(f"it has more than {EVENT_LIMIT_BYTES} bytes")
    try:
        document = json.loads(entry)
        return AuditEvent.model_validate(ocsf.read_event(document), strict=False)
    except (ValueError, RecursionError):
        raise MalformedEventError("what it says is not allowed") from None


class EventHeader(NamedTuple):
    """What sequencing and completeness need of an event."""

    producer: str
    sequence: int
    event_id: str


_HEADER = re.compile(
    rb'"metadata":\{"correlation_uid":"[^"\\]*","event_code":"[^"\\]*","log_name":"[a-z]+","log_provider":"([^"\\]+)",'
    rb'"product":\{[^{}]*\},(?:"profiles":\[[^\]]*\],)?"sequence":([1-9][0-9]{0,15}),"uid":"([0-9a-f-]{36})"'
)


def read_event_header(entry: bytes) -> EventHeader:
    """The header of an event without reading the rest: some hundred times faster than `from_json`, and for events only.

    In canonical JSON a quotation mark inside a string follows a backslash, and no name before `metadata` is chosen by a
    producer: the first `"metadata":{` of an event is its own.

    Raises:
        MalformedEventError: there is no header.
    """
    match = _HEADER.search(entry)
    if match is None:
        raise MalformedEventError("it has no header")
    producer, sequence, event_id = match.groups()
    return EventHeader(producer.decode("ascii", "replace"), int(sequence), event_id.decode("ascii"))
