"""Encrypting a model: the promises that hold however often and wherever an attempt dies."""

import hashlib
from collections.abc import Mapping

import pytest

from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.encrypting import discard_upload
from pqtransfer.transfers.folder import (
    ENVELOPE_NAME,
    MANIFEST_NAME,
    PAYLOAD_NAME,
    ObjectExistsError,
    SourceChangedError,
    StoredObject,
    StoredPart,
)
from pqtransfer.transfers.parts import StoppedError, StopSignal
from pqtransfer.transfers.source_errors import SourceDigestError, SourceSizeError
from pqtransfer.transfers.upload import UploadContestedError
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID
from tests.fakes.folders import Crash, FaultPlan, InMemoryFolder
from tests.unit.transfers.jobs import MODEL, PART_COUNT, World, make_order, make_world

CONTAINER_NAMES = {PAYLOAD_NAME, MANIFEST_NAME, ENVELOPE_NAME}


def list_calls(*, hash_plaintext: bool) -> list[str]:
    """The calls that an undisturbed run makes."""
    plan = FaultPlan()
    make_world().encrypt(plan, make_order(hash_plaintext=hash_plaintext))
    return plan.calls


CALLS = list_calls(hash_plaintext=False)


def require_whole(world: World) -> None:
    """The container is complete, decrypts to the model, and no upload is left over."""
    world.decrypt()
    assert world.destination.get("result") == MODEL
    assert set(world.container.objects) == CONTAINER_NAMES
    assert world.container.uploads == {}


@pytest.mark.parametrize("parts_in_flight", [1, 3])
@pytest.mark.parametrize("hash_plaintext", [False, True])
def test_a_model_round_trips(hash_plaintext: bool, parts_in_flight: int) -> None:
    """What is encrypted decrypts to the same bytes; the whole hash stands in the manifest when it was asked for."""
    world = make_world()
    made = world.encrypt(order=make_order(hash_plaintext=hash_plaintext), parts_in_flight=parts_in_flight)
    assert made.manifest.body.plaintext_sha256 == (hashlib.sha256(MODEL).digest() if hash_plaintext else None)
    require_whole(world)


@pytest.mark.parametrize("model", [b"", b"x"])
def test_the_smallest_models_round_trip(model: bytes) -> None:
    """An empty and a 1-byte model are valid."""
    world = make_world(model)
    world.encrypt()
    world.decrypt()
    assert world.destination.get("result") == model


@pytest.mark.parametrize("hash_plaintext", [False, True])
@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("crash_at", range(len(CALLS)))
def test_an_attempt_may_die_at_any_call(crash_at: int, after_effect: bool, hash_plaintext: bool) -> None:
    """The next attempt finishes: it sends no recorded part again, at most the one in flight, and leaves no upload."""
    world = make_world()
    order = make_order(hash_plaintext=hash_plaintext)
    with pytest.raises(Crash):
        world.encrypt(FaultPlan(at=crash_at, after_effect=after_effect), order)
    recorded = set(world.checkpoints.load_parts(TRANSFER_ID))
    sent_before = len(world.container.written)
    made = world.encrypt(order=order)
    assert not recorded & set(world.container.written[sent_before:])
    assert len(world.container.written) <= PART_COUNT + 1
    assert made.manifest.body.plaintext_sha256 == (hashlib.sha256(MODEL).digest() if hash_plaintext else None)
    require_whole(world)


@pytest.mark.parametrize("crash_at", range(CALLS.index("write_part"), CALLS.index("complete_upload")))
def test_with_several_parts_in_flight_at_most_those_are_sent_again(crash_at: int) -> None:
    """Three threads, one of them dies: what was recorded is not sent again, the others once more at most."""
    world = make_world()
    with pytest.raises(Crash):
        world.encrypt(FaultPlan(at=crash_at), parts_in_flight=3)
    recorded = set(world.checkpoints.load_parts(TRANSFER_ID))
    sent_before = len(world.container.written)
    world.encrypt(parts_in_flight=3)
    assert sorted(world.container.written[sent_before:]) == sorted(set(range(PART_COUNT)) - recorded)
    require_whole(world)


def test_a_finished_transfer_can_be_run_again() -> None:
    """Running it again changes nothing and gives the same documents."""
    world = make_world()
    first = world.encrypt()
    assert world.encrypt() == first
    assert len(world.container.written) == PART_COUNT


def test_a_transfer_that_dies_twice_is_finished() -> None:
    """The third attempt goes on where the second one ended."""
    world = make_world()
    for crash_at in (CALLS.index("write_part") + 2, 4):
        with pytest.raises(Crash):
            world.encrypt(FaultPlan(at=crash_at))
    world.encrypt()
    require_whole(world)


def test_a_source_that_changed_between_attempts_is_found() -> None:
    """No payload is mixed from two states of the model."""
    world = make_world()
    with pytest.raises(Crash):
        world.encrypt(FaultPlan(at=CALLS.index("write_part") + 1))
    world.source.put("model", MODEL[::-1])
    with pytest.raises(SourceChangedError):
        world.encrypt()
    assert world.container.objects == {}


def test_a_source_that_changes_during_an_attempt_is_found() -> None:
    """The error names the model; nothing appears in the container."""
    world = make_world()
    stored = world.source.find("model")
    world.source.find = lambda *_args, **_keywords: stored  # type: ignore[method-assign]
    world.source.objects["model"] = (world.source.put("model", MODEL[::-1]), MODEL[::-1])
    with pytest.raises(SourceChangedError, match="model changed"):
        world.encrypt()
    assert world.container.objects == {}


@pytest.mark.parametrize("gives_digests", [True, False])
def test_parts_that_somebody_overwrote_are_sent_again(gives_digests: bool) -> None:
    """The store's list is the truth: a part that is not the recorded one is not taken for done."""
    world = make_world()
    world.container = InMemoryFolder(gives_digests=gives_digests)
    with pytest.raises(Crash):
        world.encrypt(FaultPlan(at=CALLS.index("complete_upload")))
    world.container.overwrite_part(1, b"something else")
    world.encrypt()
    assert world.container.written == [0, 1, 2, 1]
    require_whole(world)


def test_parts_that_are_overwritten_at_the_last_moment_are_sent_again() -> None:
    """Completion names the ETag of every part, so a late change makes another round instead of a wrong object."""
    world = make_world()
    complete = world.container.complete_upload
    disturbances = iter([b"something else"])

    def disturbed(name: str, upload_id: str, parts: Mapping[int, StoredPart]) -> StoredObject:
        for data in disturbances:
            world.container.overwrite_part(0, data)
        return complete(name, upload_id, parts)

    world.container.complete_upload = disturbed  # type: ignore[method-assign]
    world.encrypt()
    require_whole(world)


def test_an_upload_that_is_contested_for_ever_ends_in_an_error() -> None:
    """Three rounds, then an error that says so: no endless loop."""
    world = make_world()
    complete = world.container.complete_upload

    def disturbed(name: str, upload_id: str, parts: Mapping[int, StoredPart]) -> StoredObject:
        world.container.overwrite_part(0, b"something else")
        return complete(name, upload_id, parts)

    world.container.complete_upload = disturbed  # type: ignore[method-assign]
    with pytest.raises(UploadContestedError):
        world.encrypt()


@pytest.mark.parametrize("gives_digests", [True, False])
def test_the_object_must_be_made_of_the_recorded_parts(gives_digests: bool) -> None:
    """A worker that was overtaken completed the upload with its own encryption of a part: no manifest is signed for it.

    The tag is the same, as the upload is. Where the store keeps no digests, the object is read to find out.
    """
    world = make_world()
    world.container = InMemoryFolder(gives_digests=gives_digests)
    with pytest.raises(Crash):
        world.encrypt(FaultPlan(at=CALLS.index("complete_upload")))
    ((upload_id, upload),) = world.container.uploads.items()
    world.container.overwrite_part(0, bytes(len(upload.parts[0][1])))
    world.container.complete_upload(PAYLOAD_NAME, upload_id, {i: part for i, (part, _) in upload.parts.items()})
    with pytest.raises(ObjectExistsError):
        world.encrypt()
    assert set(world.container.objects) == {PAYLOAD_NAME}


def test_an_upload_that_the_store_dropped_is_begun_again() -> None:
    """A lifecycle rule may have aborted it meanwhile."""
    world = make_world()
    with pytest.raises(Crash):
        world.encrypt(FaultPlan(at=CALLS.index("complete_upload")))
    world.container.uploads.clear()
    world.encrypt()
    require_whole(world)


@pytest.mark.parametrize(("announced", "relation"), [(len(MODEL) + 1, "smaller"), (len(MODEL) - 1, "larger")])
def test_another_size_than_announced_is_refused(announced: int, relation: str) -> None:
    """The error says which way it differs; nothing is uploaded."""
    world = make_world()
    with pytest.raises(SourceSizeError, match=relation):
        world.encrypt(order=make_order(expected_size_bytes=announced))
    assert world.container.written == []


def test_another_hash_than_announced_is_refused() -> None:
    """The payload never appears under its name, and what was uploaded can be discarded."""
    world = make_world()
    with pytest.raises(SourceDigestError):
        world.encrypt(order=make_order(expected_sha256=bytes(32)))
    assert world.container.objects == {}
    discard_upload(TRANSFER_ID, container=world.container, context=world.context(FaultPlan()))
    assert world.container.uploads == {}
    assert world.checkpoints.load(TRANSFER_ID) is None


def test_the_announced_hash_is_accepted() -> None:
    """Expecting the right hash also puts it into the manifest."""
    world = make_world()
    digest = hashlib.sha256(MODEL).digest()
    assert world.encrypt(order=make_order(expected_sha256=digest)).manifest.body.plaintext_sha256 == digest


def test_a_container_of_another_transfer_is_not_touched() -> None:
    """The place is taken: nothing is overwritten."""
    world = make_world()
    world.encrypt()
    before = dict(world.container.objects)
    with pytest.raises(ObjectExistsError):
        world.encrypt(order=make_order(transfer_id=OTHER_TRANSFER_ID))
    assert world.container.objects == before


@pytest.mark.parametrize("hash_plaintext", [False, True])
@pytest.mark.parametrize("parts_in_flight", [1, 3])
def test_the_first_failure_is_the_one_that_is_raised(parts_in_flight: int, hash_plaintext: bool) -> None:
    """Threads that only gave up because of it do not hide the reason, in 20 tries."""
    for _ in range(20):
        world = make_world()

        def refuse(*_args: object, **_keywords: object) -> None:
            raise ObjectExistsError("the reason")

        world.container.write_part = refuse  # type: ignore[method-assign, assignment]
        with pytest.raises(ObjectExistsError, match="the reason"):
            world.encrypt(order=make_order(hash_plaintext=hash_plaintext), parts_in_flight=parts_in_flight)


def test_a_stop_keeps_what_is_done() -> None:
    """The job raises the stop's reason; the next attempt goes on."""
    world = make_world()
    stop = StopSignal()
    record = world.checkpoints.record_part

    def record_and_stop(transfer_id: str, upload_id: str, part: StoredPart) -> None:
        record(transfer_id, upload_id, part)
        stop.stop(StoppedError("scaled in"))

    world.checkpoints.record_part = record_and_stop  # type: ignore[method-assign]
    context = world.context(FaultPlan())
    world.context = lambda *_args, **_keywords: type(context)(**{**vars(context), "stop": stop})  # type: ignore[method-assign]
    with pytest.raises(StoppedError, match="scaled in"):
        world.encrypt()
    del world.context
    assert set(world.checkpoints.load_parts(TRANSFER_ID)) == {0}
    world.checkpoints.record_part = record  # type: ignore[method-assign]
    world.encrypt()
    require_whole(world)


def test_the_checkpoint_pins_the_source() -> None:
    """ETag, version and size of the model stand in it."""
    world = make_world()
    source = world.source.find("model")
    world.encrypt()
    checkpoint = world.checkpoints.load(TRANSFER_ID)
    assert isinstance(checkpoint, Checkpoint)
    assert (checkpoint.source_etag, checkpoint.source_size_bytes) == (source.etag, len(MODEL))
