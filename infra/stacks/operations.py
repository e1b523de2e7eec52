"""What is done about alerts: events of both buses go to one queue, and from there to the function that decides."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk.aws_events import Schedule
from constructs import Construct

from functions.process_alerts.settings import ProcessAlertsSettings
from infra.constructs import audit_grants, grants, operations_grants
from infra.constructs.event_bus import EVENT_SOURCE
from infra.constructs.function_triggers import ClockTrigger
from infra.constructs.python_function import PythonFunction
from infra.constructs.wildcards import acknowledge_wildcards
from infra.constructs.work_queue import WorkQueue
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.outputs import add_outputs
from infra.stacks.audit_log import AuditLogStack
from infra.stacks.control import ControlStack
from infra.stacks.storage import StorageStack
from pqtransfer.aws.transfer_items import STATE_INDEX

PARTS = ("crypto", "keys", "transfers", "audit", "operations", "recording", "aws")
FUNCTION_SECONDS = 120
MEMORY_MIB = 512
RECEIVES_AT_MOST = 20
AT_ONCE = 5
"""Runs for events: an alert is one row, and more at once would only wait for each other."""
ECS_DETAIL_TYPES = ("ECS Deployment State Change", "ECS Service Action")


class OperationsStack(Stack):
    """Everything in it can be made again; alerts stand in the storage stack."""

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
        topic: sns.ITopic,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self._environment, self._names = environment, names
        self._storage, self._audit, self._control = storage, audit, control
        self._queue = WorkQueue(
            self,
            "Events",
            environment=environment,
            key=storage.stores.data_key,
            function_seconds=FUNCTION_SECONDS,
            receives_at_most=RECEIVES_AT_MOST,
        )
        process = self._make_function(topic)
        self._queue.trigger(process.function, at_once=None if environment.is_local else AT_ONCE)
        every_minute = Schedule.rate(Duration.minutes(1))
        ClockTrigger(self, "EveryMinute", function=process, schedule=every_minute, payload={"action": "tick"})
        self._send_events()
        self._let_operators_order(process)
        add_outputs(
            self,
            ProcessAlertsFunction=process.function.function_name,
            AlertEventsQueueUrl=self._queue.messages.queue_url,
        )

    def _make_function(self, topic: sns.ITopic) -> PythonFunction:
        stores = self._storage.stores
        return self._control.functions.make(
            self,
            ProcessAlertsSettings,
            parts=PARTS,
            values={
                "environment": self._environment.name,
                "alerts_table": stores.alerts.table_name,
                "transfers_table": stores.transfers.table_name,
                "alerts_topic_arn": topic.topic_arn,
                "channels_id": self._names.alert_channels,
                "webhook_hosts": ",".join(self._environment.alert_webhook_hosts),
                "event_bus": self._names.event_bus,
                "audit_queue_url": self._audit.stores.queue.queue_url,
                "queue_url": self._control.queue.requests.queue_url,
                "dead_letter_queue_url": self._control.queue.dead_letters.queue_url,
                "cluster": self._names.prefix,
            },
            statements=[
                *audit_grants.write_audit(self._audit.stores, self),
                *operations_grants.keep_alerts(stores),
                *operations_grants.tell_administrators(stores, self, topic, self._audit.stores.key),
                operations_grants.read_channels(self, self._names),
                *operations_grants.recover(self, self._names, self._control.queue, embedded=self._environment.is_local),
                grants.query_indexes("FindStalled", stores.transfers, [STATE_INDEX]),
                grants.use_table("ReadStalled", stores.transfers, "BatchGetItem"),
                self._queue.work_off("WorkOffEvents"),
                self._control.bus.put_events(),
                grants.use_data_key(stores, self, "sqs", "dynamodb", "events", "secretsmanager"),
            ],
            memory_mib=MEMORY_MIB,
            timeout_seconds=FUNCTION_SECONDS,
        )

    def _send_events(self) -> None:
        """What alerts are made of: of this environment alone where events say of which they are."""
        prefix = self._names.prefix
        arn = f"arn:aws:ecs:{self.region}:{self.account}"
        ours = self._names.event_bus
        ecs = ["aws.ecs", "embedded.ecs"] if self._environment.is_local else ["aws.ecs"]
        rules = [
            self._rule("Alerts", {"source": [EVENT_SOURCE], "detail-type": ["AlertRaised"]}, bus_name=ours),
            self._rule(
                "FailedTransfers",
                {
                    "source": [EVENT_SOURCE],
                    "detail-type": ["TransferStateChanged"],
                    "detail": {"state": ["FAILED"]},
                },
                bus_name=ours,
            ),
            self._rule(
                "Alarms",
                {
                    "source": ["aws.cloudwatch"],
                    "detail-type": ["CloudWatch Alarm State Change"],
                    # Of those with a name of ours: one without calls a function, and nobody.
                    "detail": {"alarmName": [{"prefix": f"{prefix}-"}]},
                },
            ),
            self._rule(
                "Tasks",
                {
                    "source": ecs,
                    "detail-type": ["ECS Task State Change"],
                    "detail": {"clusterArn": [f"{arn}:cluster/{prefix}"]},
                },
            ),
            self._rule(
                "Services",
                {
                    "source": ecs,
                    "detail-type": list(ECS_DETAIL_TYPES),
                    "resources": [{"prefix": f"{arn}:service/{prefix}/"}],
                },
            ),
            self._rule("Findings", {"source": ["aws.guardduty"], "detail-type": ["GuardDuty Finding"]}),
            self._rule("Vulnerabilities", {"source": ["aws.inspector2"], "detail-type": ["Inspector2 Finding"]}),
        ]
        self._let_rules_send(rules)

    def _rule(self, id: str, pattern: Mapping[str, Any], *, bus_name: str | None = None) -> events.CfnRule:
        rule = events.CfnRule(
            self,
            id,
            description=f"{id} are processed as alerts",
            event_bus_name=bus_name,
            event_pattern=pattern,
            targets=[
                events.CfnRule.TargetProperty(
                    id="Queue",
                    arn=self._queue.messages.queue_arn,
                    dead_letter_config=self._control.bus.undelivered.configuration,
                )
            ],
        )
        if bus_name is not None:
            rule.node.add_dependency(self._control.bus.bus)
        return rule

    def _let_rules_send(self, rules: Sequence[events.CfnRule]) -> None:
        self._queue.messages.add_to_resource_policy(
            iam.PolicyStatement(
                sid="RulesOfThisStack",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self._queue.messages.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": [each.attr_arn for each in rules]}},
            )
        )

    def _let_operators_order(self, process: PythonFunction) -> None:
        """Operators see alerts, and acknowledge and silence them by the function alone."""
        statements = [
            iam.PolicyStatement(
                sid="OrderAlerts", actions=["lambda:InvokeFunction"], resources=[process.function.function_arn]
            ),
            *operations_grants.watch_alerts(self._storage.stores),
        ]
        policy = iam.Policy(self, "Operators", statements=statements, roles=[self._control.roles.operator])
        acknowledge_wildcards(policy, statements)
