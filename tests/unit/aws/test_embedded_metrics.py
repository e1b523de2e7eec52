"""Embedded metrics: lines that CloudWatch takes, whatever is published."""

from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.aws.embedded_metrics import EmbeddedMetrics
from pqtransfer.operations.metrics import ERRORS, METRICS, PART_LATENCY, Unit
from tests.fakes.embedded_lines import EmbeddedLines

UNITS_OF_CLOUDWATCH = {"Count", "Bytes", "Megabytes/Second", "Milliseconds", "Seconds", "Percent"}


def publish(lines: EmbeddedLines) -> EmbeddedMetrics:
    return EmbeddedMetrics(environment="dev", service="transfer-worker", write=lines.write)


def test_a_line_says_which_metrics_it_has() -> None:
    """The namespace, both dimensions, names and units; and what stands beside them is no metric."""
    lines = EmbeddedLines()
    publish(lines).put({PART_LATENCY: [1, 2.5]}, facts={"transfer_id": "t-1"})
    (line,) = lines.lines
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive == {
        "Namespace": "pqtransfer",
        "Dimensions": [["environment", "service"]],
        "Metrics": [{"Name": "PartLatency", "Unit": "Milliseconds"}],
    }
    assert (line["environment"], line["service"], line["transfer_id"]) == ("dev", "transfer-worker", "t-1")
    assert line["PartLatency"] == [1.0, 2.5]


def test_errors_are_published_in_all_and_by_their_class() -> None:
    """An alarm watches the one, a person looks at the other."""
    lines = EmbeddedLines()
    publish(lines).put({ERRORS: 2}, error="SourceChanged")
    (line,) = lines.lines
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["environment", "service"],
        ["environment", "service", "error"],
    ]
    assert (line["error"], line["Errors"]) == ("SourceChanged", [2.0])


def test_nothing_is_published_of_nothing() -> None:
    """A metric without values has no number, and is not one of 0."""
    lines = EmbeddedLines()
    publish(lines).put({PART_LATENCY: []})
    assert lines.lines == []


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=1000))
def test_of_many_values_those_are_published_that_stand_for_all(values: list[float]) -> None:
    """At most 100, from the smallest to the largest, evenly between."""
    lines = EmbeddedLines()
    publish(lines).put({PART_LATENCY: values})
    published = lines.values(PART_LATENCY)
    assert len(published) == min(100, len(values))
    assert (min(published), max(published)) == (min(values), max(values))
    assert set(published) <= set(map(float, values))


def test_every_unit_is_one_of_cloudwatch() -> None:
    """It drops a metric of another one without a word."""
    assert {metric.unit.value for metric in METRICS} <= UNITS_OF_CLOUDWATCH == {unit.value for unit in Unit}
