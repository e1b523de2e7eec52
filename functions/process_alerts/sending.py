"""Sends a page over its channel: the topic of the administrators, or a webhook in the words of its service."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pqtransfer.aws.topics import AlertTopic
from pqtransfer.aws.webhooks import DELIVERY_HEADER, WebhookClient, sign_webhook
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.channels import EMAIL_CHANNEL, Channel, Sent
from pqtransfer.operations.deliveries import ChannelKind, Delivery
from pqtransfer.operations.notifications import (
    write_document,
    write_pagerduty,
    write_slack,
    write_title,
    write_topic_message,
)


@dataclass(frozen=True)
class ChannelSender:
    """`Sender` over every channel that is configured; `channels` is None while nobody can say which are."""

    environment: str
    topic: AlertTopic
    webhooks: WebhookClient
    channels: Mapping[str, Channel] | None

    def send(self, record: AlertRecord, delivery: Delivery) -> Sent:
        if delivery.channel == EMAIL_CHANNEL:
            return self._publish(record, delivery)
        if self.channels is None:
            return Sent(error="the channels of alerts cannot be read now")
        channel = self.channels.get(delivery.channel)
        if channel is None:
            return Sent(error="it is not configured any more", is_final=True)
        delivery_id = name_delivery(record, delivery)
        if channel.kind is ChannelKind.PAGERDUTY:
            key = channel.routing_key.reveal().decode() if channel.routing_key else ""
            event = write_pagerduty(record, delivery, environment=self.environment, routing_key=key)
            return self.webhooks.post(channel.address, event)
        if channel.kind is ChannelKind.SLACK:
            message = write_slack(record, delivery, environment=self.environment)
            return self.webhooks.post(channel.address, message, headers={DELIVERY_HEADER: delivery_id})
        body = json.dumps(write_document(record, delivery, environment=self.environment)).encode()
        headers = {}
        if channel.secret is not None:
            headers = sign_webhook(channel.secret, delivery_id=delivery_id, body=body, at=datetime.now(UTC))
        return self.webhooks.post_bytes(channel.address, body, headers=headers)

    def _publish(self, record: AlertRecord, delivery: Delivery) -> Sent:
        try:
            self.topic.publish(
                write_topic_message(record, delivery, environment=self.environment),
                subject=write_title(record, delivery, environment=self.environment),
            )
        except PqtransferError as error:
            return Sent(error=f"{error.code}: {error}"[:256])
        return Sent()


def name_delivery(record: AlertRecord, delivery: Delivery) -> str:
    """The same for the same page over the same channel, however often it is tried."""
    return f"{delivery.occurrence or record.occurrence}-{delivery.number}-{delivery.channel}"
