"""Messages of the audit queue are read as they were written, and nothing else is."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.audit.errors import MalformedMessageError
from pqtransfer.audit.events import EVENT_LIMIT_BYTES
from pqtransfer.audit.messages import EVENTS_AT_MOST, MESSAGE_LIMIT_BYTES, pack_messages, unpack_message
from pqtransfer.audit.positions import RECENT_EVENTS
from pqtransfer.audit.tiles import encode_bundle

MESSAGES_OF_A_DELIVERY = 10


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=120))
def test_events_come_out_as_they_went_in(entries: list[bytes]) -> None:
    """In their order, in few messages, each of which a queue takes as text."""
    messages = list(pack_messages(entries))
    assert [entry for message in messages for entry in unpack_message(message)] == entries
    assert len(messages) == -(-len(entries) // EVENTS_AT_MOST)
    assert all(message.isascii() for message in messages)


def test_the_largest_events_fit() -> None:
    """No message is larger than a queue takes."""
    entries = [bytes([number]) * EVENT_LIMIT_BYTES for number in range(20)]
    messages = list(pack_messages(entries))
    assert max(map(len, messages)) <= MESSAGE_LIMIT_BYTES
    assert [entry for message in messages for entry in unpack_message(message)] == entries


def test_a_delivery_that_comes_again_is_recognized_as_a_whole() -> None:
    """Ten messages of one producer have no more events than the sequencer remembers of it."""
    assert MESSAGES_OF_A_DELIVERY * EVENTS_AT_MOST <= RECENT_EVENTS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "AAA",
        "\u20ac",
        base64.b64encode(b"\x00\x05abc").decode(),
        base64.b64encode(encode_bundle([b"x"] * (EVENTS_AT_MOST + 1))).decode(),
        base64.b64encode(encode_bundle([b"x"] * 9999)).decode(),
        "A" * (MESSAGE_LIMIT_BYTES + 4),
    ],
)
def test_what_is_no_message_is_refused(text: str) -> None:
    """By one error, whatever it is."""
    with pytest.raises(MalformedMessageError):
        unpack_message(text)
