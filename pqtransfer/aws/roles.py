"""The IAM roles of managed participants: one each, under the environment's path, inside a permissions boundary.

A role may do one thing: read its own participant's secrets. It is taken by the transfer workers, by the functions
that rotate its keys and renew its envelopes, and by the principals that the participant names.
"""

import json
import re
from typing import TYPE_CHECKING, Any

from pqtransfer.aws.failures import translated
from pqtransfer.errors import InputError
from pqtransfer.keys.participant import Participant, require_managed_name

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ROLE_PREFIX = re.compile(
    r"arn:(?P<partition>[a-z-]+):iam::(?P<account>\d{12}):role(?P<path>/(?:[^/]+/)*)(?P<name>[^/]*)"
)
SECRETS_POLICY_NAME = "read-own-private-keys"


class RolePrefixError(InputError):
    """The prefix of the participants' roles is not the beginning of a role's ARN."""

    def __init__(self, role_prefix: str) -> None:
        super().__init__(
            f"{role_prefix!r} is not the beginning of a role's ARN; it looks like "
            "arn:aws:iam::123456789012:role/pqtransfer/dev/participants/pqtransfer-dev-participant-"
        )


class IamParticipantRoles:
    """`ParticipantRoles` in IAM."""

    def __init__(
        self,
        client: "IAMClient",
        *,
        environment: str,
        role_prefix: str,
        acting_role_arns: tuple[str, ...],
        permissions_boundary_arn: str | None = None,
        secrets_key_arn: str | None = None,
    ) -> None:
        """
        Args:
            role_prefix: a participant's role ARN without the participant's name at its end.
            acting_role_arns: the roles of workers and key service, which may take every participant's role.
            permissions_boundary_arn: the policy that bounds every role made here.
            secrets_key_arn: the KMS key the secrets are encrypted with, when it is not the account's own.
        """
        parts = ROLE_PREFIX.fullmatch(role_prefix)
        if parts is None:
            raise RolePrefixError(role_prefix)
        self._client = client
        self._environment = environment
        self._role_prefix = role_prefix
        self._partition, self._account, self._path, self._name_prefix = parts.groups()
        self._acting_role_arns = acting_role_arns
        self._permissions_boundary_arn = permissions_boundary_arn
        self._secrets_key_arn = secrets_key_arn

    def arn_of(self, name: str) -> str:
        return self._role_prefix + require_managed_name(name)

    def ensure(self, participant: Participant) -> None:
        self.arn_of(participant.name)
        role_name = self._name_prefix + participant.name
        trust = json.dumps(self._trust_policy(participant))
        with translated(action=f"make the role {role_name}"):
            if not self._create(role_name, trust, participant_name=participant.name):
                self._client.update_assume_role_policy(RoleName=role_name, PolicyDocument=trust)
            self._client.put_role_policy(
                RoleName=role_name,
                PolicyName=SECRETS_POLICY_NAME,
                PolicyDocument=json.dumps(self._secrets_policy(participant.name)),
            )

    def _create(self, role_name: str, trust: str, *, participant_name: str) -> bool:
        bounded = {"PermissionsBoundary": self._permissions_boundary_arn} if self._permissions_boundary_arn else {}
        try:
            self._client.create_role(
                RoleName=role_name,
                Path=self._path,
                AssumeRolePolicyDocument=trust,
                Description=f"Reads the private keys of {participant_name} in {self._environment}",
                Tags=[{"Key": "participant", "Value": participant_name}],
                **bounded,  # type: ignore[arg-type]  # mypy takes the values for every keyword's type
            )
        except self._client.exceptions.EntityAlreadyExistsException:
            return False
        return True

    def _trust_policy(self, participant: Participant) -> dict[str, Any]:
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "ActAsTheParticipant",
                    "Effect": "Allow",
                    "Principal": {"AWS": [*self._acting_role_arns, *participant.principals]},
                    "Action": "sts:AssumeRole",
                }
            ],
        }

    def _secrets_policy(self, name: str) -> dict[str, Any]:
        secrets = (
            f"arn:{self._partition}:secretsmanager:*:{self._account}:secret:{secret_prefix(self._environment, name)}*"
        )
        statements: list[dict[str, Any]] = [
            {
                "Sid": "ReadOwnPrivateKeys",
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": secrets,
            }
        ]
        if self._secrets_key_arn:
            statements.append(
                {
                    "Sid": "DecryptOwnPrivateKeys",
                    "Effect": "Allow",
                    "Action": "kms:Decrypt",
                    "Resource": self._secrets_key_arn,
                    "Condition": {"StringLike": {"kms:EncryptionContext:SecretARN": secrets}},
                }
            )
        return {"Version": "2012-10-17", "Statement": statements}


def secret_prefix(environment: str, name: str) -> str:
    """What the names of a participant's secrets begin with, up to and including the last slash."""
    return f"pqtransfer/{environment}/participants/{name}/"
