"""What is told on the event bus about keys."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.crypto.identity import ParticipantName
from pqtransfer.crypto.keypairs import KeyPurpose

KEY_ROTATED_DETAIL_TYPE = "KeyRotated"
DRILL_CONTINUES_DETAIL_TYPE = "KeyDrillContinues"
"""What a drill of backups leaves to the next run; its detail has the `cursor`."""


class KeyRotated(BaseModel):
    """Another key of a participant is ACTIVE. The event may come twice, and later than the key is used.

    `old_key_id` is the key that is RETIRING from now; None when there was none in use, as after a revocation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    participant: ParticipantName
    purpose: KeyPurpose
    old_key_id: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    new_key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    rotated_at: AwareDatetime
