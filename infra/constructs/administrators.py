"""The administrators: a topic that every alert on the bus and every alarm goes to, and the addresses that are told."""

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.event_bus import TransferEvents
from infra.environments import EnvironmentConfig
from pqtransfer.aws.alerts import ALERT_DETAIL_TYPE


class Administrators(Construct):
    """An encrypted topic. The bus and alarms may publish to it; each address has to confirm that it wants that."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, bus: TransferEvents, key: kms.IKey
    ) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(
            self, "Topic", display_name=f"pqtransfer {environment.name}: alerts", master_key=key, enforce_ssl=True
        )
        for address in environment.admin_emails:
            sns.Subscription(
                self,
                f"Email{environment.admin_emails.index(address)}",
                topic=self.topic,
                protocol=sns.SubscriptionProtocol.EMAIL,
                endpoint=address,
            )
        rule = events.CfnRule(
            self,
            "Alerts",
            description="Every alert goes to the administrators",
            event_bus_name=bus.name,
            event_pattern={"source": ["pqtransfer"], "detail-type": [ALERT_DETAIL_TYPE]},
            targets=[
                events.CfnRule.TargetProperty(
                    id="Administrators",
                    arn=self.topic.topic_arn,
                    dead_letter_config=bus.undelivered.configuration,
                )
            ],
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlertsOfThisBus",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}}
                if not environment.is_local
                else {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
