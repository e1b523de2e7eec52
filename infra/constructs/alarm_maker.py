"""Makes alarms of CloudWatch. Each has a name that says what it is, and a page that says what to do."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.names import Names

PERIOD = Duration.minutes(5)


class AlarmMaker:
    """Makes alarms in `scope`. Alert processing hears of their changes, and tells people once for each cause.

    `topic`, the administrators, is told directly of what would keep alert processing itself from it; and of everything
    where alarms put no events on the bus (`all_direct`): on the embedded cloud.
    """

    def __init__(self, scope: Construct, *, names: Names, topic: sns.ITopic, all_direct: bool) -> None:
        self._scope = scope
        self._names = names
        self._action = actions.SnsAction(topic)
        self._all_direct = all_direct

    def make(
        self,
        id: str,
        runbook: str,
        metric: cloudwatch.IMetric,
        says: str,
        *,
        over: float | None = None,
        under: float | None = None,
        periods: int = 1,
        tells: bool = True,
        direct: bool = False,
    ) -> cloudwatch.Alarm:
        """An alarm when the metric is over, or under, a value in each of so many periods.

        Silence is good news where too much is looked for, and bad news where too little is. One that does not tell by
        itself (`tells`) is for a composite alarm. `direct`: about alert processing itself.
        """
        operators, missing = cloudwatch.ComparisonOperator, cloudwatch.TreatMissingData
        alarm = cloudwatch.Alarm(
            self._scope,
            id,
            alarm_name=self._names.alarm(id),
            metric=metric,
            threshold=under if over is None else over,
            comparison_operator=operators.LESS_THAN_THRESHOLD if over is None else operators.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=missing.BREACHING if over is None else missing.NOT_BREACHING,
            alarm_description=describe(says, runbook),
        )
        if tells and (direct or self._all_direct):
            alarm.add_alarm_action(self._action)
        return alarm

    def make_composite(self, id: str, runbook: str, *alarms: cloudwatch.IAlarm, says: str) -> None:
        """One alarm that tells when the first of `alarms` goes off, and not again until all are over."""
        composite = cloudwatch.CompositeAlarm(
            self._scope,
            id,
            composite_alarm_name=self._names.alarm(id),
            alarm_rule=cloudwatch.AlarmRule.any_of(*alarms),
            alarm_description=describe(says, runbook),
        )
        if self._all_direct:
            composite.add_alarm_action(self._action)


def describe(says: str, runbook: str) -> str:
    """What an alarm says of itself; its page is the last word."""
    return f"{says}; follow docs/runbooks/{runbook}.md"
