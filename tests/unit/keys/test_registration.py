"""The request to register a participant: what is refused before anything is touched."""

import pytest

from pqtransfer.errors import InputError
from pqtransfer.keys.registration import (
    MalformedRegistrationError,
    Refusal,
    read_registration_request,
    write_answer,
)

ROLE = "arn:aws:iam::123456789012:role/site-a"


@pytest.mark.parametrize(
    "document",
    [
        {"name": "site-a", "kind": "managed"},
        {"name": "site-a", "kind": "managed", "suite": "PQT-2", "principals": [ROLE]},
        {"name": "site-a", "kind": "managed", "principals": ["arn:aws:iam::123456789012:root"]},
        {"name": "site-a", "kind": "managed", "buckets": ["our-models", "abc", "a.b-c.9", "1.2.3", "b" * 63]},
        {"name": "site-a", "kind": "managed", "buckets": [f"bucket-{number}" for number in range(20)]},
        {"name": "a", "kind": "external", "identity": "{}"},
    ],
)
def test_requests_that_are_understood(document: dict[str, object]) -> None:
    """Managed with or without suite, principals and buckets; external with its identity."""
    assert read_registration_request(document).name == document["name"]


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (None, "request"),
        ([], "request"),
        ({}, "name"),
        ({"name": "Site A", "kind": "managed"}, "name"),
        ({"name": "site-a", "kind": "friend"}, "kind"),
        ({"name": "site-a", "kind": "external"}, "identity"),
        ({"name": "site-a", "kind": "external", "identity": "{}", "principals": [ROLE]}, "role"),
        ({"name": "site-a", "kind": "managed", "identity": "{}"}, "identity"),
        ({"name": "site-a", "kind": "managed", "principals": ["*"]}, "principals"),
        ({"name": "site-a", "kind": "managed", "principals": ["arn:aws:iam::123456789012:role/*"]}, "principals"),
        ({"name": "site-a", "kind": "managed", "principals": [ROLE] * 21}, "principals"),
        ({"name": "site-a", "kind": "managed", "buckets": [f"bucket-{number}" for number in range(21)]}, "buckets"),
        ({"name": "site-a", "kind": "managed", "buckets": ["our-models", "our-models"]}, "twice"),
        ({"name": "site-a", "kind": "external", "identity": "{}", "buckets": ["our-models"]}, "buckets"),
        *(
            ({"name": "site-a", "kind": "managed", "buckets": ["our-models", bucket]}, "buckets.1.*not the name")
            for bucket in (
                "*", "", "ab", "b" * 64, "Our-Models", "our_models", "-our", "our-", ".our", "our.", "a..b", "a.-b",
                "a-.b", "our/models", "s3://our-models", "arn:aws:s3:::our-models", "192.168.5.4", "our-models\n",
            )
        ),
        ({"name": "site-a", "kind": "external", "identity": "x" * 70000}, "identity"),
        ({"name": "site-a", "kind": "managed", "surprise": 1}, "surprise"),
    ],
)  # fmt: skip
def test_requests_that_are_not(document: object, named: str) -> None:
    """The error names the field and does not repeat its value."""
    with pytest.raises(MalformedRegistrationError, match=named) as caught:
        read_registration_request(document)
    assert "xxxx" not in str(caught.value)


def test_a_refusal_keeps_its_name_and_exit_code() -> None:
    """What the function refuses, a script can tell by code and exit code."""
    answer = write_answer(Refusal.of(MalformedRegistrationError("no name")))
    assert answer == {
        "error": {"code": "MalformedRegistration", "message": "no name", "exit_code": InputError.exit_code}
    }
