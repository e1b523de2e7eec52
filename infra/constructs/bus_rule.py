"""From an event on the bus of the environment, or a schedule, to a function."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.event_bus import TransferEvents
from infra.constructs.python_function import PythonFunction
from infra.constructs.stream_trigger import StreamFailures

EVENT_AGE_MAX_HOURS = 6
RETRY_ATTEMPTS = 2
"""The most that Lambda knows for events."""


class BusRule(Construct):
    """Runs a function for each event of these types from this source; what fails in the end is kept in `failures`.

    The function needs `failures.report()`: Lambda writes there in its name.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        bus: TransferEvents,
        bus_name: str,
        source: str,
        detail_types: Sequence[str],
        function: PythonFunction,
        failures: StreamFailures,
    ) -> None:
        super().__init__(scope, id)
        rule = events.CfnRule(
            self,
            "Rule",
            description=f"Runs {function.package_name} for {', '.join(detail_types)}",
            event_bus_name=bus_name,
            event_pattern={"source": [source], "detail-type": list(detail_types)},
            targets=[events.CfnRule.TargetProperty(id="Function", arn=function.function.function_arn)],
        )
        rule.node.add_dependency(bus.bus)
        _let_call(self, rule, function)
        lambda_.CfnEventInvokeConfig(
            self,
            "Tries",
            function_name=function.function.function_name,
            qualifier="$LATEST",
            maximum_event_age_in_seconds=EVENT_AGE_MAX_HOURS * 3600,
            maximum_retry_attempts=RETRY_ATTEMPTS,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=failures.queue.queue_arn)
            ),
        )


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
