"""Metrics as lines of the log in CloudWatch's embedded metric format, serialized by Powertools.

CloudWatch makes metrics of these lines by itself: who publishes needs no call, no permission and no waiting. One line
holds up to 100 metrics with up to 100 values each, and whatever else is worth knowing beside them (`facts`).
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from pqtransfer.operations.metrics import (
    ENVIRONMENT_DIMENSION,
    ERROR_DIMENSION,
    NAMESPACE,
    SERVICE_DIMENSION,
    VALUES_AT_MOST,
    Metric,
)

Values: TypeAlias = float | Sequence[float]


def write_line(line: str) -> None:
    """One line on standard output, whole, and at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class EmbeddedMetrics:
    """Publishes metrics of one service of one environment. Each call writes its own lines, from any thread."""

    def __init__(self, *, environment: str, service: str, write: Callable[[str], None] = write_line) -> None:
        self._dimensions = {ENVIRONMENT_DIMENSION: environment, SERVICE_DIMENSION: service}
        self._write = write

    def put(
        self, values: Mapping[Metric, Values], *, facts: Mapping[str, Any] | None = None, error: str | None = None
    ) -> None:
        """Publish `values`; with `error`, also by that dimension.

        Of more than 100 values of a metric, 100 are published, spread over all of them.
        """
        provider = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, default_dimensions=dict(self._dimensions))
        if error is not None:
            provider.add_dimensions(**self._dimensions, **{ERROR_DIMENSION: error})
        definitions: dict[str, Any] = {
            metric.name: {"Unit": metric.unit.value, "StorageResolution": 60, "Value": some}
            for metric, value in values.items()
            if (some := _thin([float(value)] if isinstance(value, int | float) else value))
        }
        if not definitions:
            return
        line = provider.serialize_metric_set(
            metrics=definitions, dimensions=provider.dimension_set, metadata=dict(facts or {})
        )
        self._write(json.dumps(line, separators=(",", ":")))


def _thin(values: Sequence[float]) -> list[float]:
    """At most as many as one line takes: evenly from the sorted ones, first and last among them."""
    if len(values) <= VALUES_AT_MOST:
        return [float(value) for value in values]
    ordered, last = sorted(values), len(values) - 1
    return [float(ordered[round(place * last / (VALUES_AT_MOST - 1))]) for place in range(VALUES_AT_MOST)]
