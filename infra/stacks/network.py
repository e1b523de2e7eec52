"""Where the workers live."""

from typing import Any

import jsii
from aws_cdk import Fn, Stack
from constructs import Construct

from infra.constructs.network import IsolatedNetwork
from infra.environments import EnvironmentConfig
from infra.names import Names


class NetworkStack(Stack):
    """The network, its endpoints and security groups. Holds nothing that could be lost."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names, **kwargs: Any
    ) -> None:
        zones = Fn.get_azs()
        self._zones = [Fn.select(index, zones) for index in range(environment.availability_zones)]
        super().__init__(scope, id, **kwargs)
        self.network = IsolatedNetwork(self, "Network", environment=environment, names=names)

    @property
    @jsii.member(jsii_name="availabilityZones")
    def availability_zones(self) -> list[str]:
        """The first zones, found while deploying: the CDK would ask the account, and synthesis need credentials."""
        return self._zones
