"""Canonical JSON (RFC 8785): one document, one sequence of bytes, so that signatures and digests are unambiguous.

The reader accepts canonical documents only: no duplicate names, no floating-point numbers, no other spelling.
It bounds bytes, values and names before it builds anything, because whoever wrote the document is not known yet:
memory of one read <= 20 * limit_bytes + 100 bytes * MAXIMUM_VALUES.
"""

import base64
import binascii
import json
from typing import Annotated, Any, NoReturn, TypeAlias, TypeVar

import rfc8785
from pydantic import BaseModel, BeforeValidator, PlainSerializer, ValidationError

from pqtransfer.errors import IntegrityError

JsonObject: TypeAlias = dict[str, Any]
Document = TypeVar("Document", bound=BaseModel)

MAXIMUM_VALUES = 1 << 15
"""Values in one document. The largest are 10,000 part digests, or 1,000 stanzas of 4 fields, and 16 KiB of metadata."""
MAXIMUM_NAMES = 128
"""Names in one object. The largest is the metadata, with 64."""


class MalformedDocumentError(IntegrityError):
    """A document is not canonical JSON or does not follow its format."""


def write_canonical_json(document: JsonObject | BaseModel) -> bytes:
    """The RFC 8785 form of `document`, UTF-8 without a final newline. Absent optional values are left out."""
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json", exclude_none=True)
    return rfc8785.dumps(document)


def read_canonical_json(data: bytes, *, name: str, limit_bytes: int) -> JsonObject:
    """Parse one canonical JSON object.

    Args:
        data: the document.
        name: what it is, for the error, for example `manifest`.
        limit_bytes: the largest document that is read at all.

    Raises:
        MalformedDocumentError: too large, not JSON, not an object, or not in canonical form.
    """
    if len(data) > limit_bytes:
        raise MalformedDocumentError(f"the {name} has {len(data)} bytes; at most {limit_bytes} are read")
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MAXIMUM_VALUES:  # each value but the first needs one
        raise MalformedDocumentError(f"the {name} has more than {MAXIMUM_VALUES} values")
    try:
        document = json.loads(
            data.decode("utf-8"), object_pairs_hook=_refuse_duplicates, parse_float=_refuse, parse_constant=_refuse
        )
        canonical = rfc8785.dumps(document) if isinstance(document, dict) else b""
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise MalformedDocumentError(f"the {name} is not a canonical JSON document: {_shorten(error)}") from None
    if not isinstance(document, dict) or canonical != data:
        raise MalformedDocumentError(f"the {name} is not a canonical JSON object (RFC 8785)")
    return document


def read_document(model: type[Document], data: bytes, *, name: str, limit_bytes: int) -> Document:
    """Parse one canonical JSON document that is exactly what `model` writes.

    A field that is left out where it has a default, or an absent one that is spelled `null`, would read as the same
    model: two documents for one signature. Such a document is refused.

    Raises:
        MalformedDocumentError: not canonical JSON, or not a document of this format.
    """
    fields = read_canonical_json(data, name=name, limit_bytes=limit_bytes)
    try:
        document = model.model_validate(fields)
    except ValidationError as error:
        raise _explain_violation(name, error) from None
    if write_canonical_json(document) != data:
        raise MalformedDocumentError(f"the {name} leaves out a field that must be there, or spells out an absent one")
    return document


def encode_base64(value: bytes) -> str:
    """Standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(value).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Strict inverse of `encode_base64`: one spelling for each value.

    Raises:
        ValueError: the text is not the standard spelling of any bytes.
    """
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("is not standard base64") from error
    if encode_base64(value) != text:
        raise ValueError("is not the standard base64 spelling")
    return value


def _explain_violation(name: str, error: ValidationError) -> MalformedDocumentError:
    """The error for a document that parses but does not follow its model. Names fields, never values."""
    places = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'document'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)[:5]
    )
    return MalformedDocumentError(f"the {name} does not follow its format: {_make_printable(places[:500])}")


def _read_base64_field(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return decode_base64(value)
    raise ValueError("must be a base64 string")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> JsonObject:
    if len(pairs) > MAXIMUM_NAMES:
        raise ValueError(f"an object has more than {MAXIMUM_NAMES} names")
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return document


def _refuse(_text: str) -> NoReturn:
    raise ValueError("numbers must be integers")


def _shorten(error: BaseException) -> str:
    return _make_printable(str(error)[:200]) or type(error).__name__


def _make_printable(text: str) -> str:
    """Field names come from the document: they must not move a terminal's cursor or start a new line in a log."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


Base64Bytes = Annotated[
    bytes, BeforeValidator(_read_base64_field), PlainSerializer(encode_base64, return_type=str, when_used="json")
]
"""A field that is bytes in Python and standard base64 in JSON."""
