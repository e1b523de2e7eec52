"""The alarms on everything else, and the dashboard. It comes last, and nothing needs it."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.alarm_maker import AlarmMaker
from infra.constructs.alarms import Alarms, find_functions, find_queues
from infra.constructs.dashboard import Dashboard
from infra.constructs.worker_alarms import WorkerAlarms
from infra.environments import EnvironmentConfig
from infra.names import Names

WITNESS_RUNS_WITHIN = Duration.minutes(15)
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
            "witness_checkpoint": WITNESS_RUNS_WITHIN,
            "check_audit_integrity": Duration.minutes(
                min(CHECKS_MISSED * environment.audit_check_minutes, PERIOD_AT_MOST_MINUTES)
            ),
        }
        # The embedded cloud counts no invocations: everything would be silent there.
        alarms = AlarmMaker(self, names=names, topic=topic)
        Alarms(
            self,
            "Alarms",
            stacks=watched,
            alarms=alarms,
            runs_within={} if environment.is_local else runs_within,
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
