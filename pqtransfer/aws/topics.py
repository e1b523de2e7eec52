"""The topic of the administrators: who subscribed by mail gets text, everybody else JSON."""

import re
from typing import Any

from pqtransfer.aws.failures import translated

SUBJECT_LIMIT = 100
_NOT_IN_SUBJECT = re.compile(r"[^\x20-\x7e]")


class AlertTopic:
    """An SNS topic."""

    def __init__(self, client: Any, *, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def publish(self, message: str, *, subject: str) -> None:
        """Publish a message with a text for each protocol.

        Raises:
            CloudError: the topic did not take it.
        """
        with translated(action="tell the administrators"):
            self._client.publish(
                TopicArn=self._topic_arn,
                Message=message,
                MessageStructure="json",
                Subject=_NOT_IN_SUBJECT.sub("?", subject)[:SUBJECT_LIMIT],
            )
