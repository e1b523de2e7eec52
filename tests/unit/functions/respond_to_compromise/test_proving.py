"""A report of a lost key says who called when AWS tells it at once; revoking does not wait for it."""

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ConnectTimeoutError

from functions.respond_to_compromise import handler
from pqtransfer.aws import proven_callers
from pqtransfer.aws.proven_callers import PROOF_FIELD, StsPlace, sign_call

FUNCTION = "respond-to-compromise"


class SilentHttp:
    """Connects to nobody, and notes how long it was to wait."""

    waits: list[int]

    def __init__(self, *, timeout: int) -> None:
        self.waits.append(timeout)

    def send(self, request: Any) -> None:
        raise ConnectTimeoutError(endpoint_url=request.url)

    def close(self) -> None: ...


@pytest.mark.requirement("D4.4")
def test_revoking_does_not_wait_for_the_name_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """STS that is silent costs two seconds of the five that revoking may take, and no revocation."""
    place = StsPlace(boto3.Session("none", "none", region_name="eu-central-1"))
    monkeypatch.setattr(SilentHttp, "waits", [], raising=False)
    monkeypatch.setattr(proven_callers, "URLLib3Session", SilentHttp)
    monkeypatch.setattr(handler, "_find_sts", lambda: place)
    asked: dict[str, Any] = {"participant": "site-a", "reason": "lost"}
    proof = sign_call(
        Credentials("ASIAJO", "the secret of jo"), asked, function=FUNCTION, place=place, at=datetime.now(UTC)
    )
    event = {**asked, PROOF_FIELD: proof.model_dump(mode="json", exclude_none=True)}
    assert handler.prove(event, function=FUNCTION) is None
    assert len(SilentHttp.waits) == 1
    assert 2 * SilentHttp.waits[0] <= 2
