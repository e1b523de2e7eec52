"""The catalogue of metrics: every name once, and nothing that CloudWatch does not take."""

import pytest

from pqtransfer.operations.metrics import ERRORS, METRICS, get_metric


def test_every_name_is_there_once_and_says_what_it_means() -> None:
    """A name that two metrics had would mix their numbers."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert all(metric.name.isalnum() and metric.name[0].isupper() and metric.meaning for metric in METRICS)


def test_a_metric_is_found_by_its_name() -> None:
    """What is in the catalogue is found, and what is not is said to be missing there."""
    assert get_metric("Errors") is ERRORS
    with pytest.raises(LookupError, match="is no metric of pqtransfer"):
        get_metric("Speed")
