"""The secret that says over which channels people are told: empty until an operator fills it in."""

from aws_cdk import RemovalPolicy, SecretValue
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.validation import acknowledge

NO_CHANNELS = '{"channels": []}'


class AlertChannels(Construct):
    """Addresses and keys of Slack, PagerDuty and other webhooks. Deploying again does not touch what stands in it."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names, key: kms.IKey
    ) -> None:
        super().__init__(scope, id)
        self.secret = secretsmanager.CfnSecret(
            self,
            "Secret",
            name=names.alert_channels,
            description="Over which channels people are told of alerts (docs/runbooks/notification-failed.md)",
            kms_key_id=key.key_arn,
            # Not a secret: that there is no channel yet.
            secret_string=SecretValue.unsafe_plain_text(NO_CHANNELS).unsafe_unwrap(),
        )
        self.secret.apply_removal_policy(RemovalPolicy.RETAIN if environment.retain_data else RemovalPolicy.DESTROY)
        acknowledge(self.secret, {"SMG4": "Others give out these addresses and keys: they are replaced there first."})
