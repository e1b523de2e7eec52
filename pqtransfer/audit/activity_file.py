"""What was added up of a period so far, as bytes: a long log is reported on in parts, and each goes on from them."""

from collections import Counter, OrderedDict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pqtransfer.audit.activity import Activity, ActorUse, KeyUse, Listed, Moment, Tally
from pqtransfer.audit.events import AuditEvent, EventKind
from pqtransfer.errors import IntegrityError

FORMAT: Literal["pqtransfer-audit-activity/1"] = "pqtransfer-audit-activity/1"
ACTIVITY_LIMIT_BYTES = 64 << 20
"""Some times of it are in memory while it is read. Four lists of 2,000 events of 8 KiB; a usual month has some MiB."""
LISTS = ("transfers", "security", "denied", "changes")


class MalformedActivityError(IntegrityError):
    """A file is not what a report has added up."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is not what a report has added up: {reason}; begin the report again")


class _Listed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[tuple[int, AuditEvent], ...]
    left_out: Annotated[int, Field(ge=0)]


class _Snapshot(BaseModel):
    """The order of names is kept: it decides what comes first of what is equal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pqtransfer-audit-activity/1"] = FORMAT
    since_ms: int
    until_ms: int
    days: int
    total: Tally
    kinds: dict[EventKind, Tally]
    by_day: dict[int, int]
    operations: tuple[tuple[str, str, Tally], ...]
    suites: dict[str, Tally]
    keys: dict[str, KeyUse]
    keys_left_out: int
    actors: dict[str, ActorUse]
    actors_left_out: int
    transfers: _Listed
    security: _Listed
    denied: _Listed
    changes: _Listed


def write_activity(activity: Activity) -> bytes:
    """One line, without its end."""
    lists: dict[str, Any] = {
        name: _Listed(items=tuple((each.index, each.event) for each in listed.items), left_out=listed.left_out)
        for name, listed in ((name, getattr(activity, name)) for name in LISTS)
    }
    operations = tuple((action, suite, tally) for (action, suite), tally in activity.operations.items())
    return (
        _Snapshot.model_construct(**{**vars(activity), **lists, "operations": operations, "format": FORMAT})
        .model_dump_json()
        .encode()
    )


def read_activity(data: bytes) -> Activity:
    """Read what `write_activity` wrote.

    Raises:
        MalformedActivityError: too large, or not of this format.
    """
    if len(data) > ACTIVITY_LIMIT_BYTES:
        raise MalformedActivityError(f"at most {ACTIVITY_LIMIT_BYTES} bytes are read")
    try:
        read = _Snapshot.model_validate_json(data)
    except (ValidationError, RecursionError):
        raise MalformedActivityError("it is cut off, or of another format") from None
    activity = Activity.__new__(Activity)
    vars(activity).update({name: getattr(read, name) for name in _Snapshot.model_fields if name != "format"})
    activity.by_day = Counter(read.by_day)
    activity.operations = OrderedDict(((action, suite), tally) for action, suite, tally in read.operations)
    for name in LISTS:
        listed = getattr(read, name)
        items = [Moment(index, event) for index, event in listed.items]
        setattr(activity, name, Listed[Moment](items=items, left_out=listed.left_out))
    return activity
