"""What an upload keeps on the sender's machine: a journal of its own, and a data key that only the sender opens."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.sealing import UnsealError
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.keys.holder import LocalKeyHolder
from pqtransfer.sdk.local_journal import LocalCheckpointStore
from pqtransfer.sdk.sending import HolderDataKeySealer, find_unfinished, name_upload_journal
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.ledger import TransferState
from pqtransfer.transfers.request import TransferRequest
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID
from tests.fakes.clocks import BEGINNING
from tests.fakes.ledgers import InMemoryLedger

DATA_KEY = SecretBytes(bytes(range(32)))


def make_request(transfer_id: str = TRANSFER_ID, **changes: object) -> TransferRequest:
    fields = {
        "transfer_id": transfer_id,
        "kind": "upload",
        "sender": "alice",
        "recipients": ("bob", "carol"),
        "correlation_id": "c",
    }
    return TransferRequest(**(fields | changes))  # type: ignore[arg-type]


def test_the_data_key_opens_for_its_sender_and_transfer(alice: PrivateIdentity) -> None:
    """Nothing else is needed."""
    sealer = HolderDataKeySealer(LocalKeyHolder(alice))
    sealed = sealer.seal(DATA_KEY, transfer_id=TRANSFER_ID)
    assert DATA_KEY.reveal() not in sealed
    assert sealer.unseal(sealed, transfer_id=TRANSFER_ID).reveal() == DATA_KEY.reveal()


@pytest.mark.parametrize("wrong", ["holder", "transfer", "nothing sealed"])
def test_the_data_key_opens_for_nobody_else(alice: PrivateIdentity, bob: PrivateIdentity, wrong: str) -> None:
    """Not for another participant, not under another transfer's name."""
    sealed = HolderDataKeySealer(LocalKeyHolder(alice)).seal(DATA_KEY, transfer_id=TRANSFER_ID)
    reader = HolderDataKeySealer(LocalKeyHolder(bob if wrong == "holder" else alice))
    with pytest.raises(UnsealError):
        reader.unseal(
            b"" if wrong == "nothing sealed" else sealed,
            transfer_id=OTHER_TRANSFER_ID if wrong == "transfer" else TRANSFER_ID,
        )


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"transfer_id": OTHER_TRANSFER_ID}, True),
        ({"correlation_id": "another"}, True),
        ({"metadata": {"round": "2"}}, False),
        ({"expected_size_bytes": 7}, False),
        ({"recipients": ("bob",)}, False),
        ({"sender": "dave"}, False),
        ({"suite": "PQT-2"}, False),
    ],
)
def test_one_journal_for_what_is_one_upload(tmp_path: Path, change: dict[str, object], same: bool) -> None:
    """The same source to the same recipients goes on; anything else begins anew."""

    def name(request: TransferRequest, deployment: str = "d", source: str = "/m") -> Path:
        return name_upload_journal(tmp_path, deployment=deployment, source=source, request=request)

    first = name(make_request())
    fields = make_request().model_dump() | change
    assert (name(TransferRequest(**fields)) == first) is same
    assert name(make_request(), source="/other") != first
    assert name(make_request(), deployment="other") != first
    assert first.parent == tmp_path


@dataclass
class Begun:
    journal: LocalCheckpointStore
    ledger: InMemoryLedger


@pytest.fixture
def begun(tmp_path: Path) -> Begun:
    """An upload that has started, and is SUBMITTED."""
    begun = Begun(LocalCheckpointStore(tmp_path / "one.journal"), InMemoryLedger())
    begun.journal.create(Checkpoint(TRANSFER_ID, "upload-1", "etag", None, 5, 1 << 20, b"header", b"sealed"))
    begun.ledger.submit(make_request(), at=BEGINNING)
    return begun


@pytest.mark.parametrize("state", list(TransferState))
def test_only_what_has_not_ended_is_gone_on_with(begun: Begun, state: TransferState) -> None:
    """A transfer that ended stays ended: sending again makes a new one."""
    record = begun.ledger.records[TRANSFER_ID]
    begun.ledger.records[TRANSFER_ID] = record.model_copy(update={"state": state})
    asked = make_request(transfer_id=OTHER_TRANSFER_ID, correlation_id="again")
    unfinished = find_unfinished(begun.journal, asked, ledger=begun.ledger)
    assert (unfinished == make_request()) is (state in (TransferState.SUBMITTED, TransferState.RUNNING))


def test_without_a_journal_or_a_record_nothing_is_gone_on_with(begun: Begun, tmp_path: Path) -> None:
    """A new upload begins."""
    none = LocalCheckpointStore(tmp_path / "none.journal")
    assert find_unfinished(none, make_request(), ledger=begun.ledger) is None
    begun.ledger.records.clear()
    assert find_unfinished(begun.journal, make_request(), ledger=begun.ledger) is None


@pytest.mark.parametrize(
    "change", [{"metadata": {"round": "99"}}, {"sender": "mallory"}, {"recipients": ("mallory",)}, {"suite": "PQT-2"}]
)
def test_a_record_that_says_something_else_is_not_gone_on_with(begun: Begun, change: dict[str, Any]) -> None:
    """Others can write to the ledger: a sender signs what it was asked for here, and nothing that stands there."""
    record = begun.ledger.records[TRANSFER_ID]
    forged = record.model_copy(update={"request": record.request.model_copy(update=change)})
    begun.ledger.records[TRANSFER_ID] = forged
    assert find_unfinished(begun.journal, make_request(), ledger=begun.ledger) is None
