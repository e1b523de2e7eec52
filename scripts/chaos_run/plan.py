"""The plan of a chaos run: what goes wrong, when, and how much of it. A pure function of the seed.

Times are seconds from the first submission. Faults of processes name a worker by its place among those that run at that
moment; faults of services hold for a while, for a share of the requests.
"""

import random
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong."""

    KILL = "kill -9"
    FREEZE = "SIGSTOP, then SIGCONT"
    TERMINATE = "SIGTERM"
    S3_500 = "S3 500"
    S3_503 = "S3 503"
    S3_TIMEOUT = "S3 gives no answer"
    S3_RESET = "S3 connection reset"
    S3_SLOW = "S3 slow reads"
    S3_CUT = "S3 body cut"
    DYNAMODB_THROTTLED = "DynamoDB throttled"
    KMS_REFUSES = "KMS refuses"
    CREDENTIALS_EXPIRED = "credentials expired"
    QUEUE_AWAY = "audit queue takes nothing, spool on a full disk"
    MESSAGE_TWICE = "SQS message twice"
    MESSAGE_LATE = "SQS message again, later"
    CLOCK_AHEAD = "worker's clock ahead"
    CLOCK_BEHIND = "worker's clock behind"


PROCESS_FAULTS = (FaultKind.KILL, FaultKind.FREEZE, FaultKind.TERMINATE)
SERVICE_FAULTS = (
    FaultKind.S3_500,
    FaultKind.S3_503,
    FaultKind.S3_TIMEOUT,
    FaultKind.S3_RESET,
    FaultKind.S3_SLOW,
    FaultKind.S3_CUT,
    FaultKind.DYNAMODB_THROTTLED,
    FaultKind.KMS_REFUSES,
    FaultKind.CREDENTIALS_EXPIRED,
    FaultKind.QUEUE_AWAY,
)
MESSAGE_FAULTS = (FaultKind.MESSAGE_TWICE, FaultKind.MESSAGE_LATE)
CLOCKS_SECONDS = {FaultKind.CLOCK_AHEAD: 120, FaultKind.CLOCK_BEHIND: -120}
"""Of two workers from start to end: far beyond a lease, within what AWS accepts in a signature."""

SMALLEST_BYTES, LARGEST_BYTES = 100 << 10, 8 << 20
SECONDS_FOR_A_TRANSFER = 1.0
FAULTS_FOR_A_TRANSFER = 0.25


@dataclass(frozen=True)
class Fault:
    """One fault. `share` of the requests (services), or the place among the workers (processes), from 0 to 1."""

    number: int
    kind: FaultKind
    at_seconds: float
    lasts_seconds: float
    share: float


@dataclass(frozen=True)
class PlannedTransfer:
    """A model of this size, submitted at this time; its message is repeated, or not."""

    number: int
    size_bytes: int
    at_seconds: float
    repeated: FaultKind | None


@dataclass(frozen=True)
class Plan:
    """Everything that the seed decides, in order of time."""

    seed: int
    transfers: tuple[PlannedTransfer, ...]
    faults: tuple[Fault, ...]


def make_plan(seed: int, *, transfers: int) -> Plan:
    """The plan of a seed: every kind of fault at least once."""
    draw = random.Random(seed)
    span = max(8.0, transfers * SECONDS_FOR_A_TRANSFER)
    kinds = [*PROCESS_FAULTS, *SERVICE_FAULTS]
    chosen = kinds + [draw.choice(kinds) for _ in range(round(transfers * FAULTS_FOR_A_TRANSFER))]
    faults = [
        Fault(
            number=number,
            kind=kind,
            at_seconds=round(draw.uniform(0.5, span), 2),
            lasts_seconds=round(draw.uniform(2.0, 8.0), 2),
            share=round(draw.uniform(0.2, 0.9), 2),
        )
        for number, kind in enumerate(chosen)
    ]
    planned = [
        PlannedTransfer(
            number=number,
            size_bytes=draw.randint(SMALLEST_BYTES, LARGEST_BYTES),
            at_seconds=round(draw.uniform(0.0, span * 0.8), 2),
            repeated=MESSAGE_FAULTS[number] if number < 2 else draw.choice([*MESSAGE_FAULTS, *[None] * 6]),
        )
        for number in range(transfers)
    ]
    return Plan(
        seed,
        tuple(sorted(planned, key=lambda each: each.at_seconds)),
        tuple(sorted(faults, key=lambda each: each.at_seconds)),
    )
