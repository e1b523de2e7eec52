"""The address that a worker puts on record is one that somebody can look for."""

import pytest

from transfer_worker.addresses import find_own_address


@pytest.mark.parametrize(
    ("resolved", "expected"),
    [
        ("10.0.17.4", "10.0.17.4"),
        ("127.0.1.1", None),
        ("0.0.0.0", None),  # noqa: S104 - what nobody listens on here
        ("169.254.170.2", None),
        ("not an address", None),
    ],
)
def test_an_address_that_says_nothing_is_left_out(resolved: str, expected: str | None) -> None:
    assert find_own_address(lambda _name: resolved) == expected


def test_a_host_without_an_address_has_none() -> None:
    """Nothing is held up by it."""

    def refuse(_name: str) -> str:
        raise OSError("no such name")

    assert find_own_address(refuse) is None
