"""What starts a function: the clock, or an event on the bus of the environment."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.event_bus import EVENT_SOURCE, TransferEvents
from infra.constructs.python_function import PythonFunction
from infra.constructs.stream_trigger import StreamFailures

EVENT_AGE_MAX_HOURS = 6
RETRY_ATTEMPTS = 2
"""The most that Lambda knows for events."""


class ClockTrigger(Construct):
    """Runs a function whenever `schedule` says, with `payload`."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        function: PythonFunction,
        schedule: events.Schedule,
        payload: Mapping[str, Any],
    ) -> None:
        super().__init__(scope, id)
        when = schedule.expression_string
        rule = events.CfnRule(
            self,
            "Rule",
            description=f"Runs {function.package_name}: {when}",
            schedule_expression=when,
            targets=[_target(function, input=Stack.of(self).to_json_string(dict(payload)))],
        )
        _let_call(self, rule, function)


class BusTrigger(Construct):
    """Runs a function for each event of this type from this source, ours if none is named.

    What does not reach the function is kept in the bus's dead-letter queue; what the function fails at in the end, in
    `failures`, where they are given. The function needs `failures.report()` then:
    Lambda writes there in its name.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        function: PythonFunction,
        bus: TransferEvents,
        detail_type: str,
        source: str = EVENT_SOURCE,
        failures: StreamFailures | None = None,
    ) -> None:
        super().__init__(scope, id)
        rule = events.CfnRule(
            self,
            "Rule",
            description=f"Runs {function.package_name} for {detail_type}",
            event_bus_name=bus.name,
            event_pattern={"source": [source], "detail-type": [detail_type]},
            targets=[_target(function, dead_letter_config=bus.undelivered.configuration)],
        )
        rule.node.add_dependency(bus.bus)
        _let_call(self, rule, function)
        if failures is not None:
            self._keep_failures(function, failures)

    def _keep_failures(self, function: PythonFunction, failures: StreamFailures) -> None:
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


def _target(
    function: PythonFunction,
    *,
    input: str | None = None,
    dead_letter_config: events.CfnRule.DeadLetterConfigProperty | None = None,
) -> events.CfnRule.TargetProperty:
    return events.CfnRule.TargetProperty(
        id="Function", arn=function.function.function_arn, input=input, dead_letter_config=dead_letter_config
    )


def _let_call(scope: Construct, rule: events.CfnRule, function: PythonFunction) -> None:
    lambda_.CfnPermission(
        scope,
        "Permission",
        action="lambda:InvokeFunction",
        function_name=function.function.function_name,
        principal="events.amazonaws.com",
        source_arn=rule.attr_arn,
    )
