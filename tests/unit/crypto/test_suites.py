"""The registry is closed, and the minimum-suite policy orders it."""

import pytest

from pqtransfer.crypto.suites import SUITES, UnknownSuiteError, WeakSuiteError, get_suite, require_minimum_suite


@pytest.mark.parametrize(
    ("suite_id", "minimum", "allowed"),
    [("PQT-1", "PQT-1", True), ("PQT-2", "PQT-1", True), ("PQT-2", "PQT-2", True), ("PQT-1", "PQT-2", False)],
)
def test_the_minimum_suite_policy(suite_id: str, minimum: str, allowed: bool) -> None:
    if allowed:
        assert require_minimum_suite(suite_id, minimum_suite_id=minimum).id == suite_id
    else:
        with pytest.raises(WeakSuiteError, match="PQT-2 or better"):
            require_minimum_suite(suite_id, minimum_suite_id=minimum)


@pytest.mark.parametrize("suite_id", ["", "PQT-3", "pqt-1", "PQT-1 ", "PQT-1\n", "X" * 10_000])
def test_an_unknown_suite_is_named_and_the_known_ones_are_listed(suite_id: str) -> None:
    with pytest.raises(UnknownSuiteError, match="PQT-1, PQT-2") as caught:
        get_suite(suite_id)
    assert len(str(caught.value)) < 200


def test_the_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        SUITES["PQT-0"] = get_suite("PQT-1")  # type: ignore[index]
