"""Decrypting a model: nothing under the final name until all of it is verified, wherever an attempt dies."""

import pytest

from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.geometry import SEGMENT_SIZE_BYTES
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.crypto.payload import DamagedPartError
from pqtransfer.transfers.container import DamagedPayloadError, NotAContainerError, read_envelope, read_manifest
from pqtransfer.transfers.folder import (
    ENVELOPE_NAME,
    MANIFEST_NAME,
    PAYLOAD_NAME,
    DocumentChangedError,
    ObjectExistsError,
)
from pqtransfer.transfers.ledger import LeaseLostError, TransferState
from pqtransfer.transfers.rewrapping import RewrapOrder, rewrap_envelope
from pqtransfer.transfers.verifying import verify_payload
from tests.fakes.folders import Crash, FaultPlan
from tests.unit.transfers.jobs import ALICE, BOB, MODEL, PART_COUNT, World, make_world


def make_encrypted_world() -> World:
    world = make_world()
    world.encrypt()
    return world


def list_calls() -> list[str]:
    """The calls that an undisturbed run makes."""
    plan = FaultPlan()
    make_encrypted_world().decrypt(plan)
    return plan.calls


CALLS = list_calls()


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("crash_at", range(len(CALLS)))
def test_an_attempt_may_die_at_any_call(crash_at: int, after_effect: bool) -> None:
    """The next attempt finishes, writes no recorded part again, and leaves nothing behind."""
    world = make_encrypted_world()
    with pytest.raises(Crash):
        world.decrypt(FaultPlan(at=crash_at, after_effect=after_effect))
    recorded = set(world.checkpoints.load_parts("decryption"))
    written_before = len(world.destination.written)
    world.decrypt()
    assert not recorded & set(world.destination.written[written_before:])
    assert len(world.destination.written) <= PART_COUNT + 1
    assert world.destination.get("result") == MODEL
    assert world.destination.uploads == {}


@pytest.mark.parametrize("part", range(PART_COUNT))
def test_a_damaged_part_is_found_before_it_is_written(part: int) -> None:
    """One changed bit: that part is not written, and nothing stands under the final name."""
    world = make_encrypted_world()
    payload = bytearray(world.container.get(PAYLOAD_NAME))
    payload[part * SEGMENT_SIZE_BYTES + 20] ^= 1
    world.container.put(PAYLOAD_NAME, bytes(payload))
    with pytest.raises(DamagedPartError, match=f"part {part}"):
        world.decrypt()
    assert part not in world.destination.written
    assert world.destination.objects == {}
    with pytest.raises(DamagedPartError):
        verify_payload(
            read_body(world), container=world.container, context=world.context(FaultPlan(), parts_in_flight=3)
        )


def test_a_payload_of_another_length_is_found_at_once() -> None:
    """Before a byte of it is read."""
    world = make_encrypted_world()
    world.container.put(PAYLOAD_NAME, world.container.get(PAYLOAD_NAME)[:-1])
    with pytest.raises(DamagedPayloadError, match="cut"):
        world.decrypt()
    assert world.container.reads == []


@pytest.mark.parametrize("name", [PAYLOAD_NAME, MANIFEST_NAME])
def test_a_place_without_payload_or_manifest_is_not_a_container(name: str) -> None:
    """The error names what is missing."""
    world = make_encrypted_world()
    del world.container.objects[name]
    with pytest.raises(NotAContainerError, match=name):
        world.decrypt()


def test_a_taken_name_is_not_overwritten() -> None:
    """What stands there stays."""
    world = make_encrypted_world()
    world.destination.put("result", b"precious")
    with pytest.raises(ObjectExistsError):
        world.decrypt()
    assert world.destination.get("result") == b"precious"


def test_a_payload_that_was_stored_again_is_decrypted_from_the_start() -> None:
    """A checkpoint of another state of the payload is not used."""
    world = make_encrypted_world()
    with pytest.raises(Crash):
        world.decrypt(FaultPlan(at=CALLS.index("complete_upload")))
    world.container.put(PAYLOAD_NAME, world.container.get(PAYLOAD_NAME))
    world.decrypt()
    assert world.destination.written == [0, 1, 2, 0, 1, 2]
    assert world.destination.uploads == {}


def test_verifying_reads_everything_and_needs_no_key() -> None:
    """A whole container passes."""
    world = make_encrypted_world()
    verify_payload(read_body(world), container=world.container, context=world.context(FaultPlan()))
    assert sum(byte_range.length for byte_range in world.container.reads) == len(world.container.get(PAYLOAD_NAME))


def test_rewrapping_moves_no_payload_byte() -> None:
    """The epoch counts on, manifest and payload stay the very same objects."""
    world = make_encrypted_world()
    before = {name: world.container.find(name) for name in (PAYLOAD_NAME, MANIFEST_NAME)}
    envelope = rewrap(world, make_rewrap(BOB, recipients=(ALICE, BOB)))
    assert envelope.body.epoch == 2
    assert {name: world.container.find(name) for name in before} == before
    assert world.container.reads == []
    world.decrypt()
    assert world.destination.get("result") == MODEL


def test_a_rewrap_that_was_overtaken_begins_anew() -> None:
    """Somebody else replaced the envelope between reading and writing: the next round starts from theirs."""
    world = make_encrypted_world()
    replace = world.container.replace_document
    others = iter(["once"])

    def overtaken(name: str, data: bytes, *, etag: str) -> None:
        for _ in others:
            world.container.replace_document = replace  # type: ignore[method-assign]
            rewrap(world, make_rewrap(BOB, recipients=(BOB,)))
        replace(name, data, etag=etag)

    world.container.replace_document = overtaken  # type: ignore[method-assign]
    assert rewrap(world, make_rewrap(BOB, recipients=(ALICE, BOB))).body.epoch == 3


def test_a_rewrap_that_is_always_overtaken_ends() -> None:
    """Three rounds, then the error that says so."""
    world = make_encrypted_world()
    rounds = []

    def overtaken(name: str, data: bytes, *, etag: str) -> None:
        rounds.append(etag)
        raise DocumentChangedError(name)

    world.container.replace_document = overtaken  # type: ignore[method-assign]
    with pytest.raises(DocumentChangedError):
        rewrap(world, make_rewrap(BOB, recipients=(ALICE,)))
    assert len(rounds) == 3


def test_a_rewrap_that_is_another_workers_by_now_changes_nothing() -> None:
    """It was frozen before it wrote, and what was asked for after it has been done."""
    world = make_encrypted_world()
    rewrap(world, make_rewrap(BOB, recipients=(BOB,)))
    after = world.container.get(ENVELOPE_NAME)

    def be_overtaken() -> None:
        raise LeaseLostError("transfer", TransferState.COMPLETED)

    with pytest.raises(LeaseLostError):
        rewrap_envelope(
            make_rewrap(BOB, recipients=(ALICE, BOB)),
            read_body(world),
            container=world.container,
            read_current=lambda: read_envelope(world.container),
            confirm=be_overtaken,
        )
    assert world.container.get(ENVELOPE_NAME) == after


def make_rewrap(by: PrivateIdentity, *, recipients: tuple[PrivateIdentity, ...]) -> RewrapOrder:
    return RewrapOrder(
        find_opening_keys=lambda _key_ids: [BOB.kem],
        recipients=tuple(each.kem.public_key for each in recipients),
        signer=by.participant,
        signing_key=by.signing,
    )


def read_body(world: World) -> Manifest:
    return read_manifest(world.container).body


def rewrap(world: World, order: RewrapOrder) -> Envelope:
    return rewrap_envelope(
        order, read_body(world), container=world.container, read_current=lambda: read_envelope(world.container)
    )
