"""Envelopes move with a rotated key, page by page; what cannot be moved now is tried again, and nothing moves twice."""

import pytest

from functions.renew_envelopes.pages import Page, PageNotDoneError, PageWorker, first_page
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.events import KeyRotated
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.transfers.container import read_envelope
from pqtransfer.transfers.dependencies import KeyRole
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME, DocumentChangedError
from tests.unit.functions.respond_to_compromise.world import NOW, World

pytestmark = pytest.mark.requirement("D4.3")


class Rotation:
    """bob's KEM key was rotated; pages are worked off with a page size of 2."""

    def __init__(self, *sends: tuple[str, ...]) -> None:
        self.world = World()
        self.sent = [self.world.send(*recipients, sender=sender) for sender, *recipients in sends]
        bob = self.world.registry.load("bob")
        old = bob.find_active_key(KeyPurpose.KEM)
        assert old is not None
        self.old = old
        self.world.make_key(bob, KeyPurpose.KEM)
        self.messages = [Page(key_id=old.key_id, correlation_id="rotate-1").model_dump_json(exclude_none=True)]

    @property
    def worker(self) -> PageWorker:
        around = self.world.around()
        return PageWorker(around.index, around.renewer_for("rotate-1"), self.messages.append, page_size=2)

    def run(self) -> list[str]:
        """Work off every message; what was left to others."""
        left: list[str] = []
        while self.messages:
            left += self.worker.work(Page.model_validate_json(self.messages.pop(0))).left
        return left


def test_every_envelope_moves_and_no_payload() -> None:
    """To the new key, under the next epoch, for the same recipients; payload and manifest are not even read anew."""
    rotation = Rotation(*[("alice", "bob", "carol")] * 5, ("dora", "dora"))
    world = rotation.world
    before = {sent: world.container(sent).objects[PAYLOAD_NAME] for sent in rotation.sent}
    for sent in rotation.sent:
        world.container(sent).reads.clear()
    assert rotation.run() == []
    new = world.registry.load("bob").find_active_key(KeyPurpose.KEM)
    assert new is not None
    for sent in rotation.sent[:-1]:
        envelope = read_envelope(world.container(sent)).envelope
        assert envelope.recipient_key_ids == (new.key_id, world.identities["carol"].kem.public_key.key_id)
        assert (envelope.body.epoch, envelope.body.signer) == (2, "bob")
    assert read_envelope(world.container(rotation.sent[-1])).envelope.body.epoch == 1
    for sent in rotation.sent:
        assert world.container(sent).objects[PAYLOAD_NAME] is before[sent]
        assert world.container(sent).reads == []
        assert set(world.container(sent).objects) == {PAYLOAD_NAME, MANIFEST_NAME, ENVELOPE_NAME}
    assert not world.index.has_any(rotation.old.key_id, KeyRole.RECIPIENT)
    assert world.trail.actions["envelope.rewrap"] == 5


def test_a_message_that_comes_twice_finds_nothing_to_do() -> None:
    """Whether it was the first page or a later one."""
    rotation = Rotation(*[("alice", "bob")] * 3)
    first = rotation.messages[0]
    rotation.run()
    rotation.messages.append(first)
    rotation.run()
    assert [read_envelope(rotation.world.container(sent)).envelope.body.epoch for sent in rotation.sent] == [2, 2, 2]


def test_a_page_that_cannot_be_done_multiplies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds up no others, is tried again by the same message, and hands nothing on however often it fails."""
    rotation = Rotation(*[("alice", "bob")] * 3)
    world = rotation.world
    broken = world.container(rotation.sent[0])
    replace = broken.replace_document

    def refuse(name: str, data: bytes, *, etag: str) -> None:
        raise DocumentChangedError(name)

    monkeypatch.setattr(broken, "replace_document", refuse)
    assert rotation.worker.work(Page.model_validate_json(rotation.messages.pop(0))).handed_out == 2
    message = next(each for each in rotation.messages if rotation.sent[0] in each)
    rotation.messages.remove(message)
    assert len(rotation.messages) == 1
    for _ in range(50):
        with pytest.raises(PageNotDoneError):
            rotation.worker.work(Page.model_validate_json(message))
    assert len(rotation.messages) == 1
    rotation.run()
    assert world.index.has_any(rotation.old.key_id, KeyRole.RECIPIENT)
    monkeypatch.setattr(broken, "replace_document", replace)
    rotation.messages.append(message)
    rotation.run()
    assert not world.index.has_any(rotation.old.key_id, KeyRole.RECIPIENT)


def test_what_the_system_cannot_open_is_left_to_others() -> None:
    """A container for external participants alone; its row stays, so its key is not destroyed."""
    rotation = Rotation(("alice", "carol"))
    carol = rotation.world.registry.load("carol")
    old = carol.find_active_key(KeyPurpose.KEM)
    assert old is not None
    rotation.world.make_key(carol, KeyPurpose.KEM)
    rotation.messages[:] = [Page(key_id=old.key_id, correlation_id="rotate-2").model_dump_json(exclude_none=True)]
    assert rotation.run() == rotation.sent
    assert rotation.world.index.has_dependents(old.key_id)


def test_a_retired_key_still_opens_and_a_revoked_one_does_not() -> None:
    """Rescue is for incidents alone."""
    rotation = Rotation(("alice", "bob"), ("alice", "bob"))
    rotation.world.registry.change_state(
        [key for key in rotation.world.registry.load("bob").keys if key.key_id == rotation.old.key_id],
        KeyState.RETIRED,
        at=NOW,
    )
    around = rotation.world.around()
    assert around.renewer_for("c-1").renew(rotation.sent[0], correlation_id="c-1").epoch == 2
    rotation.world.registry.change_state(
        [key for key in rotation.world.registry.load("bob").keys if key.key_id == rotation.old.key_id],
        KeyState.REVOKED,
        at=NOW,
    )
    rotation.messages[:] = [Page(key_id=rotation.old.key_id, correlation_id="c-2").model_dump_json(exclude_none=True)]
    assert rotation.run() == [rotation.sent[1]]


def test_a_rotation_begins_with_the_key_that_was_there_before() -> None:
    """After a revocation there is none: an incident sees to what it protected."""
    rotated = KeyRotated(
        participant="bob", purpose=KeyPurpose.KEM, old_key_id="aa" * 32, new_key_id="bb" * 32, rotated_at=NOW
    )
    assert first_page(rotated) == Page(key_id="aa" * 32, correlation_id=f"rotate-{'bb' * 16}")
    assert first_page(rotated.model_copy(update={"old_key_id": None})) is None
