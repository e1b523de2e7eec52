"""What is answered when something is done with keys, and how it is refused."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pqtransfer.aws.invocation import FunctionCrashedError
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.errors import AccessError, InputError, IntegrityError, PqtransferError, UnavailableError
from pqtransfer.keys.participant import KeyVersion
from pqtransfer.keys.registration import Refusal

LEAST_PREFIX = 8


class ExternalKeysError(InputError):
    """The participant keeps its own private keys: the system can neither rotate nor back them up."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} keeps its own private keys, and replaces them itself: "
            f"pqtransfer keys replace {name} --key DIR --new-key NEW_DIR"
        )


class AmbiguousKeyError(InputError):
    """The beginning of a key id fits no key, or more than one."""

    def __init__(self, name: str, prefix: str) -> None:
        super().__init__(
            f"{prefix[:64]!r} is not the beginning (at least {LEAST_PREFIX} digits) of exactly one key id of {name}; "
            f"its keys: pqtransfer keys list {name}"
        )


class NotDoneYetError(UnavailableError):
    """What was ordered had not happened when the waiting ended. It goes on by itself."""

    def __init__(self, what: str, correlation_id: str) -> None:
        super().__init__(
            f"{what} is ordered, and not done yet; look again with: pqtransfer keys list. If it stays so, look for "
            f"correlation id {correlation_id} in the log of rotate_keys"
        )


class KeyOrderRefusedError(PqtransferError):
    """The deployment refused an order. `code` is the deployment's own name for the reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self._code = refusal.code

    @property
    def code(self) -> str:
        return self._code


class UnusableKeyOrderError(KeyOrderRefusedError, InputError):
    """What was asked cannot be used."""


class DamagedKeyError(KeyOrderRefusedError, IntegrityError):
    """A key or backup does not hold."""


class ForbiddenKeyOrderError(KeyOrderRefusedError, AccessError):
    """Something that the order needs is denied."""


class InterruptedKeyOrderError(KeyOrderRefusedError, UnavailableError):
    """Something that the order needs did not answer; the same call may succeed later."""


REFUSALS = (UnusableKeyOrderError, DamagedKeyError, ForbiddenKeyOrderError, InterruptedKeyOrderError)


class FailedRestore(BaseModel):
    """A key that a drill could not restore."""

    model_config = ConfigDict(frozen=True)

    participant: str
    purpose: KeyPurpose
    key_id: str
    error: str
    message: str


class DrillResult(BaseModel):
    """What a drill found. `finished`: False when the rest goes on by itself."""

    model_config = ConfigDict(frozen=True)

    restored: int
    failed: tuple[FailedRestore, ...]
    finished: bool


@dataclass(frozen=True)
class Rotated:
    """A key that took the place of another."""

    old: KeyVersion | None
    new: KeyVersion


@dataclass(frozen=True)
class BackedUp:
    """A key that the system keeps, and whether it is backed up."""

    key: KeyVersion
    is_backed_up: bool


def require_answer(answer: Any, function_name: str) -> JsonObject:
    """The answer of a function, if it is not a refusal.

    Raises:
        KeyOrderRefusedError: it is.
        FunctionCrashedError: it is neither.
    """
    try:
        if "error" in answer:
            refusal = Refusal.model_validate(answer["error"])
            kind = next((kind for kind in REFUSALS if kind.exit_code == refusal.exit_code), KeyOrderRefusedError)
            raise kind(refusal)
    except ValidationError:
        raise FunctionCrashedError(function_name, "its answer is of another version; update pqtransfer") from None
    document: JsonObject = answer
    return document
