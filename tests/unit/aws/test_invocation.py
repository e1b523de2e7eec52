"""Calling a function: its answer, or a named error."""

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pqtransfer.aws.failures import CloudAccessDeniedError
from pqtransfer.aws.invocation import FunctionCrashedError, LambdaFunction
from pqtransfer.errors import UnavailableError


class FakeLambda:
    """A Lambda client that gives one answer."""

    def __init__(self, payload: bytes = b"{}", *, function_error: str | None = None, denied: bool = False) -> None:
        self._payload, self._function_error, self._denied = payload, function_error, denied
        self.calls: list[dict[str, Any]] = []

    def invoke(self, **parameters: Any) -> dict[str, Any]:
        self.calls.append(parameters)
        if self._denied:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Invoke")
        answer: dict[str, Any] = {"Payload": io.BytesIO(self._payload)}
        if self._function_error:
            answer["FunctionError"] = self._function_error
        return answer


def call(client: FakeLambda) -> Any:
    return LambdaFunction(client, function_name="register")({"name": "a"})  # type: ignore[arg-type]


def test_an_answer() -> None:
    """The request goes out as JSON, the answer comes back as an object."""
    client = FakeLambda(b'{"fine": true}')
    assert call(client) == {"fine": True}
    assert client.calls == [{"FunctionName": "register", "Payload": b'{"name": "a"}'}]


@pytest.mark.parametrize(
    "client",
    [
        FakeLambda(b'{"errorMessage": "secret"}', function_error="Unhandled"),
        FakeLambda(b"not json"),
        FakeLambda(b"[]"),
        FakeLambda(b"\xff"),
    ],
)
def test_no_answer(client: FakeLambda) -> None:
    """A crash names the function and its log, and repeats nothing of what it said."""
    with pytest.raises(FunctionCrashedError, match="register") as caught:
        call(client)
    assert isinstance(caught.value, UnavailableError)
    assert "secret" not in str(caught.value)


def test_a_caller_without_the_grant() -> None:
    """Not being allowed to call it is told as such."""
    with pytest.raises(CloudAccessDeniedError, match="call the function register"):
        call(FakeLambda(denied=True))
