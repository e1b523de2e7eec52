"""The alarms on everything else, and the dashboard. It comes last, and nothing needs it."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.alarm_maker import AlarmMaker
from infra.constructs.alarms import ALERT_FUNCTION, DAY, Alarms, find_functions, find_queues
from infra.constructs.dashboard import Dashboard
from infra.constructs.published_metrics import find_metric
from infra.constructs.worker_alarms import WorkerAlarms
from infra.environments import EnvironmentConfig
from infra.names import Names
from pqtransfer.operations.metrics import CLOCK_RUNS, DRILLS_FINISHED

MINUTES_MISSED = Duration.minutes(10)
"""Of what the clock starts every minute."""
WITNESS_RUNS_WITHIN = Duration.minutes(15)
WEEK = Duration.days(7)
CHECKS_MISSED = 3
PERIOD_AT_MOST_MINUTES = 24 * 60
"""Of CloudWatch. Within it the check of everything has run, too."""


class AlarmsStack(Stack):
    """Who looks after those that look after the log: alarms that no function has to raise."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        watched: Sequence[Stack],
        topic: sns.ITopic,
        health: elb.ApplicationTargetGroup,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        runs_within = {
            "decide_scaling": MINUTES_MISSED,
            "witness_checkpoint": WITNESS_RUNS_WITHIN,
            "check_audit_integrity": Duration.minutes(
                min(CHECKS_MISSED * environment.audit_check_minutes, PERIOD_AT_MOST_MINUTES)
            ),
            "archive_audit_log": Duration.days(2),
            "rotate_keys": Duration.hours(3),
            "index_envelopes": Duration.hours(3),
            "respond_to_compromise": Duration.hours(1),
        }
        drilled = find_metric(
            DRILLS_FINISHED, environment=environment, service="drill_key_restore", statistic="Sum", period=DAY
        )
        # Events start it, too, so that its runs say nothing of the clock's.
        ticked = find_metric(
            CLOCK_RUNS, environment=environment, service=ALERT_FUNCTION, statistic="Sum", period=MINUTES_MISSED
        )
        finishes_within = {"drill_key_restore": (drilled, WEEK), ALERT_FUNCTION: (ticked, MINUTES_MISSED)}
        # The embedded cloud counts no invocations: everything would be silent there.
        alarms = AlarmMaker(self, names=names, topic=topic, all_direct=environment.is_local)
        Alarms(
            self,
            "Alarms",
            stacks=watched,
            alarms=alarms,
            runs_within={} if environment.is_local else runs_within,
            finishes_within={} if environment.is_local else finishes_within,
        )
        Dashboard(
            self,
            "Dashboard",
            environment=environment,
            names=names,
            functions=list(find_functions(watched)),
            queues=list(find_queues(watched)),
            health=health,
        )
        WorkerAlarms(self, "WorkerAlarms", environment=environment, alarms=alarms, health=health)
