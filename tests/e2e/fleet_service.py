"""The ECS service of the workers in the hands of the account's owner, and the function that scales it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pqtransfer.aws.scaling_history import DynamoDecisionHistory
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.transfers.stage import wait_for

FAR_FROM_THE_NEXT = timedelta(seconds=35)
"""Of a minute."""


class Service:
    """The ECS service, in the hands of the account's owner. `restore` puts back what was deployed."""

    def __init__(self, owner: CloudSession, deployment: Deployment) -> None:
        self._ecs = ecs = owner.client("ecs")
        self._lambda, self._events = owner.client("lambda"), owner.client("events")
        self._cloudwatch = owner.client("cloudwatch")
        self._decisions = owner.resource("dynamodb").Table(deployment.decisions_table)
        self._function = deployment.functions.decide_scaling
        self._history = DynamoDecisionHistory(self._decisions, service=deployment.service)
        self._cloudformation = owner.client("cloudformation")
        self._stack = f"PqtransferScaling-{deployment.environment}"
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
        container.pop("healthCheck", None)  # the embedded cloud spells it as the template does, and runs no container
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

    def decide(self) -> dict[str, Any]:
        """Run the deployed `decide_scaling` now; its answer."""
        answer = self._lambda.invoke(FunctionName=self._function, Payload=b"{}")
        told: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, told
        return told

    @contextmanager
    def scaling_held(self) -> Iterator[None]:
        """No decision but those that a test asks for. It begins between two runs of the clock, so that none is left."""
        arn = self._lambda.get_function(FunctionName=self._function)["Configuration"]["FunctionArn"]
        rules = self._events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
        assert rules
        wait_for("a moment between two runs", lambda: self._is_between_runs() or None)
        for rule in rules:
            self._events.disable_rule(Name=rule)
        try:
            yield
        finally:
            for rule in rules:
                self._events.enable_rule(Name=rule)

    def _is_between_runs(self) -> bool:
        """The clock starts a run a minute after the rule was made, and each minute then: the last one is through, and
        the next is not due.
        """
        now = datetime.now(UTC)
        (stack,) = self._cloudformation.describe_stacks(StackName=self._stack)["Stacks"]
        if now - stack["CreationTime"] < FAR_FROM_THE_NEXT:
            return True
        last = self._history.read_recent(limit=1)
        return bool(last) and last[0].decision.applied and now - last[0].decision.at < FAR_FROM_THE_NEXT

    def forget(self) -> None:
        """Forget every decision: what is set from here on is nobody's hand."""
        for item in self._decisions.scan(
            ProjectionExpression="service, #item", ExpressionAttributeNames={"#item": "item"}
        )["Items"]:
            self._decisions.delete_item(Key=item)

    def put_cpu(self, percent: list[float], *, weight: float = 1e6) -> None:
        """What ECS says of the service's CPU, minute by minute up to now; and that it has moved nothing.

        `weight`: how often each value counts, so that what a fleet has really measured before does not.
        """
        at = datetime.now(UTC)
        dimensions = [
            {"Name": "ClusterName", "Value": self._names["cluster"]},
            {"Name": "ServiceName", "Value": self._names["service"]},
        ]
        for ago, value in enumerate(reversed(percent)):
            when = at - timedelta(minutes=ago)
            self._put("AWS/ECS", "CPUUtilization", dimensions, when, value, weight)
            self._put("ECS/ContainerInsights", "NetworkTxBytes", dimensions, when, 0.0, weight)

    def _put(
        self, namespace: str, name: str, dimensions: list[dict[str, str]], at: datetime, value: float, weight: float
    ) -> None:
        statistics = {"SampleCount": weight, "Sum": value * weight, "Minimum": value, "Maximum": value}
        datum = {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "StatisticValues": statistics}
        self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])
