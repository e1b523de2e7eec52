"""From an event on the bus of the environment, or a schedule, to a function."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.event_bus import TransferEvents
from infra.constructs.python_function import PythonFunction


class BusRule(Construct):
    """Runs a function for each event of these types."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        bus: TransferEvents,
        bus_name: str,
        detail_types: Sequence[str],
        function: PythonFunction,
    ) -> None:
        super().__init__(scope, id)
        rule = events.CfnRule(
            self,
            "Rule",
            description=f"Runs {function.package_name} for {', '.join(detail_types)}",
            event_bus_name=bus_name,
            event_pattern={"detail-type": list(detail_types)},
            targets=[events.CfnRule.TargetProperty(id="Function", arn=function.function.function_arn)],
        )
        rule.node.add_dependency(bus.bus)
        _let_call(self, rule, function)


class ScheduleRule(Construct):
    """Runs a function every so often."""

    def __init__(
        self, scope: Construct, id: str, *, every: Duration, function: PythonFunction, body: Mapping[str, str]
    ) -> None:
        super().__init__(scope, id)
        rule = events.CfnRule(
            self,
            "Rule",
            description=f"Runs {function.package_name} every {every.to_human_string()}",
            schedule_expression=events.Schedule.rate(every).expression_string,
            targets=[
                events.CfnRule.TargetProperty(
                    id="Function", arn=function.function.function_arn, input=Stack.of(self).to_json_string(dict(body))
                )
            ],
        )
        _let_call(self, rule, function)


def _let_call(scope: Construct, rule: events.CfnRule, function: PythonFunction) -> None:
    lambda_.CfnPermission(
        scope,
        "Permission",
        action="lambda:InvokeFunction",
        function_name=function.function.function_name,
        principal="events.amazonaws.com",
        source_arn=rule.attr_arn,
    )
