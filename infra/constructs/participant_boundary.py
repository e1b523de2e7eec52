"""The most that a managed participant's role can ever do, whatever policy it is given."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs import grants
from infra.constructs.grants import DataStores
from infra.constructs.wildcards import acknowledge_wildcards
from infra.names import Names


class ParticipantBoundary(Construct):
    """A permissions boundary: own secrets, the containers, the registry. `register_participant` must attach it."""

    def __init__(self, scope: Construct, id: str, *, names: Names, stores: DataStores) -> None:
        super().__init__(scope, id)
        stack = Stack.of(self)
        statements = [
            *grants.read_own_secrets(stores, stack, names),
            grants.read_models(stores),
            grants.use_table("ReadRegistry", stores.participants, "Query"),
            grants.use_table("ReadTransfers", stores.transfers, "GetItem"),
            grants.use_data_key(stores, stack, "s3", "dynamodb"),
        ]
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            managed_policy_name=f"{names.prefix}-participant-boundary",
            description="The most that a managed participant may do",
            statements=statements,
        )
        acknowledge_wildcards(self.policy, statements)

    @property
    def arn(self) -> str:
        """The ARN of the policy."""
        return self.policy.managed_policy_arn
