"""Where the workers live."""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from infra.constructs.network import IsolatedNetwork
from infra.environments import EnvironmentConfig
from infra.names import Names


class NetworkStack(Stack):
    """The network, its endpoints and security groups. Holds nothing that could be lost."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names, **kwargs: Any
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.network = IsolatedNetwork(self, "Network", environment=environment, names=names)
