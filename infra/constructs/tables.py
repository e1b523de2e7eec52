"""The tables: transfers and their states, checkpoints of unfinished transfers, the registry of participants, which
containers need which keys, what is done about compromised keys, what was decided on the size of the fleet, and alerts.
"""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.grants import ENVELOPES_OF_TRANSFER
from infra.environments import EnvironmentConfig
from pqtransfer.aws.alert_store import DUE_INDEX
from pqtransfer.aws.transfer_items import (
    LISTED_ATTRIBUTES,
    LIVE_ATTRIBUTES,
    LIVE_INDEX,
    SENDER_INDEX,
    STATE_INDEX,
)

TRANSFER_INDEXES = (SENDER_INDEX, STATE_INDEX)
EXPIRY_ATTRIBUTE = "expires_at"


class Tables(Construct):
    """On demand, encrypted under our key, restorable to any second of the last 35 days."""

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, key: kms.IKey) -> None:
        super().__init__(scope, id)
        self._environment = environment
        self._key = key
        # A row here never expires: by it a request that comes again is known for what it is.
        self.transfers = self._make_table("Transfers", "transfer_id", stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES)
        for index, attribute, carried in (
            (SENDER_INDEX, "sender", LISTED_ATTRIBUTES),
            (STATE_INDEX, "state", LISTED_ATTRIBUTES),
            (LIVE_INDEX, "live", LIVE_ATTRIBUTES),
        ):
            self.transfers.add_global_secondary_index(
                index_name=index,
                partition_key=_text(attribute),
                sort_key=_text("submitted_at"),
                projection_type=dynamodb.ProjectionType.INCLUDE,
                non_key_attributes=list(carried),
            )
        self.checkpoints = self._make_table("Checkpoints", "transfer_id", sort_key="item", expires=True)
        self.participants = self._make_table("Participants", "participant", sort_key="item")
        self.envelopes = self._make_table("Envelopes", "key_id", sort_key="item")
        self.envelopes.add_global_secondary_index(
            index_name=ENVELOPES_OF_TRANSFER, partition_key=_text("transfer_id"), sort_key=_text("key_id")
        )
        self.incidents = self._make_table("Incidents", "incident_id", sort_key="item")
        self.decisions = self._make_table("Decisions", "service", sort_key="item", expires=True)
        self.alerts = self._make_table("Alerts", "alert_id", sort_key="item", expires=True)
        self.alerts.add_global_secondary_index(
            index_name=DUE_INDEX,
            partition_key=_text("due"),
            sort_key=dynamodb.Attribute(name="due_at", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )

    def _make_table(
        self,
        id: str,
        partition_key: str,
        *,
        sort_key: str | None = None,
        expires: bool = False,
        stream: dynamodb.StreamViewType | None = None,
    ) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            id,
            partition_key=_text(partition_key),
            sort_key=_text(sort_key) if sort_key else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self._key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._environment.retain_data,
            time_to_live_attribute=EXPIRY_ATTRIBUTE if expires else None,
            stream=stream,
            removal_policy=RemovalPolicy.RETAIN if self._environment.retain_data else RemovalPolicy.DESTROY,
        )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
