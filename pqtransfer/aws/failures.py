"""The one place where a failure of AWS becomes an error of this project.

Adapters wrap each call: `with translated(action="read s3://models/a"): client.get_object(...)`. What comes out is a
`CloudError` of one of five sorts, told apart by what the caller can do about it: ask for access, name something that
exists, try again later, read again and decide anew (somebody else was first), or repair the request.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError

from pqtransfer.errors import AccessError, InputError, PqtransferError, UnavailableError

ACCESS_CODES = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthorizationError",
        "ExpiredToken",
        "ExpiredTokenException",
        "Forbidden",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
NOT_FOUND_CODES = frozenset(
    {
        "404",
        "AWS.SimpleQueueService.NonExistentQueue",
        "ClusterNotFoundException",
        "NoSuchBucket",
        "NoSuchEntity",
        "NoSuchKey",
        "NoSuchUpload",
        "NoSuchVersion",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
CONDITION_CODES = frozenset({"412", "ConditionalCheckFailedException", "PreconditionFailed"})
TRANSIENT_CODES = frozenset(
    {
        "409",
        "429",
        "BandwidthLimitExceeded",
        "ConditionalRequestConflict",
        "DependencyTimeoutException",
        "EC2ThrottledException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "KMSInternalException",
        "KeyUnavailableException",
        "OperationAborted",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "ThrottlingError",
        "TooManyRequestsException",
        "ProvisionedThroughputExceeded",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
TRANSACTION_CANCELLED_CODE = "TransactionCanceledException"
CREDENTIAL_FAILURES = (
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.ProfileNotFound,
    botocore_errors.TokenRetrievalError,
    botocore_errors.SSOError,
)
CONNECTION_FAILURES = (
    botocore_errors.ConnectionError,
    botocore_errors.HTTPClientError,
    botocore_errors.IncompleteReadError,
)


class CloudError(PqtransferError):
    """A call to AWS did not do what was asked. `aws_code` is the service's own name for it."""

    def __init__(self, message: str, *, aws_code: str) -> None:
        super().__init__(message)
        self.aws_code = aws_code


class CloudAccessDeniedError(CloudError, AccessError):
    """The caller's role does not allow the call, or there are no usable credentials."""


class CloudNotFoundError(CloudError, InputError):
    """The bucket, object, queue, table, role or secret does not exist."""


class CloudUnavailableError(CloudError, UnavailableError):
    """AWS throttled, failed by itself, or could not be reached. The same call may succeed later."""


class ConditionFailedError(CloudError):
    """A conditional write found something other than it expected: somebody else was first. Read again and decide."""


class CloudRequestError(CloudError):
    """AWS refused the request itself; repeating it unchanged is of no use."""


@contextmanager
def translated(*, action: str) -> Iterator[None]:
    """Turn every botocore failure inside the block into a `CloudError`.

    Args:
        action: what was being done, as a verb phrase that follows "could not": `"read s3://models/a"`.

    Raises:
        CloudAccessDeniedError: access denied, or no credentials.
        CloudNotFoundError: what the call names does not exist.
        CloudUnavailableError: throttling, 5xx, time-outs, no connection.
        ConditionFailedError: `If-Match`, `If-None-Match` or a DynamoDB condition did not hold.
        CloudRequestError: anything else.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as failure:
        raise translate_failure(failure, action=action) from failure


def translate_failure(failure: ClientError | BotoCoreError, *, action: str) -> CloudError:
    """The project's error for a botocore failure, with what to do about it."""
    if isinstance(failure, ClientError):
        return _translate_answer(failure, action=action)
    aws_code = type(failure).__name__
    if isinstance(failure, CREDENTIAL_FAILURES):
        return CloudAccessDeniedError(
            f"could not {action}: no usable AWS credentials ({failure}); choose a profile with AWS_PROFILE",
            aws_code=aws_code,
        )
    if isinstance(failure, CONNECTION_FAILURES):
        return CloudUnavailableError(
            f"could not {action}: {failure}; check the network and the endpoint, then try again", aws_code=aws_code
        )
    return CloudRequestError(f"could not {action}: {failure}", aws_code=aws_code)


def find_failure_code(failure: ClientError) -> str:
    """The service's name for the failure. For a cancelled transaction: the reason that decided it."""
    code = str(failure.response.get("Error", {}).get("Code", "")) or "Unknown"
    if code != TRANSACTION_CANCELLED_CODE:
        return code
    reasons = [str(reason.get("Code", "None")) for reason in failure.response.get("CancellationReasons", [])]
    decisive = [reason for reason in reasons if reason != "None"]
    if "ConditionalCheckFailed" in decisive:
        return "ConditionalCheckFailedException"
    return decisive[0] if decisive else code


def _translate_answer(failure: ClientError, *, action: str) -> CloudError:
    code = find_failure_code(failure)
    status = int(failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    message = failure.response.get("Error", {}).get("Message", "")
    reason = f"{code}: {message}" if message and message != code else code
    if code in CONDITION_CODES:
        return ConditionFailedError(f"could not {action}: it was changed meanwhile ({reason})", aws_code=code)
    if code in TRANSIENT_CODES:
        return CloudUnavailableError(f"could not {action}: {reason}; try again later", aws_code=code)
    if code in NOT_FOUND_CODES:
        return CloudNotFoundError(f"could not {action}: it does not exist ({reason})", aws_code=code)
    if code in ACCESS_CODES or status in (401, 403):
        return CloudAccessDeniedError(
            f"could not {action}: access denied ({reason}); use a role that is granted this", aws_code=code
        )
    if status >= 500 or status == 429:
        return CloudUnavailableError(f"could not {action}: {reason}; try again later", aws_code=code)
    if status == 404:
        return CloudNotFoundError(f"could not {action}: it does not exist ({reason})", aws_code=code)
    if status == 412:
        return ConditionFailedError(f"could not {action}: it was changed meanwhile ({reason})", aws_code=code)
    return CloudRequestError(f"could not {action}: {reason}", aws_code=code)
