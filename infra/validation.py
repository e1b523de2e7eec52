"""cdk-nag over the whole app. A finding is acknowledged on its construct, one by one, with the reason beside it."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

PACK = "AwsSolutions"


def add_checks(app: App) -> None:
    """Let synthesis fail on every finding of the AwsSolutions pack that nobody acknowledged."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Acknowledge findings on exactly this construct: rule (`SQS3`, `IAM5[Resource::*]`) -> reason."""
    Validations.of(construct).acknowledge(
        *(Acknowledgment(id=f"{PACK}-{rule}", reason=reason) for rule, reason in reasons.items())
    )
