"""What an operator orders: acknowledge an alert, say that it is over, silence some for a time."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from functions.process_alerts.service import AlertService
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.errors import InputError, PqtransferError
from pqtransfer.keys.registration import Refusal
from pqtransfer.operations.silences import Silence


class InvalidOrderError(InputError):
    """This is nothing that can be ordered."""


class Acknowledge(BaseModel):
    """Somebody takes care of an alert; with `is_over`, there is nothing left to take care of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["acknowledge"]
    alert_id: str = Field(pattern=r"^[0-9a-f]{20}$")
    by: str = Field(min_length=1, max_length=256)
    is_over: bool = False


class MakeSilence(BaseModel):
    """Nobody is told of some alerts, for a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["silence"]
    silence: Silence


class EndSilence(BaseModel):
    """People are told again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["end-silence"]
    silence_id: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$")
    by: str = Field(min_length=1, max_length=256)


Order = Annotated[Acknowledge | MakeSilence | EndSilence, Field(discriminator="action")]
_ORDERS: TypeAdapter[Acknowledge | MakeSilence | EndSilence] = TypeAdapter(Order)


def read_order(document: Any) -> Acknowledge | MakeSilence | EndSilence:
    """Read an order.

    Raises:
        InvalidOrderError: it is none.
    """
    try:
        return _ORDERS.validate_python(document, strict=False)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        told = "; ".join(f"{'.'.join(map(str, each['loc']))[:64]}: {each['msg']}" for each in problems[:5])
        raise InvalidOrderError(f"this cannot be ordered: {told}") from None


def answer_order(document: Any, service: AlertService) -> JsonObject:
    """What came of an order, or why it was refused."""
    try:
        order = read_order(document)
        if isinstance(order, Acknowledge):
            record = service.acknowledge(order.alert_id, by=order.by, is_over=order.is_over)
            answer: JsonObject = {"alert": record.model_dump(mode="json")}
            return answer
        if isinstance(order, MakeSilence):
            service.silence(order.silence)
            return {"silence_id": order.silence.silence_id}
        service.end_silence(order.silence_id, by=order.by)
        return {"silence_id": order.silence_id}
    except PqtransferError as error:
        return {"error": Refusal.of(error).model_dump(mode="json")}
