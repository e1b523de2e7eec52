"""What every event of EventBridge has around its detail."""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pqtransfer.errors import InputError

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

Word = Annotated[str, Field(min_length=1, max_length=128)]


class UnreadableEventError(InputError):
    """Something came in that is no event."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is no event of EventBridge ({reason}); look who sends it")


class EventEnvelope(BaseModel):
    """One event. What is not named here is nobody's concern."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    id: Word
    source: Word
    detail_type: Word = Field(alias="detail-type")
    time: AwareDatetime
    resources: tuple[str, ...] = ()
    detail: dict[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The envelope of a document.

        Raises:
            UnreadableEventError: it has none.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            places = sorted({str(each["loc"][0])[:32] for each in error.errors(include_input=False) if each["loc"]})
            raise UnreadableEventError(f"other fields: {', '.join(places)}") from None

    @property
    def shape(self) -> str:
        """What events of this kind have in common."""
        return f"{self.source}/{self.detail_type}"

    def correlate(self, correlation_id: str | None = None) -> str:
        """The correlation id that was given, if it is one; else one of this event."""
        if correlation_id and _CORRELATION_ID.fullmatch(correlation_id):
            return correlation_id
        if _CORRELATION_ID.fullmatch(f"event-{self.id}"):
            return f"event-{self.id}"
        return f"event-{hashlib.sha256(self.id.encode('utf-8', 'replace')).hexdigest()[:32]}"
