"""Alarms of CloudWatch on what says nothing by itself: a function that fails or is silent, a queue that nobody drains.

An alert is raised by code that runs. Whoever stops a function, or takes its role away, stops its alerts too: an alarm
does not depend on it. Every function and every queue of the given stacks has its alarms; none is left out by being new.
"""

from collections.abc import Iterator, Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alarm_maker import PERIOD, AlarmMaker
from infra.constructs.python_function import PythonFunction

AUDIT_WAITS_AT_MOST = Duration.minutes(10)
"""What a witness and a check are given as well, before the log counts as stale."""
ALERTS_WAIT_AT_MOST = Duration.minutes(5)
WORK_WAITS_AT_MOST = Duration.hours(2)
DAY = Duration.days(1)
ALERT_FUNCTION = "process_alerts"
ALERT_QUEUES = frozenset({"Events-Messages", "Events-DeadLetters", "Events-Undelivered-Queue"})
"""What people are told of without alert processing: that it does not work."""


class Alarms(Construct):
    """Alarms for everything in `stacks`.

    Args:
        stacks: where functions and queues are looked for.
        alarms: makes them.
        runs_within: of functions that the clock starts, by name: within what time one run has to be seen.
        finishes_within: of those of which a run is not enough, by name: the metric that says that the work is done.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stacks: Sequence[Stack],
        alarms: AlarmMaker,
        runs_within: Mapping[str, Duration],
        finishes_within: Mapping[str, tuple[cloudwatch.IMetric, Duration]] | None = None,
    ) -> None:
        super().__init__(scope, id)
        self._alarms = alarms
        for function in find_functions(stacks):
            self._watch_function(function, runs_within.get(function.package_name))
        for name, (metric, within) in (finishes_within or {}).items():
            self._alarms.make(
                f"{name}-unfinished",
                "function-silent",
                metric,
                f"the function {name} has not come to its end for {say_time(within)}",
                under=1,
                periods=count_periods(within),
                direct=name == ALERT_FUNCTION,
            )
        for queue in find_queues(stacks):
            self._watch_queue(queue)

    def _watch_function(self, function: PythonFunction, runs_within: Duration | None) -> None:
        name = function.package_name
        failing = function.function.metric_errors(period=PERIOD, statistic="Sum")
        self._alarms.make(
            f"{name}-failing",
            "function-failing",
            failing,
            f"the function {name} fails",
            over=0,
            direct=name == ALERT_FUNCTION,
        )
        if runs_within is None:
            return
        self._alarms.make(
            f"{name}-silent",
            "function-silent",
            function.function.metric_invocations(period=shorten_period(runs_within), statistic="Sum"),
            f"the function {name} has not run for {runs_within.to_minutes():.0f} minutes",
            under=1,
            periods=count_periods(runs_within),
        )

    def _watch_queue(self, queue: sqs.Queue) -> None:
        """One without a dead-letter queue is one: what is in it was given up."""
        path = queue.node.path.partition("/")[2].replace("/", "-")
        direct = path in ALERT_QUEUES
        if queue.dead_letter_queue is None:
            given_up = queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum")
            self._alarms.make(
                f"{path}-given-up",
                "messages-given-up",
                given_up,
                f"messages were given up: {path}",
                over=0,
                direct=direct,
            )
            return
        at_most = AUDIT_WAITS_AT_MOST if queue.fifo else ALERTS_WAIT_AT_MOST if direct else WORK_WAITS_AT_MOST
        age = queue.metric_approximate_age_of_oldest_message(period=PERIOD, statistic="Maximum")
        says = f"a message of {path} has waited for more than {at_most.to_minutes():.0f} minutes"
        self._alarms.make(f"{path}-waiting", "messages-waiting", age, says, over=at_most.to_seconds(), direct=direct)


def shorten_period(within: Duration) -> Duration:
    """The period of an alarm that waits so long: CloudWatch has none of more than a day."""
    return Duration.minutes(min(within.to_minutes(), DAY.to_minutes()))


def count_periods(within: Duration) -> int:
    """How many such periods that is. All of them must be silent: CloudWatch looks back for a week at most."""
    return max(1, round(within.to_minutes() / DAY.to_minutes()))


def say_time(within: Duration) -> str:
    """In days, or in minutes where it is less than one."""
    days = within.to_days(integral=False)
    return f"{days:.0f} days" if days >= 1 else f"{within.to_minutes():.0f} minutes"


def find_functions(stacks: Sequence[Stack]) -> Iterator[PythonFunction]:
    """Every function of the stacks."""
    for stack in stacks:
        yield from (each for each in stack.node.find_all() if isinstance(each, PythonFunction))


def find_queues(stacks: Sequence[Stack]) -> Iterator[sqs.Queue]:
    """Every queue of the stacks."""
    for stack in stacks:
        yield from (each for each in stack.node.find_all() if isinstance(each, sqs.Queue))
