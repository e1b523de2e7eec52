"""Who acts: the caller that AWS has authenticated."""

from typing import TYPE_CHECKING

from pqtransfer.aws.failures import translated

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient


def name_caller(client: "STSClient") -> str:
    """The ARN of the user, or of the role and its session. Everybody may ask this about themselves."""
    with translated(action="ask AWS who you are"):
        return client.get_caller_identity()["Arn"]
