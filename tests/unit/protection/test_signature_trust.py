"""A signature by a lost key counts only where a witness has seen it before the loss; every near miss is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy, sign_checkpoint
from pqtransfer.audit.events import EventKind, Target
from pqtransfer.audit.proofs import EntryProof, prove_entry
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.protection.signature_trust import MANIFEST_DIGEST, digest_manifest, is_proven_older
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID, make_container
from tests.unit.audit.keys import LOG_POLICY, LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS
from tests.unit.audit.samples import make_event
from tests.unit.audit.trees import hash_tree, make_log, make_reader

pytestmark = pytest.mark.requirement("D4.4")

MANIFEST = SignedManifest.from_json(make_container(b"model").manifest_json)
LOST = datetime.fromtimestamp(TIME_SECONDS + 60, UTC)


def prove(*, witnessed_at: int | None = TIME_SECONDS, **changes: Any) -> EntryProof:
    """The proof of an event about MANIFEST, in a checkpoint that the witness has signed at that time."""
    known: dict[str, Any] = {
        "action": "manifest.sign",
        "target": Target(type="transfer", id=TRANSFER_ID),
        "key_id": MANIFEST.signing_key.key_id,
        "details": {MANIFEST_DIGEST: digest_manifest(MANIFEST)},
    }
    entries = [
        make_event(sequence=1).to_json(),
        make_event(EventKind.CRYPTOGRAPHY, sequence=2, **known | changes).to_json(),
    ]
    checkpoint = Checkpoint(ORIGIN, len(entries), hash_tree(entries))
    note = sign_checkpoint(checkpoint, LOG_SIGNERS, time_seconds=TIME_SECONDS)
    if witnessed_at is not None:
        witnessed = sign_checkpoint(checkpoint, WITNESS_SIGNERS, time_seconds=witnessed_at)
        note = note.add(witnessed.signatures)
    tree = TiledTree(checkpoint, make_reader(make_log(entries)))
    return prove_entry(entries[1], 1, tree=tree, checkpoint_note=note.to_bytes())


def counts(proof: EntryProof, *, manifest: SignedManifest = MANIFEST, policy: TrustPolicy = POLICY) -> bool:
    return is_proven_older(manifest, proof, policy=policy, than=LOST)


def test_what_was_witnessed_before_the_loss_counts() -> None:
    """By the time of the witness, to the second."""
    assert counts(prove())
    assert counts(prove(witnessed_at=TIME_SECONDS + 59))
    assert not counts(prove(witnessed_at=TIME_SECONDS + 60))


@pytest.mark.parametrize(
    "proof",
    [
        prove(witnessed_at=None),
        prove(witnessed_at=TIME_SECONDS + 3600),
        prove(action="manifest.verify"),
        prove(succeeded=False),
        prove(key_id="ab" * 32),
        prove(target=Target(type="transfer", id=OTHER_TRANSFER_ID)),
        prove(details={MANIFEST_DIGEST: "ab" * 32}),
        prove(details={}),
    ],
    ids=[
        "no witness",
        "witnessed later",
        "other action",
        "failed",
        "other key",
        "other transfer",
        "other manifest",
        "no digest",
    ],
)
def test_near_misses_do_not_count(proof: EntryProof) -> None:
    """Another time, another event, another manifest."""
    assert not counts(proof)


def test_a_policy_without_witnesses_proves_nothing() -> None:
    """The log alone could have been rewritten: somebody else must have seen it."""
    assert not counts(prove(), policy=LOG_POLICY)


def test_a_proof_that_does_not_hold_does_not_count() -> None:
    """Of another entry, or of another log."""
    good = prove()
    assert not counts(EntryProof(good.entry, 0, good.path, good.checkpoint_note))
    assert not counts(EntryProof(good.entry, good.index, good.path, b"no note"))


def test_another_manifest_of_the_thief_does_not_count() -> None:
    """The same payload with other metadata, signed by the same key, is another manifest."""
    other = SignedManifest.from_json(make_container(b"model", metadata={"round": "8"}).manifest_json)
    assert not counts(prove(), manifest=other)
