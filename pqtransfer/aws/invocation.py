"""Call a Lambda function and take its JSON answer."""

import json
from typing import TYPE_CHECKING, Protocol

from pqtransfer.aws.failures import translated
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class FunctionCrashedError(UnavailableError):
    """The function ended without an answer."""

    def __init__(self, function_name: str, reason: str) -> None:
        super().__init__(
            f"the function {function_name} gave no answer ({reason}); the call can be repeated safely, "
            f"and the reason stands in its log: /aws/lambda/{function_name}"
        )


class RemoteFunction(Protocol):
    """Something that takes a JSON object and answers with one."""

    def __call__(self, request: JsonObject) -> JsonObject:
        """Send the request, wait for the answer."""


class LambdaFunction:
    """A `RemoteFunction` that is deployed."""

    def __init__(self, client: "LambdaClient", *, function_name: str) -> None:
        self._client = client
        self._function_name = function_name

    def __call__(self, request: JsonObject) -> JsonObject:
        """Invoke the function and wait.

        Raises:
            CloudError: the invocation itself failed or was refused.
            FunctionCrashedError: the function failed, or answered something that is not a JSON object.
        """
        with translated(action=f"call the function {self._function_name}"):
            answer = self._client.invoke(FunctionName=self._function_name, Payload=json.dumps(request).encode())
            payload = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise FunctionCrashedError(self._function_name, answer["FunctionError"])
        try:
            document = json.loads(payload)
        except ValueError:
            raise FunctionCrashedError(self._function_name, "the answer is not JSON") from None
        if not isinstance(document, dict):
            raise FunctionCrashedError(self._function_name, "the answer is not a JSON object")
        return document
