"""Who calls a function is who AWS says signed this very call: nothing that was changed, kept or made up is believed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.aws.proven_callers import (
    DIGEST_HEADER,
    FUNCTION_HEADER,
    GOOD_FOR,
    PROOF_FIELD,
    CallerNotProvenError,
    CallerUnknownError,
    SignerAt,
    StsPlace,
    digest_request,
    prove_caller,
    sign_call,
    take_proof,
)

pytestmark = pytest.mark.requirement("D4.6", "D7.1")

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ARN = "arn:aws:sts::123456789012:assumed-role/operator/jo"
JO = Credentials("ASIAJO", "the secret of jo", "the-token-of-jo")
FUNCTION = "rotate-keys"
REQUEST: dict[str, Any] = {"action": "rotate", "participant": "site-a", "asked_by": "somebody"}


def place(region: str = "eu-central-1") -> StsPlace:
    session = boto3.Session("none", "none", region_name=region)
    return StsPlace(session)


class Sts:
    """STS, which knows jo: it signs what it is sent with jo's secret, and compares."""

    def __init__(self, *, status: int = 200) -> None:
        self.status = status
        self.asked: list[AWSRequest] = []

    def __call__(self, request: AWSRequest) -> tuple[int, bytes]:
        self.asked.append(request)
        if self.status != 200:
            return self.status, b"<Error/>"
        headers = request.headers
        expected = AWSRequest("POST", request.url, data=request.data, headers=dict(headers.items()))
        del expected.headers["Authorization"]
        SignerAt(JO.get_frozen_credentials(), "sts", "eu-central-1").add_auth(expected)
        if expected.headers["Authorization"] != headers["Authorization"]:
            return 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        answer = f"<GetCallerIdentityResult><Arn>{ARN}</Arn><UserId>x</UserId></GetCallerIdentityResult>"
        return 200, answer.encode()


def call(credentials: Credentials = JO, *, request: Any = None, function: str = FUNCTION, at: datetime = NOW) -> Any:
    """A request with its proof."""
    asked = request or REQUEST
    proof = sign_call(credentials, asked, function=function, place=place(), at=at)
    return {**asked, PROOF_FIELD: proof.model_dump(mode="json", exclude_none=True)}


def prove(event: Any, *, function: str = FUNCTION, now: datetime = NOW, sts: Sts | None = None) -> str | None:
    return prove_caller(event, function=function, place=place(), now=now, ask=sts or Sts())


def test_a_caller_is_proven() -> None:
    """By the one address of the region, under nothing but what the function itself wrote; the secret is not there."""
    sts, event = Sts(), call()
    assert prove(event, sts=sts) == ARN
    [asked] = sts.asked
    assert asked.url == "https://sts.eu-central-1.amazonaws.com/"
    assert asked.headers[FUNCTION_HEADER] == FUNCTION
    assert asked.headers[DIGEST_HEADER] == digest_request(REQUEST)
    assert "secret" not in str(event)
    assert take_proof(event) == (REQUEST, event[PROOF_FIELD])


def test_without_a_proof_nobody_is_proven() -> None:
    """And nobody is asked."""
    sts = Sts()
    assert prove(REQUEST, sts=sts) is None
    assert sts.asked == []


def changed(event: Any, **proof: Any) -> Any:
    return {**event, PROOF_FIELD: {**event[PROOF_FIELD], **proof}}


@pytest.mark.parametrize(
    ("event", "now"),
    [
        (call(Credentials("ASIAJO", "not the secret", "the-token-of-jo")), NOW),
        ({**call(), "participant": "site-b"}, NOW),
        (call(function="respond-to-compromise"), NOW),
        (call(), NOW + GOOD_FOR + timedelta(seconds=1)),
        (call(), NOW - GOOD_FOR - timedelta(seconds=1)),
        (changed(call(), signed_at="20260301T120001Z"), NOW),
        (changed(call(), signed_at="20260231T120000Z"), NOW),
        (changed(call(), session_token="another"), NOW),
        (changed(call(), session_token="x\r\nHost: evil.example"), NOW),
        (changed(call(), authorization="AWS4-HMAC-SHA256 Credential=x"), NOW),
        (changed(call(), url="https://evil.example/"), NOW),
        (changed(call(), authorization=call()[PROOF_FIELD]["authorization"].replace("eu-central-1", "us-east-1")), NOW),
        (changed(call(), authorization=call()[PROOF_FIELD]["authorization"].replace("host;", "")), NOW),
        ({**REQUEST, PROOF_FIELD: "proof"}, NOW),
        ({**REQUEST, PROOF_FIELD: {}}, NOW),
    ],
    ids=[
        "forged", "of another request", "of another function", "too late", "from the future", "another time",
        "no such day", "another token", "a header smuggled in", "no signature", "another address", "another region",
        "a header less", "no document", "empty",
    ],
)  # fmt: skip
def test_what_is_not_this_call_by_this_caller_is_refused(event: Any, now: datetime) -> None:
    """Refused, never taken for an unproven call."""
    with pytest.raises(CallerNotProvenError):
        prove(event, now=now)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_sts_that_does_not_answer_proves_nothing(status: int) -> None:
    """It may later: that is told apart from a forgery."""
    with pytest.raises(CallerUnknownError):
        prove(call(), sts=Sts(status=status))


def test_an_answer_without_an_identity_proves_nothing() -> None:
    """Whatever says 200."""
    for answer in (b"", b"<Arn>arn:aws:iam::1:user/x</Arn>", b"<GetCallerIdentityResult><Arn>x</Arn>"):
        with pytest.raises(CallerNotProvenError):
            prove_caller(call(), function=FUNCTION, place=place(), now=NOW, ask=lambda _, said=answer: (200, said))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=40),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
        max_leaves=6,
    )
)
def test_no_proof_breaks_the_function(document: Any) -> None:
    """Whatever stands in its place is refused as no proof, or is none at all."""
    if document is None:
        assert prove({**REQUEST, PROOF_FIELD: document}) is None
        return
    with pytest.raises(CallerNotProvenError):
        prove({**REQUEST, PROOF_FIELD: document})
