"""The bus that tells everyone who wants to know what happens to transfers."""

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.undelivered_events import UndeliveredEvents
from infra.environments import EnvironmentConfig
from infra.names import Names

EVENT_SOURCE = "pqtransfer"
"""What the functions of this system call themselves in their events."""


class TransferEvents(Construct):
    """A bus of our own, encrypted under the data key, whose policy names it; and what it could not deliver."""

    def __init__(
        self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names, key: kms.IKey
    ) -> None:
        super().__init__(scope, id)
        self._embedded = environment.is_local  # whose requests carry no condition keys
        self.undelivered = UndeliveredEvents(self, "Undelivered", environment=environment, key=key)
        self.name = names.event_bus
        # The L2 construct would add to the key's policy, and make the storage stack depend on this one.
        self.bus = events.CfnEventBus(self, "Bus", name=names.event_bus, kms_key_identifier=key.key_arn)

    def put_events(self) -> iam.PolicyStatement:
        """Put events on this bus, as this system and nobody else: none that reports a compromise."""
        return iam.PolicyStatement(
            sid="PutEvents",
            actions=["events:PutEvents"],
            resources=[self.bus.attr_arn],
            conditions={} if self._embedded else {"StringEquals": {"events:source": EVENT_SOURCE}},
        )
