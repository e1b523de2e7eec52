"""Takes the lines of embedded metrics that are written, and reads them as CloudWatch does."""

import json
from typing import Any

from pqtransfer.operations.metrics import Metric


class EmbeddedLines:
    """What was published, line by line."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, line: str) -> None:
        assert "\n" not in line
        self.lines.append(json.loads(line))

    def values(self, metric: Metric, **where: str) -> list[float]:
        """Every value of a metric, in lines that say all of `where`."""
        return [
            value
            for line in self.lines
            if where.items() <= line.items()
            for directive in line["_aws"]["CloudWatchMetrics"]
            if any(each == {"Name": metric.name, "Unit": metric.unit} for each in directive["Metrics"])
            for value in line[metric.name]
        ]

    def total(self, metric: Metric, **where: str) -> float:
        """Their sum."""
        return sum(self.values(metric, **where))
