"""Messages: what is a transfer request, and what is refused with a reason."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pqtransfer.transfers.request import (
    REQUEST_LIMIT_BYTES,
    InvalidLocationError,
    MalformedRequestError,
    S3Location,
    TransferRequest,
    has_passed,
)
from tests.containers import TRANSFER_ID

ENCRYPT: dict[str, Any] = {
    "format": "pqtransfer-request/1",
    "transfer_id": TRANSFER_ID,
    "kind": "encrypt",
    "source": "s3://models/round-7/model.safetensors",
    "sender": "hospital-a",
    "recipients": ["hospital-b", "hospital-c"],
    "correlation_id": "round-7",
}
CONTAINER = f"s3://data/transfers/{TRANSFER_ID}/"
DECRYPT = ENCRYPT | {
    "kind": "decrypt",
    "source": CONTAINER,
    "destination": "s3://results/model",
    "recipients": ["hospital-a"],
}
REWRAP = ENCRYPT | {"kind": "rewrap", "source": CONTAINER}
VERIFY = ENCRYPT | {"kind": "verify", "source": CONTAINER, "recipients": []}
UPLOAD = {name: value for name, value in ENCRYPT.items() if name != "source"} | {"kind": "upload"}


@pytest.mark.parametrize("message", [ENCRYPT, DECRYPT, REWRAP, VERIFY, UPLOAD], ids=lambda message: message["kind"])
def test_a_request_survives_the_queue(message: dict[str, Any]) -> None:
    """What is written is read back equal."""
    request = TransferRequest.from_json(json.dumps(message))
    assert TransferRequest.from_json(request.to_json()) == request


def without(message: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in names}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "Invalid JSON"),
        ("null", "object"),
        ("[]", "object"),
        ("{}", "transfer_id"),
        ("{" * 5000, "JSON"),
        (ENCRYPT | {"format": "pqtransfer-request/2"}, "format"),
        (without(ENCRYPT, "sender"), "sender"),
        (ENCRYPT | {"surprise": 1}, "surprise"),
        (ENCRYPT | {"transfer_id": "not-a-uuid"}, "transfer_id"),
        (ENCRYPT | {"transfer_id": "6ba7b810-9dad-41d1-80b4-00c04fd430c8"}, "version 7"),
        (ENCRYPT | {"transfer_id": TRANSFER_ID.upper()}, "standard spelling"),
        (ENCRYPT | {"kind": "copy"}, "kind"),
        (ENCRYPT | {"source": "https://example.org/model"}, "source"),
        (ENCRYPT | {"source": "s3://models"}, "source"),
        (ENCRYPT | {"sender": "Hospital A"}, "sender"),
        (ENCRYPT | {"recipients": []}, "at least one recipient"),
        (ENCRYPT | {"recipients": ["hospital-b", "hospital-b"]}, "twice"),
        (ENCRYPT | {"recipients": [f"site-{number}" for number in range(1001)]}, "recipients"),
        (ENCRYPT | {"destination": "s3://results/model"}, "no destination"),
        (ENCRYPT | {"expected_size_bytes": -1}, "expected_size_bytes"),
        (ENCRYPT | {"expected_sha256": "AAAA"}, "expected_sha256"),
        (ENCRYPT | {"priority": 10}, "priority"),
        (ENCRYPT | {"deadline": "2026-01-31T12:00:00"}, "deadline"),
        (ENCRYPT | {"correlation_id": "a b"}, "correlation_id"),
        (ENCRYPT | {"metadata": {"key": 1}}, "metadata"),
        (without(DECRYPT, "destination"), "destination"),
        (DECRYPT | {"recipients": ["hospital-a", "hospital-c"]}, "who asks, reads"),
        (DECRYPT | {"recipients": ["hospital-b"]}, "who asks, reads"),
        (DECRYPT | {"source": "s3://data/transfers/x"}, "slash"),
        (without(REWRAP, "recipients"), "at least one recipient"),
        (without(ENCRYPT, "source"), "needs a source"),
        (UPLOAD | {"source": ENCRYPT["source"]}, "upload has none"),
        (without(UPLOAD, "recipients"), "at least one recipient"),
    ],
)
def test_what_is_not_a_request_is_refused_with_the_reason(message: Any, reason: str) -> None:
    """Malformed messages and unknown versions: one error, which names the field and never shows values."""
    text = message if isinstance(message, str) else json.dumps(message)
    with pytest.raises(MalformedRequestError, match=reason) as caught:
        TransferRequest.from_json(text)
    assert len(str(caught.value)) < 1200


def test_a_message_that_is_too_large_is_not_parsed() -> None:
    """SQS would not carry it either."""
    with pytest.raises(MalformedRequestError, match="more than"):
        TransferRequest.from_json(" " * (REQUEST_LIMIT_BYTES + 1))


@pytest.mark.parametrize(
    ("uri", "bucket", "key", "version_id"),
    [
        ("s3://bucket/key", "bucket", "key", None),
        ("s3://bucket/a/b c/ü.bin", "bucket", "a/b c/ü.bin", None),
        ("s3://bucket/key?versionId=3/L4kqtJ", "bucket", "key", "3/L4kqtJ"),
    ],
)
def test_locations_are_read_and_written(uri: str, bucket: str, key: str, version_id: str | None) -> None:
    """A location's text is the URI it came from."""
    location = S3Location.parse(uri)
    assert (location.bucket, location.key, location.version_id) == (bucket, key, version_id)
    assert str(location) == uri


@pytest.mark.parametrize("uri", ["", "key", "s3://b/k", "s3://Bucket/key", "s3://bucket/", "s3://bucket/a\nb"])
def test_what_is_no_location_is_refused(uri: str) -> None:
    """The error says how to write one."""
    with pytest.raises(InvalidLocationError, match="s3://BUCKET/KEY"):
        S3Location.parse(uri)


def test_an_upload_has_no_source_location() -> None:
    """Its source stays on the sender's machine."""
    assert TransferRequest.from_json(json.dumps(ENCRYPT)).source_location.bucket == "models"
    with pytest.raises(InvalidLocationError):
        _ = TransferRequest.from_json(json.dumps(UPLOAD)).source_location


@pytest.mark.parametrize(("seconds", "passed"), [(-1, False), (0, False), (1, True)])
def test_a_deadline_passes_after_its_moment(seconds: int, passed: bool) -> None:
    """No deadline never passes."""
    deadline = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert has_passed(deadline, now=deadline + timedelta(seconds=seconds)) is passed
    assert has_passed(None, now=deadline) is False
