"""The document of the channels: what it may say, and that its secrets stay in it."""

import json

import pytest

from pqtransfer.operations.channels import PAGERDUTY_URL, InvalidChannelsError, read_channels

SECRET = "a-very-secret-word-of-more-than-32-characters"
SLACK = {"name": "team", "kind": "slack", "url": "https://hooks.slack.com/services/secret-part"}
ONCALL = {"name": "oncall", "kind": "pagerduty", "routing_key": SECRET, "minimum_severity": "high"}
SIEM = {"name": "siem", "kind": "webhook", "url": "https://siem.example.org/x", "secret": SECRET, "from_level": 1}


def test_channels_are_read_and_show_no_secret() -> None:
    """Neither address nor key is in any text of them."""
    channels = read_channels(json.dumps({"channels": [SLACK, ONCALL, SIEM]}))
    assert [each.channel for each in channels] == ["team", "oncall", "siem"]
    assert [each.address for each in channels][1] == PAGERDUTY_URL
    assert SECRET not in f"{channels!r}{channels}"
    assert "secret-part" not in f"{channels!r}{channels}"


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{" * 10_000,
        json.dumps({"channels": [SLACK, SLACK]}),
        json.dumps({"channels": [{**SLACK, "name": "email"}]}),
        json.dumps({"channels": [{**SLACK, "kind": "email"}]}),
        json.dumps({"channels": [{**SLACK, "kind": SECRET}]}),
        json.dumps({"channels": [{**ONCALL, "routing_key": None}]}),
        json.dumps({"channels": [{**SIEM, "secret": "short"}]}),
        json.dumps({"channels": [{**SIEM, "secret": None}]}),
        json.dumps({"channels": [{"name": "x", "kind": "slack"}]}),
        json.dumps({"channels": [{**SLACK, SECRET: 1}]}),
        json.dumps({"channels": [SLACK] * 17}),
        "x" * 70_000,
    ],
)
def test_what_is_no_document_of_channels(document: str) -> None:
    """It is said where, and never what stands there."""
    with pytest.raises(InvalidChannelsError) as refused:
        read_channels(document)
    assert "secret-part" not in str(refused.value)
    assert "short" not in str(refused.value).replace("shorter", "")
