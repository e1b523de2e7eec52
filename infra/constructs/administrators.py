"""The administrators: a topic that alert processing and alarms publish to, and the addresses that are told."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.buckets import NO_TLS_REASON
from infra.environments import EnvironmentConfig
from infra.validation import acknowledge


class Administrators(Construct):
    """An encrypted topic. Alarms may publish, and who may by a role; each address has to confirm that it wants it."""

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, key: kms.IKey) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(
            self,
            "Topic",
            display_name=f"pqtransfer {environment.name}: alerts",
            master_key=key,
            enforce_ssl=environment.require_tls,
        )
        if not environment.require_tls:
            acknowledge(self.topic, {"SNS3": NO_TLS_REASON})
        for address in environment.admin_emails:
            sns.Subscription(
                self,
                f"Email{environment.admin_emails.index(address)}",
                topic=self.topic,
                protocol=sns.SubscriptionProtocol.EMAIL,
                endpoint=address,
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
