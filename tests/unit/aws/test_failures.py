"""Every failure of AWS becomes a named error that says what the caller can do."""

from typing import Any

import pytest
from botocore import exceptions as botocore_errors
from botocore.exceptions import ClientError

from pqtransfer.aws.failures import (
    CloudAccessDeniedError,
    CloudError,
    CloudNotFoundError,
    CloudRequestError,
    CloudUnavailableError,
    ConditionFailedError,
    translated,
)
from pqtransfer.errors import AccessError, InputError, UnavailableError


def make_answer(
    code: str, *, status: int = 400, message: str = "because", reasons: tuple[str, ...] = ()
) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }
    return ClientError(response, "Operation")


@pytest.mark.parametrize(
    ("failure", "becomes"),
    [
        (make_answer("AccessDenied", status=403), CloudAccessDeniedError),
        (make_answer("AccessDeniedException"), CloudAccessDeniedError),
        (make_answer("ExpiredTokenException"), CloudAccessDeniedError),
        (make_answer("SomethingNew", status=403), CloudAccessDeniedError),
        (make_answer("NoSuchKey", status=404), CloudNotFoundError),
        (make_answer("NoSuchBucket", status=404), CloudNotFoundError),
        (make_answer("404", status=404), CloudNotFoundError),
        (make_answer("ResourceNotFoundException"), CloudNotFoundError),
        (make_answer("NoSuchEntity", status=404), CloudNotFoundError),
        (make_answer("SomethingNew", status=404), CloudNotFoundError),
        (make_answer("SlowDown", status=503), CloudUnavailableError),
        (make_answer("ThrottlingException"), CloudUnavailableError),
        (make_answer("ProvisionedThroughputExceededException"), CloudUnavailableError),
        (make_answer("SomethingNew", status=500), CloudUnavailableError),
        (make_answer("TooMany", status=429), CloudUnavailableError),
        (make_answer("PreconditionFailed", status=412), ConditionFailedError),
        (make_answer("ConditionalRequestConflict", status=409), CloudUnavailableError),
        (make_answer("ConditionalCheckFailedException"), ConditionFailedError),
        (make_answer("SomethingNew", status=412), ConditionFailedError),
        (make_answer("ValidationException"), CloudRequestError),
        (make_answer(""), CloudRequestError),
        (botocore_errors.NoCredentialsError(), CloudAccessDeniedError),
        (botocore_errors.ProfileNotFound(profile="x"), CloudAccessDeniedError),
        (botocore_errors.EndpointConnectionError(endpoint_url="http://x"), CloudUnavailableError),
        (botocore_errors.ConnectTimeoutError(endpoint_url="http://x"), CloudUnavailableError),
        (botocore_errors.ReadTimeoutError(endpoint_url="http://x"), CloudUnavailableError),
        (botocore_errors.ConnectionClosedError(endpoint_url="http://x"), CloudUnavailableError),
        (botocore_errors.IncompleteReadError(actual_bytes=1, expected_bytes=2), CloudUnavailableError),
        (botocore_errors.ParamValidationError(report="Invalid bucket name"), CloudRequestError),
    ],
)
def test_each_failure_has_its_error(failure: Exception, becomes: type[CloudError]) -> None:
    """What AWS or the network answers decides the sort of error; the action stands in the message."""
    with pytest.raises(CloudError) as caught, translated(action="read s3://models/a"):
        raise failure
    assert type(caught.value) is becomes
    assert "could not read s3://models/a" in str(caught.value)
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize(
    ("reasons", "becomes"),
    [
        (("None", "ConditionalCheckFailed"), ConditionFailedError),
        (("TransactionConflict", "ConditionalCheckFailed"), ConditionFailedError),
        (("TransactionConflict", "None"), CloudUnavailableError),
        (("ThrottlingError",), CloudUnavailableError),
        (("ValidationError",), CloudRequestError),
        ((), CloudRequestError),
    ],
)
def test_a_cancelled_transaction_is_judged_by_its_reasons(reasons: tuple[str, ...], becomes: type[CloudError]) -> None:
    """A failed condition decides; a conflict with another transaction is worth another try."""
    with pytest.raises(CloudError) as caught, translated(action="write"):
        raise make_answer("TransactionCanceledException", reasons=reasons)
    assert type(caught.value) is becomes


def test_other_errors_pass_through() -> None:
    """Only AWS's failures are translated; a bug stays a bug."""
    with pytest.raises(KeyError), translated(action="read"):
        raise KeyError("x")


def test_the_kinds_carry_the_exit_codes() -> None:
    """A script can tell denied, absent and unavailable by the exit code."""
    assert CloudAccessDeniedError.exit_code == AccessError.exit_code
    assert CloudNotFoundError.exit_code == InputError.exit_code
    assert CloudUnavailableError.exit_code == UnavailableError.exit_code
