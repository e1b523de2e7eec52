"""The states of a transfer, and every step between them."""

import itertools

import pytest

from pqtransfer.transfers.folder import SourceChangedError
from pqtransfer.transfers.ledger import (
    FINAL_STATES,
    IllegalStepError,
    TransferState,
    explain_failure,
    require_legal_step,
)

SUBMITTED, RUNNING, COMPLETED, FAILED, CANCELLED = TransferState
LEGAL = {
    (SUBMITTED, RUNNING),  # a worker claims it
    (SUBMITTED, FAILED),  # refused before any work
    (SUBMITTED, CANCELLED),
    (RUNNING, RUNNING),  # another worker takes it over
    (RUNNING, COMPLETED),
    (RUNNING, FAILED),
    (RUNNING, CANCELLED),
}


@pytest.mark.parametrize(("state", "wanted"), list(itertools.product(TransferState, repeat=2)))
def test_the_steps_are_these_and_no_others(state: TransferState, wanted: TransferState) -> None:
    """25 pairs: 7 are legal."""
    if (state, wanted) in LEGAL:
        require_legal_step("id", state, wanted)
    else:
        with pytest.raises(IllegalStepError, match=f"is {state}: it cannot become {wanted}"):
            require_legal_step("id", state, wanted)


def test_what_ended_stays_ended() -> None:
    """Three states are final."""
    assert {COMPLETED, FAILED, CANCELLED} == FINAL_STATES


def test_a_failure_names_its_kind_for_scripts() -> None:
    """The code is stable, the message is for people and bounded."""
    failure = explain_failure(SourceChangedError("s3://bucket/" + "x" * 5000))
    assert failure.code == "SourceChanged"
    assert len(failure.message) == 2000
