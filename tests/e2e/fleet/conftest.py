"""The local fleet in the deployed cloud."""

from collections.abc import Iterator
from typing import Any

import pytest

from pqtransfer.sdk.deployment import Deployment
from tests.e2e.conftest import ActAs


class Service:
    """The ECS service, in the hands of the account's owner. `restore` puts back what was deployed."""

    def __init__(self, ecs: Any, deployment: Deployment) -> None:
        self._ecs = ecs
        self._names = {"cluster": deployment.cluster, "service": deployment.service}
        found = ecs.describe_services(cluster=deployment.cluster, services=[deployment.service])["services"][0]
        self._deployed = {"desiredCount": found["desiredCount"], "taskDefinition": found["taskDefinition"]}

    @property
    def definition(self) -> str:
        """The task definition that the service has now."""
        return str(self._describe()["taskDefinition"])

    @property
    def desired(self) -> int:
        """The desired count that the service has now."""
        return int(self._describe()["desiredCount"])

    def want(self, desired: int) -> None:
        """Set the desired count."""
        self._ecs.update_service(**self._names, desiredCount=desired)

    def deploy(self, **variables: str) -> str:
        """Give the service a new task definition, with some variables otherwise; its ARN."""
        definition = self._ecs.describe_task_definition(taskDefinition=self.definition)["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        told = {each["name"]: each["value"] for each in container["environment"]} | variables
        container["environment"] = [{"name": name, "value": value} for name, value in told.items()]
        kept = ("family", "containerDefinitions", "cpu", "memory", "networkMode", "requiresCompatibilities")
        made = self._ecs.register_task_definition(**{name: definition[name] for name in kept})
        arn = str(made["taskDefinition"]["taskDefinitionArn"])
        self._ecs.update_service(**self._names, taskDefinition=arn)
        return arn

    def restore(self) -> None:
        """As it was deployed."""
        self._ecs.update_service(**self._names, **self._deployed)

    def _describe(self) -> dict[str, Any]:
        found: dict[str, Any] = self._ecs.describe_services(
            cluster=self._names["cluster"], services=[self._names["service"]]
        )["services"][0]
        return found


@pytest.fixture
def service(deployment: Deployment, act_as: ActAs) -> Iterator[Service]:
    """The service of the workers; put back at the end."""
    found = Service(act_as(None).client("ecs"), deployment)
    yield found
    found.restore()
