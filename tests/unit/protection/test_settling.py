"""The rows of a container follow what stands in it; what somebody is about to write, and what cannot be read, stays."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.protection.settling import release_dependencies, settle_dependencies
from pqtransfer.transfers.dependencies import Dependency, KeyRole, find_stale, iterate_all
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME
from tests.containers import TRANSFER_ID, make_container, make_identity
from tests.fakes.dependencies import InMemoryDependencyIndex
from tests.fakes.folders import InMemoryFolder

BOB = make_identity("bob").kem.public_key.key_id
ALICE = make_identity("alice").signing.public_key.key_id


def row(key_id: str, epoch: int, role: KeyRole = KeyRole.RECIPIENT) -> Dependency:
    return Dependency(key_id=key_id, role=role, transfer_id=TRANSFER_ID, epoch=epoch)


NEEDED = {row(BOB, 1), row(ALICE, 1, KeyRole.ENVELOPE_SIGNER), row(ALICE, 1, KeyRole.MANIFEST_SIGNER)}


@pytest.fixture
def container() -> InMemoryFolder:
    folder, made = InMemoryFolder(), make_container(b"model")
    folder.put(MANIFEST_NAME, made.manifest_json)
    folder.put(ENVELOPE_NAME, made.envelope_json)
    return folder


def test_rows_come_from_the_documents(container: InMemoryFolder) -> None:
    """Whoever wrote them, and whatever the ledger says; doing it again changes nothing."""
    index = InMemoryDependencyIndex()
    for _ in range(2):
        assert set(settle_dependencies(TRANSFER_ID, container, index=index)) == NEEDED
        assert index.rows == NEEDED


def test_what_no_envelope_needs_is_forgotten(container: InMemoryFolder) -> None:
    """Rows of the same epoch that lost the race, and none of a later one, which somebody is about to write."""
    index = InMemoryDependencyIndex()
    index.note([row("aa" * 32, 1), row("bb" * 32, 2)])
    settle_dependencies(TRANSFER_ID, container, index=index)
    assert index.rows == NEEDED | {row("bb" * 32, 2)}


def test_a_row_that_is_not_seen_yet_stays(container: InMemoryFolder) -> None:
    """The lag of the index of transfers keeps a row too long; it never takes one away."""
    index = InMemoryDependencyIndex()
    index.note([row("aa" * 32, 1)])
    index.unseen = {row("aa" * 32, 1)}
    settle_dependencies(TRANSFER_ID, container, index=index)
    assert row("aa" * 32, 1) in index.rows
    index.unseen = set()
    settle_dependencies(TRANSFER_ID, container, index=index)
    assert index.rows == NEEDED


@pytest.mark.parametrize("removed", [False, True])
def test_rows_that_were_written_too_late_are_taken_back(container: InMemoryFolder, removed: bool) -> None:
    """Another run renews or removes the envelope, and forgets its rows, while they are being written here."""
    index, outran = InMemoryDependencyIndex(), list[bool]()
    note = index.note

    def note_late(rows: Iterable[Dependency]) -> None:
        if not outran:
            outran.append(True)
            if removed:
                del container.objects[ENVELOPE_NAME]
            else:
                container.put(ENVELOPE_NAME, make_container(b"model", recipients=("carol",)).envelope_json)
        note(rows)

    index.note = note_late  # type: ignore[method-assign]
    index.unseen = NEEDED
    needed = settle_dependencies(TRANSFER_ID, container, index=index)
    assert index.rows == set(needed)
    assert row(BOB, 1) not in index.rows
    assert bool(needed) is not removed


def test_a_damaged_envelope_keeps_its_rows(container: InMemoryFolder) -> None:
    """Nobody can tell what it needs, so nothing is forgotten."""
    index = InMemoryDependencyIndex()
    index.note([row(BOB, 1)])
    container.put(ENVELOPE_NAME, b"{}")
    with pytest.raises(MalformedDocumentError):
        settle_dependencies(TRANSFER_ID, container, index=index)
    assert index.rows == {row(BOB, 1)}


def test_a_transfer_without_an_envelope_needs_nothing(container: InMemoryFolder) -> None:
    """Once it has ended; one that has an envelope keeps its rows whatever is said of it."""
    index = InMemoryDependencyIndex()
    index.note(NEEDED)
    release_dependencies(TRANSFER_ID, container, index=index)
    assert index.rows == NEEDED
    release_dependencies(TRANSFER_ID, InMemoryFolder(), index=index)
    assert index.rows == set()
    assert settle_dependencies(TRANSFER_ID, InMemoryFolder(), index=index) == ()


ROWS = st.sets(st.builds(row, st.sampled_from(["aa" * 32, "bb" * 32, "cc" * 32]), st.integers(1, 4)))


@given(
    noted=ROWS, keys=st.sets(st.sampled_from(["aa" * 32, "bb" * 32, "cc" * 32]), min_size=1), epoch=st.integers(1, 4)
)
def test_stale_rows_are_never_needed_ones(noted: set[Dependency], keys: set[str], epoch: int) -> None:
    """Nor those of a later epoch; and everything else of the current epoch and before is stale."""
    current = {row(key, epoch) for key in keys}
    stale = set(find_stale(noted, current))
    assert not stale & current
    assert all(each.epoch <= epoch for each in stale)
    assert {each for each in noted - stale if each.epoch <= epoch} <= current


def test_pages_give_every_container_once() -> None:
    """However small they are."""
    index = InMemoryDependencyIndex()
    ids = [f"0198c0de-0000-7000-8000-{number:012}" for number in range(7)]
    index.note(Dependency(key_id=BOB, role=KeyRole.RECIPIENT, transfer_id=each, epoch=1) for each in ids)
    assert list(iterate_all(index, BOB, KeyRole.RECIPIENT, page_size=3)) == ids
    assert list(iterate_all(index, ALICE, KeyRole.RECIPIENT)) == []
