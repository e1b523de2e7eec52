"""How the fleet gets its size: a function that decides every minute, and at once when the queue is suddenly long."""

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from functions.decide_scaling.settings import DecideScalingSettings
from infra.constructs import audit_grants, grants, scaling_grants
from infra.constructs.function_triggers import ClockTrigger
from infra.constructs.python_function import PythonFunction
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.outputs import add_outputs
from infra.stacks.audit_log import AuditLogStack
from infra.stacks.control import ControlStack
from infra.stacks.fleet import FleetStack
from infra.stacks.storage import StorageStack

PARTS = ("crypto", "transfers", "audit", "operations", "scaling", "recording", "aws")


class ScalingStack(Stack):
    """Everything in it can be made again; what was decided stands in the storage stack."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        storage: StorageStack,
        audit: AuditLogStack,
        control: ControlStack,
        fleet: FleetStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        stores = storage.stores
        service = fleet.fleet.service
        decide = control.functions.make(
            self,
            DecideScalingSettings,
            parts=PARTS,
            values={
                "environment": environment.name,
                "cluster": fleet.fleet.cluster.cluster_name,
                "service": service.service_name,
                "queue_url": control.queue.requests.queue_url,
                "transfers_table": stores.transfers.table_name,
                "decisions_table": stores.decisions.table_name,
                "audit_queue_url": audit.store.queue.queue_url,
                "event_bus": names.event_bus,
                "workers_minimum": str(environment.workers_minimum),
                "workers_maximum": str(environment.workers_maximum),
                "queue_threshold": str(environment.queue_threshold),
                "drain_seconds": str(environment.drain_seconds),
                "settle_seconds": str(environment.settle_seconds),
                "worker_mb_per_second": str(environment.worker_mb_per_second),
            },
            statements=[
                *audit_grants.write_audit(audit.stores, self),
                *scaling_grants.scale_service(stores, self, names, service_name=service.service_name),
                *scaling_grants.see_workload(stores, queue_arn=control.queue.requests.queue_arn),
                scaling_grants.keep_decisions(stores),
                control.bus.put_events(),
                grants.use_data_key(stores, self, "dynamodb", "sqs"),
            ],
        )
        every_minute = events.Schedule.rate(Duration.minutes(1))
        ClockTrigger(self, "EveryMinute", function=decide, schedule=every_minute, payload={"action": "decide"})
        self._decide_at_once(environment, control, decide)
        iam.Policy(
            self,
            "OperatorsSeeDecisions",
            statements=[grants.use_table("SeeDecisions", stores.decisions, "Query")],
            roles=[control.roles.operator],
        )
        add_outputs(
            self,
            DecideScalingFunction=decide.function.function_name,
            WorkersMinimum=str(environment.workers_minimum),
            WorkersMaximum=str(environment.workers_maximum),
        )

    def _decide_at_once(self, environment: EnvironmentConfig, control: ControlStack, decide: PythonFunction) -> None:
        """A burst need not wait for the minute. Nobody is told of this alarm: the function is what it calls."""
        alarm = cloudwatch.Alarm(
            self,
            "QueueIsLong",
            metric=control.queue.requests.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            threshold=environment.queue_threshold * max(1, environment.workers_minimum),
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description="the queue is longer than its threshold: decide_scaling runs; "
            "follow docs/runbooks/fleet-at-limit.md",
        )
        events.Rule(
            self,
            "WhenQueueIsLong",
            description="Runs decide_scaling when the queue is longer than its threshold",
            event_pattern=events.EventPattern(
                source=["aws.cloudwatch"],
                detail_type=["CloudWatch Alarm State Change"],
                resources=[alarm.alarm_arn],
                detail={"state": {"value": ["ALARM"]}},
            ),
            targets=[targets.LambdaFunction(decide.function)],
        )
