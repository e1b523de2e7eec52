"""What scaling is held to: limits, targets and patience. Checked when it is made, so that a decision never has to."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pqtransfer.errors import InputError


class ContradictoryLimitsError(InputError):
    """Limits of scaling cannot hold together."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the fleet cannot be scaled within these limits: {problem}; mend the environment and deploy")


class ScalingPolicy(BaseModel):
    """Limits and targets. Sizes are in bytes, times in seconds, rates per second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum: int = Field(ge=0)
    maximum: int = Field(ge=1)
    worker_bytes_per_second: float = Field(default=100e6, gt=0, description="what one worker moves, until it is seen")
    network_bytes_per_second: float = Field(default=600e6, gt=0, description="what the network of one task carries")
    network_share: float = Field(default=0.8, gt=0, le=1, description="from which share on it counts as highly used")
    transfer_overhead_seconds: float = Field(default=5.0, ge=0, description="of a transfer beside its bytes")
    assumed_size_bytes: int = Field(default=17_500_000_000, ge=1, description="of a transfer that says none")
    drain_seconds: float = Field(default=300.0, gt=0, description="within what time the queue should be empty")
    messages_per_worker: int = Field(default=20, ge=1, description="the threshold of the queue, for each worker")
    oldest_seconds: float = Field(
        default=900.0, gt=0, description="how long a message may wait before workers are added"
    )
    startup_seconds: float = Field(default=90.0, ge=0, description="from the decision to a worker that works")
    cpu_percent: float = Field(default=70.0, gt=0, le=100)
    cpu_minutes: int = Field(default=5, ge=1)
    settle_seconds: float = Field(default=120.0, ge=0, description="for how long less was needed before less is wanted")
    hand_seconds: float = Field(default=1800.0, ge=0, description="for how long a count set by hand is kept")

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is more than maximum {self.maximum}")
        if self.worker_bytes_per_second > self.network_bytes_per_second:
            raise ValueError(
                f"a worker should move {self.worker_bytes_per_second:.0f} bytes per second through a network of "
                f"{self.network_bytes_per_second:.0f}"
            )
        return self

    @classmethod
    def create(cls, **values: Any) -> Self:
        """A policy from what an environment says.

        Raises:
            ContradictoryLimitsError: values that are out of range, or do not go together.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            said = first["msg"].removeprefix("Value error, ")
            field = ".".join(map(str, first["loc"]))
            raise ContradictoryLimitsError(f"{field}: {said}" if field else said) from None
