"""Alarms on what workers and keys say of themselves, and on what the load balancer sees of them.

What is wrong with the workers comes together: a worker without memory is slow, and does not answer in time. So one
composite alarm tells of the first of them, and the others stand beside it. What is a matter of security tells at once,
by itself. (The embedded cloud's CloudFormation knows no composite alarms: there, each tells.)
"""

from aws_cdk import Duration
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from infra.constructs.alarm_maker import AlarmMaker
from infra.constructs.published_metrics import find_metric
from infra.environments import EnvironmentConfig
from pqtransfer.operations.metrics import (
    CPU_PERCENT,
    INTEGRITY_FINDINGS,
    KEY_EXCHANGE_FAILURES,
    KEY_RESTORES_FAILED,
    MEMORY_PERCENT,
    SLOW_TRANSFERS,
)

MEMORY_OVER_PERCENT = 80
CPU_OVER_PERCENT = 70
CPU_FOR_MINUTES = 5
UNHEALTHY_FOR_MINUTES = 2
DRILL_PERIOD = Duration.hours(1)


class WorkerAlarms(Construct):
    """The alarms of one environment's workers and keys."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        alarms: AlarmMaker,
        health: elb.ApplicationTargetGroup,
    ) -> None:
        super().__init__(scope, id)
        alone = not environment.composite_alarms
        struggles = [
            alarms.make(
                "transfer-slow",
                "transfer-slow",
                find_metric(SLOW_TRANSFERS, environment=environment, statistic="Maximum"),
                "a transfer is under 100 MB/s, though its source could deliver more",
                over=0,
                tells=alone,
            ),
            alarms.make(
                "memory-high",
                "memory-high",
                find_metric(MEMORY_PERCENT, environment=environment, statistic="Maximum"),
                f"a worker uses more than {MEMORY_OVER_PERCENT} % of its memory",
                over=MEMORY_OVER_PERCENT,
                tells=alone,
            ),
            alarms.make(
                "cpu-high",
                "cpu-high",
                find_metric(CPU_PERCENT, environment=environment, statistic="Average"),
                f"the workers have used more than {CPU_OVER_PERCENT} % of their CPU for {CPU_FOR_MINUTES} minutes",
                over=CPU_OVER_PERCENT,
                periods=CPU_FOR_MINUTES,
                tells=alone,
            ),
            alarms.make(
                "worker-unhealthy",
                "worker-unhealthy",
                health.metrics.unhealthy_host_count(period=Duration.minutes(1), statistic="Maximum"),
                "a worker does not answer its health check",
                over=0,
                periods=UNHEALTHY_FOR_MINUTES,
                tells=alone,
            ),
        ]
        if not alone:
            alarms.make_composite(
                "workers-in-trouble",
                "workers-in-trouble",
                *struggles,
                says="something is wrong with the workers: the first of the alarms beside this one says what",
            )
        alarms.make(
            "key-exchange-failed",
            "key-exchange-failed",
            find_metric(KEY_EXCHANGE_FAILURES, environment=environment, statistic="Sum"),
            "a worker could not wrap a data key to a recipient, or not unwrap one",
            over=0,
        )
        alarms.make(
            "audit-log-tampered",
            "audit-log-tampered",
            find_metric(
                INTEGRITY_FINDINGS, environment=environment, statistic="Maximum", service="check_audit_integrity"
            ),
            "the check of the audit log has found something",
            over=0,
        )
        alarms.make(
            "key-restore-failed",
            "key-restore-failed",
            find_metric(
                KEY_RESTORES_FAILED,
                environment=environment,
                statistic="Sum",
                service="drill_key_restore",
                period=DRILL_PERIOD,
            ),
            "a key did not come back from its backup in a drill",
            over=0,
        )
