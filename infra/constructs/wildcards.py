"""Why a wildcard stands in a resource: the reasons that cdk-nag's findings are acknowledged with, one by one."""

import re
from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import IConstruct

from infra.constructs.grants import TRANSFERS_PREFIX
from infra.validation import acknowledge

# Pattern of the resource -> reason.
WILDCARD_REASONS = {
    r"\*": "The action knows no resource: AWS takes nothing but a wildcard for it.",
    rf"arn:aws:s3:::.*/{TRANSFERS_PREFIX}\*": "Each transfer writes under a prefix of its own, made when it starts.",
    rf"arn:aws:s3:::.*/{TRANSFERS_PREFIX}\*/[a-z.-]+": "One document of each container, and nothing else of it.",
    r"arn:aws:s3:::[^/]*-audit/\*": "Who checks the audit log reads the whole of it.",
    r"arn:aws:s3:::[^/]*-audit/[a-z/]+/\*": "The files of the audit log get their names when they are written.",
    r"arn:aws:s3:::[^/]*-audit-trust/[a-z]+/\*": "The objects of one reader of the audit log, and of nobody else.",
    r"arn:aws:s3:::[^/]*/\*": "Workers use the whole of a bucket that a site named for exactly this.",
    r"arn:aws:s3:::.*/backups/\*": "Each key has a backup of its own, made with the key.",
    r".*-participant-\*": "Participants are registered later; path and name keep every other role out.",
    r".*/\$\{aws:PrincipalTag/participant\}/\*": "The tag keeps out all secrets but the participant's own.",
    r".*/participants/\*": "Participants are registered later; the prefix keeps every other secret out.",
    r".*:task/[^/]*/\*": "Tasks get their names when they start; the cluster keeps every other task out.",
    r".*:service/[^/]*/\*": "Services get their names when they are made; the cluster keeps every other one out.",
}


def acknowledge_wildcards(construct: IConstruct, statements: Sequence[iam.PolicyStatement]) -> None:
    """Acknowledge each resource with a wildcard in `statements`, one by one, on the role or policy that holds them."""
    resources = {resource for statement in statements for resource in statement.resources if "*" in resource}
    acknowledge(construct, {f"IAM5[Resource::{_in_finding(each)}]": _why_wildcard(each) for each in sorted(resources)})


def _in_finding(resource: str) -> str:
    """cdk-nag writes `<name>` for `${name}`."""
    return re.sub(r"[$][{]([^}]*)[}]", r"<\1>", resource)


def _why_wildcard(resource: str) -> str:
    for pattern, reason in WILDCARD_REASONS.items():
        if re.fullmatch(pattern, resource):
            return reason
    raise LookupError(f"{resource} has a wildcard without a reason: name the resource, or give the reason here")
