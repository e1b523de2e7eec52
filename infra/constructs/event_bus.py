"""The bus that tells everyone who wants to know what happens to transfers."""

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.names import Names


class TransferEvents(Construct):
    """A bus of our own. Its events are encrypted under the data key, which names it in its policy."""

    def __init__(self, scope: Construct, id: str, *, names: Names, key: kms.IKey) -> None:
        super().__init__(scope, id)
        # The L2 construct would add to the key's policy, and make the storage stack depend on this one.
        self.bus = events.CfnEventBus(self, "Bus", name=names.event_bus, kms_key_identifier=key.key_arn)

    def put_events(self) -> iam.PolicyStatement:
        """Put events on this bus."""
        return iam.PolicyStatement(sid="PutEvents", actions=["events:PutEvents"], resources=[self.bus.attr_arn])
