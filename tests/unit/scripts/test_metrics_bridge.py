"""What the bridge reads in lines of logs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.aws.embedded_metrics import EmbeddedMetrics
from pqtransfer.operations.metrics import ERRORS, MEMORY_PERCENT, PART_LATENCY
from scripts.embedded_cloud.metrics_bridge import read_embedded


def write(error: str | None = None) -> str:
    lines: list[str] = []
    metrics = EmbeddedMetrics(environment="local", service="transfer-worker", write=lines.append)
    metrics.put({MEMORY_PERCENT: 81, PART_LATENCY: [1, 2]} if error is None else {ERRORS: 1}, error=error)
    return lines[0]


def test_what_a_worker_publishes_arrives() -> None:
    """Every metric, with all of its values, its unit and its dimensions."""
    data = {datum["MetricName"]: datum for namespace, datum in read_embedded(write()) if namespace == "pqtransfer"}
    assert data["PartLatency"]["Values"] == [1.0, 2.0]
    assert data["MemoryPercent"]["Unit"] == "Percent"
    assert data["MemoryPercent"]["Dimensions"] == [
        {"Name": "environment", "Value": "local"},
        {"Name": "service", "Value": "transfer-worker"},
    ]


def test_a_metric_arrives_once_for_each_set_of_dimensions() -> None:
    """In all, and by its error."""
    found = [len(datum["Dimensions"]) for _, datum in read_embedded(write("SourceChanged"))]
    assert found == [2, 3]


@pytest.mark.parametrize(
    "line",
    [
        "", "{}", "no json", json.dumps({"message": "the worker is up"}),
        '{"CloudWatchMetrics": 1', '{"CloudWatchMetrics": 1}', '["CloudWatchMetrics"]',
        json.dumps({"_aws": {"Timestamp": "now", "CloudWatchMetrics": []}}),
        json.dumps({"_aws": {"Timestamp": 1e300, "CloudWatchMetrics": []}}),
        json.dumps({"_aws": {"Timestamp": 1, "CloudWatchMetrics": [{"Dimensions": [["a"]], "Metrics": []}]}}),
    ],
)  # fmt: skip
def test_other_lines_hold_no_metrics(line: str) -> None:
    """A log holds all kinds of lines."""
    assert list(read_embedded(line)) == []


@given(st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["_aws", "Timestamp", "CloudWatchMetrics", "Dimensions", "Metrics", "Name", "x"]), inner
)))  # fmt: skip
def test_no_line_stops_the_bridge(document: object) -> None:
    """Whatever it is."""
    list(read_embedded(json.dumps({"CloudWatchMetrics": [], "_aws": document})))
