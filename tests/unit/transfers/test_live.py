"""What is on its way stands in buckets that are spread evenly, and what has ended in none."""

from collections import Counter

import pytest
from uuid6 import uuid7

from pqtransfer.transfers.ledger import FINAL_STATES, TransferState
from pqtransfer.transfers.live import BUCKETS_OF_A_STATE, LIVE_STATES, list_buckets, name_bucket


@pytest.mark.parametrize("state", LIVE_STATES)
def test_no_bucket_is_hot(state: TransferState) -> None:
    """Of 8,000 transfers that were submitted one after another, none holds more than a fifth over its share."""
    counts = Counter(name_bucket(state, str(uuid7())) for _ in range(8000))
    assert set(counts) == set(list_buckets(state))
    assert max(counts.values()) <= 1.2 * 8000 / BUCKETS_OF_A_STATE


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_what_has_ended_is_in_no_bucket(state: TransferState) -> None:
    """So that the index holds what is on its way, and nothing of the years before."""
    assert name_bucket(state, str(uuid7())) is None
