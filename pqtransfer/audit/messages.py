"""How events travel to the sequencer: some of one producer in a message of text, in their order.

Base64, because a queue takes no text with U+FFFE or U+FFFF in it, and whoever names a model may put them there: one
such event would stop all that are behind it.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence

from pqtransfer.audit.errors import DamagedTileError, MalformedMessageError
from pqtransfer.audit.tiles import PREFIX_LENGTH_BYTES, encode_bundle, split_entries

MESSAGE_LIMIT_BYTES = 256 * 1024
"""What SQS took in all its versions, for the message."""
EVENTS_AT_MOST = 48
"""Ten messages are one delivery, and must be recognized as a whole when it comes again: `positions.RECENT_EVENTS`."""
CONTENT_LIMIT_BYTES = MESSAGE_LIMIT_BYTES // 4 * 3


def pack_messages(entries: Iterable[bytes]) -> Iterator[str]:
    """Events (at most 32 KiB each) as few messages, in their order."""
    packed, length = list[bytes](), 0
    for entry in entries:
        added = PREFIX_LENGTH_BYTES + len(entry)
        if packed and (len(packed) == EVENTS_AT_MOST or length + added > CONTENT_LIMIT_BYTES):
            yield _encode(packed)
            packed, length = [], 0
        packed.append(entry)
        length += added
    if packed:
        yield _encode(packed)


def unpack_message(text: str) -> Sequence[bytes]:
    """The entries of a message, not looked at yet.

    Raises:
        MalformedMessageError: it is none, or has more events than one may have.
    """
    if len(text) > MESSAGE_LIMIT_BYTES:
        raise MalformedMessageError(f"it has {len(text)} characters, at most {MESSAGE_LIMIT_BYTES} are read")
    try:
        entries = split_entries(base64.b64decode(text, validate=True), path="message")
    except (ValueError, binascii.Error):
        raise MalformedMessageError("it is not base64") from None
    except DamagedTileError:
        raise MalformedMessageError("it ends within an event") from None
    if not 0 < len(entries) <= EVENTS_AT_MOST:
        raise MalformedMessageError(f"it has {len(entries)} events, not 1 to {EVENTS_AT_MOST}")
    return entries


def _encode(entries: Sequence[bytes]) -> str:
    return base64.b64encode(encode_bundle(entries)).decode("ascii")
