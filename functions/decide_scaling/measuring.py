"""What was seen of the queue, as metrics. What could not be learned has no number."""

from pqtransfer.operations.metrics import BYTES_WAITING, MESSAGES_IN_FLIGHT, MESSAGES_WAITING, QUEUE_AGE, Metric
from pqtransfer.scaling.observing import Observation


def measure_queue(seen: Observation) -> dict[Metric, float]:
    """Messages and bytes that wait, and for how long the oldest has.

    Those that have waited longest stand for the others: bytes are as many messages of their mean known size.
    """
    values: dict[Metric, float] = {}
    if seen.messages_waiting is not None:
        values[MESSAGES_WAITING] = seen.messages_waiting
    if seen.messages_in_flight is not None:
        values[MESSAGES_IN_FLIGHT] = seen.messages_in_flight
    if seen.oldest_waiting is None:
        return values
    oldest = min((each.submitted_at for each in seen.oldest_waiting), default=seen.at)
    values[QUEUE_AGE] = max(0.0, (seen.at - oldest).total_seconds())
    sizes = [each.size_bytes for each in seen.oldest_waiting if each.size_bytes is not None]
    if seen.messages_waiting is not None and (sizes or seen.messages_waiting == 0):
        values[BYTES_WAITING] = seen.messages_waiting * sum(sizes) / max(1, len(sizes))
    return values
