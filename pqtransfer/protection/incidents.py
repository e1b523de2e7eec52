"""A key was lost: what is reported, what is done about it step by step, and how far that is.

    revoke -> record -> tell -> make new keys -> list what was protected -> renew envelopes, prove and renew signatures
           -> re-encrypt what the lost key could open -> close

Each step can be repeated, and is taken on record before the next begins, so whoever runs next goes on from there. What
is left to people is never dropped: it stands in the report.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Protocol, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.crypto.identity import ParticipantName
from pqtransfer.crypto.manifest import TransferId
from pqtransfer.errors import InputError
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.transfers.dependencies import KeyRole

COMPROMISE_REPORTED_DETAIL_TYPE = "CompromiseReported"
COMPROMISE_REPORTED_SOURCE = "pqtransfer.security"
"""What threat detection calls itself; the functions of this system may put no event of this source on the bus."""
CREDENTIALS_REVOKED_DETAIL_TYPE = "ParticipantCredentialsRevoked"
MOST_KEYS = 100

IncidentId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class IncidentNotFoundError(InputError):
    """There is no incident of this id."""

    def __init__(self, incident_id: str) -> None:
        super().__init__(
            f"there is no incident {incident_id[:64]!r}; `pqtransfer keys incidents` lists those there are"
        )


class IncidentTakenError(InputError):
    """A report has the id of an incident that is about something else."""

    def __init__(self, incident_id: str, participant: str) -> None:
        super().__init__(
            f"incident {incident_id} is about other keys, of {participant}, and nothing was revoked; report this under "
            "an id of its own"
        )


class CompromiseReported(BaseModel):
    """The detail of a `CompromiseReported` event: somebody else may have keys of a participant.

    `key_ids`: which; None when that is not known, which means all of them. `since`: from when on; None when that is not
    known, which means always. The same `incident_id` is the same report. `reported_by` is the reporter's word;
    `proven_caller`, which the function that takes the report writes, is who AWS says called it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    incident_id: IncidentId
    participant: ParticipantName
    key_ids: tuple[KeyId, ...] | None = Field(default=None, min_length=1, max_length=MOST_KEYS)
    since: AwareDatetime | None = None
    reason: str = Field(min_length=1, max_length=1000)
    reported_by: str = Field(min_length=1, max_length=1024)
    reported_at: AwareDatetime
    proven_caller: str | None = Field(default=None, min_length=1, max_length=2048)

    @property
    def reporter(self) -> str:
        """Who reported it: who was proven to, or else who says so."""
        return self.proven_caller or self.reported_by

    @property
    def callers(self) -> dict[str, str]:
        """What an event says of who reported it."""
        proven = {} if self.proven_caller is None else {"caller_proven": self.proven_caller}
        return {"caller_says": self.reported_by, **proven}


class ParticipantCredentialsRevoked(BaseModel):
    """The detail of a `ParticipantCredentialsRevoked` event: tokens and certificates of the participant are void.

    What was issued before `revoked_at` must not be accepted any more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    incident_id: IncidentId
    participant: ParticipantName
    revoked_at: AwareDatetime
    reason: str


class IncidentStep(StrEnum):
    """The last step that was taken."""

    REVOKED = "REVOKED"
    RECORDED = "RECORDED"
    TOLD = "TOLD"
    KEYS_MADE = "KEYS_MADE"
    LISTED = "LISTED"
    RENEWED = "RENEWED"
    REENCRYPTED = "REENCRYPTED"
    CLOSED = "CLOSED"


STEPS = tuple(IncidentStep)


class Incident(BaseModel):
    """One incident. `key_ids` are the keys that were revoked for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    report: CompromiseReported
    key_ids: tuple[KeyId, ...]
    managed: bool
    revoked_at: AwareDatetime
    step: IncidentStep
    changed_at: AwareDatetime

    @property
    def incident_id(self) -> str:
        return self.report.incident_id

    @property
    def is_closed(self) -> bool:
        return self.step is IncidentStep.CLOSED

    def require_same(self, report: CompromiseReported) -> Self:
        """This incident, if `report` is of it: the keys that were made for it since are not in question.

        Raises:
            IncidentTakenError: it is of another participant, or names keys that were not revoked for it.
        """
        if report.participant != self.report.participant or not set(report.key_ids or ()) <= set(self.key_ids):
            raise IncidentTakenError(self.incident_id, self.report.participant)
        return self

    def reopen(self, *, at: datetime) -> Self:
        """The incident when its tasks are worked off again; one that has not come so far stays where it is."""
        if STEPS.index(self.step) <= STEPS.index(IncidentStep.LISTED):
            return self
        return self.model_copy(update={"step": IncidentStep.LISTED, "changed_at": at})

    def move_to(self, step: IncidentStep, *, at: datetime) -> Self:
        """The incident after its next step.

        Raises:
            ValueError: another step comes first.
        """
        if STEPS.index(step) != STEPS.index(self.step) + 1:
            raise ValueError(f"after {self.step} comes {STEPS[STEPS.index(self.step) + 1]}, not {step}")
        return self.model_copy(update={"step": step, "changed_at": at})


class TaskState(StrEnum):
    """How far one container is."""

    LISTED = "LISTED"
    RENEWED = "RENEWED"
    REENCRYPTING = "REENCRYPTING"
    REPLACED = "REPLACED"
    DONE = "DONE"
    FOR_SENDER = "FOR_SENDER"
    UNPROVEN = "UNPROVEN"
    FAILED = "FAILED"


ENDED_TASKS = frozenset({TaskState.DONE, TaskState.FOR_SENDER, TaskState.UNPROVEN, TaskState.FAILED})
LEFT_TO_PEOPLE = frozenset({TaskState.FOR_SENDER, TaskState.UNPROVEN, TaskState.FAILED})


class Task(BaseModel):
    """One container that a lost key protected or signed, and what was done about it.

    `roles`: what the lost keys were to it. `replacement_id`: the id that it is re-encrypted under. `outcome` says in
    words how it ended. `tries` is how many failed one after the other; the next is due at `retry_at`. A container that
    is REPLACED is removed at `remove_at` or later, after one more look at what replaces it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    transfer_id: TransferId
    roles: tuple[KeyRole, ...]
    replacement_id: TransferId
    state: TaskState = TaskState.LISTED
    tries: int = 0
    retry_at: AwareDatetime | None = None
    remove_at: AwareDatetime | None = None
    epoch: int | None = None
    keyless: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    outcome: str | None = None

    @property
    def due_at(self) -> datetime | None:
        """When something is to be done about it next; None: at once."""
        return max((time for time in (self.retry_at, self.remove_at) if time is not None), default=None)

    @property
    def is_exposed(self) -> bool:
        """Whether the lost key could open the data key."""
        return KeyRole.RECIPIENT in self.roles

    @property
    def is_signed(self) -> bool:
        """Whether the lost key signed the manifest."""
        return KeyRole.MANIFEST_SIGNER in self.roles

    def change(self, **changes: object) -> Self:
        return self.model_copy(update=changes)


class TaskPage(BaseModel):
    """Some tasks of an incident; `cursor` continues after them, None at the end."""

    model_config = ConfigDict(frozen=True)

    tasks: tuple[Task, ...]
    cursor: str | None


class Run(BaseModel):
    """The run that goes on with an incident next. One message carries its number; the others are late, and do nothing.

    `handed_on_at`: when the run before it ended; None before the first.
    """

    model_config = ConfigDict(frozen=True)

    number: int = 0
    handed_on_at: AwareDatetime | None = None


class IncidentStore(Protocol):
    """Where incidents are kept. Every write is conditional, so a run that was overtaken changes nothing."""

    def open(self, incident: Incident) -> Incident:
        """Record a new incident; one that is recorded already is returned as it is."""

    def get(self, incident_id: str) -> Incident:
        """The incident, read consistently.

        Raises:
            IncidentNotFoundError: there is none.
        """

    def list_all(self) -> list[Incident]:
        """Every incident, newest first."""

    def advance(self, incident: Incident, step: IncidentStep, *, at: datetime) -> Incident:
        """Record the next step, and return what is recorded then: more, when another run was faster."""

    def reopen(self, incident: Incident, *, at: datetime) -> Incident:
        """Go back to where tasks are worked off, from any step after it; what is recorded then is returned."""

    def read_run(self, incident_id: str) -> Run:
        """The run that is to come, read consistently."""

    def hand_on(self, incident_id: str, run: int, *, at: datetime) -> bool:
        """End the run of this number, so that the next one is to come; False when it had ended already."""

    def add_tasks(self, incident_id: str, tasks: Iterable[Task]) -> None:
        """Record tasks; what is recorded of a container already stays, with the new roles beside its own."""

    def list_tasks(self, incident_id: str, *, cursor: str | None = None, limit: int = 500) -> TaskPage:
        """Tasks in the order of their transfer ids."""

    def change_task(self, incident_id: str, before: Task, after: Task) -> bool:
        """Replace what is recorded of a container, if it is still `before`; False when it is not."""


def name_replacement(report: CompromiseReported, transfer_id: str, *, after: str | None = None) -> str:
    """The id that a container is re-encrypted under: a version 7 UUID (RFC 9562), the same for the same incident.

    Its time is that of the report; its random bits are a digest, so that asking twice is asking once. `after` is the id
    under which it failed before.
    """
    name = f"{report.incident_id}/{transfer_id}" + (f"/{after}" if after else "")
    digest = hashlib.sha256(name.encode()).digest()
    milliseconds = int(report.reported_at.timestamp() * 1000)
    number = int.from_bytes(milliseconds.to_bytes(6, "big") + digest[:10], "big")
    number = number & ~(0xF << 76) | 7 << 76
    return str(UUID(int=number & ~(0b11 << 62) | 0b10 << 62))


def choose_keys(registered: RegisteredParticipant, report: CompromiseReported) -> list[str]:
    """The ids of the keys to revoke: those that are named, or else every one whose private half is not destroyed.

    Raises:
        InputError: a named key is not one of the participant's.
    """
    if report.key_ids is None:
        return [key.key_id for key in registered.keys if not key.is_spent]
    for key_id in report.key_ids:
        if registered.find_key(key_id) is None:
            raise ForeignKeyError(registered.name, key_id)
    return list(dict.fromkeys(report.key_ids))


class ForeignKeyError(InputError):
    """A key that was reported is not one of the participant's."""

    def __init__(self, name: str, key_id: str) -> None:
        super().__init__(f"{name} has no key {key_id[:16]}; its keys: pqtransfer participants show {name}")
