"""A participant and its key versions, as facts that never change by themselves.

A **managed** participant's private keys are made and kept by the system, readable through the participant's own role.
An **external** one keeps them itself and registers the public halves with a proof of possession.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from pqtransfer.crypto.canonical_json import Base64Bytes
from pqtransfer.crypto.identity import ParticipantName, PublicIdentity
from pqtransfer.crypto.keypairs import KeyPurpose, PublicKey
from pqtransfer.errors import InputError
from pqtransfer.keys.lifecycle import KeyState, may_protect, require_transition

MANAGED_NAME_LENGTH = 30
"""`pqtransfer-production-participant-` leaves 30 of the 64 characters of an IAM role's name."""
MOST_BUCKETS = 20
_BUCKET = re.compile(r"(?=.{3,63}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


class ManagedNameTooLongError(InputError):
    """The name of a managed participant does not fit into the name of its role."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has {len(name)} characters; a managed participant's name has at most {MANAGED_NAME_LENGTH}, "
            "because the name of its role is made of it"
        )


def require_managed_name(name: str) -> str:
    """The name, if a managed participant can have it.

    Raises:
        ManagedNameTooLongError: it does not fit into the name of a role.
    """
    if len(name) > MANAGED_NAME_LENGTH:
        raise ManagedNameTooLongError(name)
    return name


def _check_bucket(name: str) -> str:
    if not _BUCKET.fullmatch(name) or _IP_ADDRESS.fullmatch(name):
        raise ValueError("is not the name of an S3 bucket: write our-models, not a URI or an ARN")
    return name


def _check_buckets(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError("a bucket is named twice")
    return names


BucketName = Annotated[str, AfterValidator(_check_bucket)]
Buckets = Annotated[tuple[BucketName, ...], Field(max_length=MOST_BUCKETS), AfterValidator(_check_buckets)]


class ParticipantKind(StrEnum):
    """Who holds the private keys: the system, or the participant itself."""

    MANAGED = "managed"
    EXTERNAL = "external"


class Participant(BaseModel):
    """A name that models are sent to and from.

    `principals` are the ARNs that may take a managed one's role; `buckets` those that workers may use in its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ParticipantName
    kind: ParticipantKind
    created_at: AwareDatetime
    role_arn: str | None = None
    principals: tuple[str, ...] = ()
    buckets: Buckets = ()

    @model_validator(mode="after")
    def _require_role_by_kind(self) -> Self:
        if (self.kind is ParticipantKind.MANAGED) != (self.role_arn is not None):
            raise ValueError("a managed participant has a role, an external one has none")
        if self.principals and self.kind is ParticipantKind.EXTERNAL:
            raise ValueError("only a managed participant has principals")
        if self.buckets and self.kind is ParticipantKind.EXTERNAL:
            raise ValueError("only a managed participant has buckets")
        return self


class Revocation(BaseModel):
    """Why a key counts for nothing any more.

    `compromised_at`: from when on somebody else may have had it; None when that is not known, or it is not the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=1, max_length=1000)
    revoked_at: AwareDatetime
    compromised_at: AwareDatetime | None = None
    reported_by: str = Field(min_length=1, max_length=2048)


class PairProof(BaseModel):
    """What binds a KEM key to a signing key: the proof of the identity that they make (see `PublicIdentity`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kem_key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    signing_key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    proof: Base64Bytes

    @classmethod
    def of(cls, identity: PublicIdentity) -> Self:
        return cls(kem_key_id=identity.kem.key_id, signing_key_id=identity.signing.key_id, proof=identity.proof)


class KeyVersion(BaseModel):
    """One version of one of a participant's keys. Versions are counted for each purpose by itself.

    `activated_at` is when it was first put to use; `state_changed_at` when it took its last step (None: before that was
    written down). `secret_id` names the stored private half of a managed key. `proof` stands on a signing key that was
    registered together with the KEM key of the same version, and binds them (see `PublicIdentity`); pairs that came to
    be by rotation have theirs in `RegisteredParticipant.pair_proof`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    participant: ParticipantName
    version: int = Field(ge=1)
    public_key: PublicKey
    state: KeyState
    created_at: AwareDatetime
    activated_at: AwareDatetime | None = None
    state_changed_at: AwareDatetime | None = None
    secret_id: str | None = None
    proof: Base64Bytes | None = None
    revocation: Revocation | None = None

    @model_validator(mode="after")
    def _require_proof_by_purpose(self) -> Self:
        if self.purpose is KeyPurpose.KEM and self.proof is not None:
            raise ValueError("the proof of possession stands on the signing key, and only there")
        return self

    @model_validator(mode="after")
    def _require_revocation_by_state(self) -> Self:
        if self.revocation is not None and self.state is not KeyState.REVOKED:
            raise ValueError("only a key that is REVOKED has a revocation")
        return self

    @model_validator(mode="after")
    def _require_activation_by_state(self) -> Self:
        if self.state is KeyState.REVOKED:
            return self
        if (self.state is KeyState.PENDING) != (self.activated_at is None):
            raise ValueError("a key has a time of activation from when it is ACTIVE")
        return self

    def move_to(self, state: KeyState, *, at: datetime) -> Self:
        """The version after one step of its life.

        Raises:
            IllegalTransitionError: the step is not allowed.
        """
        require_transition(self.state, state)
        activated_at = at if state is KeyState.ACTIVE else self.activated_at
        return self.model_copy(update={"state": state, "activated_at": activated_at, "state_changed_at": at})

    def revoke(self, revocation: Revocation) -> Self:
        """The version, out of use for good, whatever it was.

        Raises:
            IllegalTransitionError: it is revoked already.
        """
        return self.move_to(KeyState.REVOKED, at=revocation.revoked_at).model_copy(update={"revocation": revocation})

    @property
    def is_spent(self) -> bool:
        """True when nothing needs the private half any more: it is destroyed, or was given up before it was used."""
        return self.state is KeyState.DESTROYED or (self.state is KeyState.REVOKED and self.activated_at is None)

    @property
    def key_id(self) -> str:
        return self.public_key.key_id

    @property
    def purpose(self) -> KeyPurpose:
        return self.public_key.purpose

    @property
    def suite_id(self) -> str:
        return self.public_key.suite_id


class RegisteredParticipant(BaseModel):
    """A participant with every key version it ever had, oldest first.

    `pair_proof` binds the ACTIVE keys, unless they were registered together: then the proof stands on the signing key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    participant: Participant
    keys: tuple[KeyVersion, ...] = Field(min_length=2)
    pair_proof: PairProof | None = None

    @model_validator(mode="after")
    def _require_own_distinct_keys(self) -> Self:
        if any(key.participant != self.participant.name for key in self.keys):
            raise ValueError("a key belongs to another participant")
        if len({key.key_id for key in self.keys}) != len(self.keys):
            raise ValueError("a key stands there twice")
        return self

    @property
    def name(self) -> str:
        return self.participant.name

    @property
    def is_ready(self) -> bool:
        """True when the participant has a key of each purpose that new transfers may use."""
        return all(self.find_active_key(purpose) is not None for purpose in KeyPurpose)

    @property
    def was_ready(self) -> bool:
        """True when a key was ever put to use: from then on something may depend on it."""
        return any(key.activated_at is not None for key in self.keys)

    def find_active_key(self, purpose: KeyPurpose) -> KeyVersion | None:
        """The newest key of this purpose that new transfers may use."""
        usable = [key for key in self.keys if key.purpose is purpose and may_protect(key.state)]
        return max(usable, key=lambda key: key.version, default=None)

    def find_key(self, key_id: str) -> KeyVersion | None:
        """The version with this key id, whatever its state."""
        return next((key for key in self.keys if key.key_id == key_id), None)

    def newest_version(self, purpose: KeyPurpose) -> int:
        """The number of the newest version of this purpose; 0 when there is none."""
        return max((key.version for key in self.keys if key.purpose is purpose), default=0)

    @property
    def pending_keys(self) -> tuple[KeyVersion, ...]:
        """The versions whose private half is not known to be stored yet."""
        return tuple(key for key in self.keys if key.state is KeyState.PENDING)

    @property
    def given_up_keys(self) -> tuple[KeyVersion, ...]:
        """The versions that were revoked before they were ever put to use: nothing depends on them."""
        return tuple(key for key in self.keys if key.state is KeyState.REVOKED and key.activated_at is None)

    def to_identity(self) -> PublicIdentity | None:
        """The public identity of the active keys, as others verify it. None while there is no active pair."""
        kem, signing = (self.find_active_key(purpose) for purpose in (KeyPurpose.KEM, KeyPurpose.SIGNING))
        if kem is None or signing is None:
            return None
        proof = self._find_proof(kem, signing)
        if proof is None:
            return None
        return PublicIdentity(participant=self.name, kem=kem.public_key, signing=signing.public_key, proof=proof)

    def _find_proof(self, kem: KeyVersion, signing: KeyVersion) -> bytes | None:
        pair = self.pair_proof
        if pair is not None and (pair.kem_key_id, pair.signing_key_id) == (kem.key_id, signing.key_id):
            return pair.proof
        return signing.proof if kem.version == signing.version else None


def make_key_versions(
    identity: PublicIdentity,
    *,
    version: int,
    state: KeyState,
    created_at: datetime,
    secret_ids: tuple[str | None, str | None] = (None, None),
) -> tuple[KeyVersion, KeyVersion]:
    """The two key versions of an identity, KEM first.

    Args:
        state: PENDING, or ACTIVE from the beginning.
        secret_ids: where the private halves are stored (KEM, signing); None when the participant keeps them.
    """
    activated_at = created_at if state is KeyState.ACTIVE else None
    return (
        KeyVersion(
            participant=identity.participant,
            version=version,
            public_key=identity.kem,
            state=state,
            created_at=created_at,
            activated_at=activated_at,
            state_changed_at=created_at,
            secret_id=secret_ids[0],
        ),
        KeyVersion(
            participant=identity.participant,
            version=version,
            public_key=identity.signing,
            state=state,
            created_at=created_at,
            activated_at=activated_at,
            state_changed_at=created_at,
            secret_id=secret_ids[1],
            proof=identity.proof,
        ),
    )
