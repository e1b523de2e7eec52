"""What starts a function: the clock, or an event on our bus."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.python_function import PythonFunction


class ClockTrigger(Construct):
    """Runs a function every so often, with `payload`."""

    def __init__(
        self, scope: Construct, id: str, *, function: PythonFunction, every: Duration, payload: Mapping[str, Any]
    ) -> None:
        super().__init__(scope, id)
        events.Rule(
            self,
            "Rule",
            description=f"Runs {function.function.node.path}",
            schedule=events.Schedule.rate(every),
            targets=[
                targets.LambdaFunction(function.function, event=events.RuleTargetInput.from_object(dict(payload)))
            ],
        )


class BusTrigger(Construct):
    """Runs a function for each event of a kind on our bus."""

    def __init__(self, scope: Construct, id: str, *, function: PythonFunction, bus_name: str, detail_type: str) -> None:
        super().__init__(scope, id)
        rule = events.CfnRule(
            self,
            "Rule",
            description=f"{detail_type} runs {function.function.node.path}",
            event_bus_name=bus_name,
            event_pattern={"source": ["pqtransfer"], "detail-type": [detail_type]},
            targets=[events.CfnRule.TargetProperty(id="Function", arn=function.function.function_arn)],
        )
        function.function.add_permission(
            "FromBus",
            principal=iam.ServicePrincipal("events.amazonaws.com"),
            source_arn=rule.attr_arn,
            source_account=Stack.of(self).account,
        )
