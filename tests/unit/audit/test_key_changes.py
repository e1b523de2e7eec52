"""New keys for a log or a witness: both sign for a while, what was signed before still counts, and nothing is mixed."""

from dataclasses import replace

import pytest

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy, cosign, open_checkpoint, sign_checkpoint
from pqtransfer.audit.errors import InvalidNoteKeyError, UntrustedCheckpointError
from pqtransfer.audit.key_changes import SigningKeys, describe_replacement
from pqtransfer.audit.note_keys import LocalNoteSigner
from pqtransfer.audit.published_keys import PublishedKeys
from tests.unit.audit.kept_logs import COMPLETED_AT as COMPLETED
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS, make_signer
from tests.unit.audit.samples import make_event
from tests.unit.audit.stores import MemoryDeployment

NEW_LOG = [make_signer(ORIGIN, each.key.kind, seed="new") for each in LOG_SIGNERS]
NEW_WITNESS = [make_signer(each.key.name, each.key.kind, seed="new") for each in WITNESS_SIGNERS]
CHECKPOINT = Checkpoint(ORIGIN, 3, bytes(32))


def keys(signers: list[LocalNoteSigner]) -> tuple:
    return tuple(each.key for each in signers)


CHANGED = TrustPolicy(
    ORIGIN,
    log_keys=keys(NEW_LOG),
    witness_keys=keys(NEW_WITNESS),
    witnesses_required=1,
    former_log_keys=(keys(LOG_SIGNERS),),
    former_witness_keys=(keys(WITNESS_SIGNERS),),
)


def sign(log: list[LocalNoteSigner], witness: list[LocalNoteSigner]) -> bytes:
    note = sign_checkpoint(CHECKPOINT, log, time_seconds=TIME_SECONDS)
    return cosign(note, witness, time_seconds=TIME_SECONDS).to_bytes()


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize(
    ("log", "witness", "before", "after"),
    [
        (LOG_SIGNERS, WITNESS_SIGNERS, True, True),  # signed before the change
        ([*NEW_LOG, *LOG_SIGNERS], WITNESS_SIGNERS, True, True),  # while both sign
        ([*NEW_LOG, *LOG_SIGNERS], [*NEW_WITNESS, *WITNESS_SIGNERS], True, True),
        (NEW_LOG, NEW_WITNESS, False, True),  # the former ones are revoked
        (NEW_LOG, WITNESS_SIGNERS, False, True),  # the witness has kept its own
        ([NEW_LOG[0], LOG_SIGNERS[1]], WITNESS_SIGNERS, False, False),  # one of each time is none
        (LOG_SIGNERS, [NEW_WITNESS[0], WITNESS_SIGNERS[1]], False, False),
        (NEW_LOG[:1], NEW_WITNESS, False, False),
        ([*NEW_LOG, *LOG_SIGNERS], [], False, False),
    ],
)
def test_who_believes_what(
    log: list[LocalNoteSigner], witness: list[LocalNoteSigner], before: bool, after: bool
) -> None:
    """A reader that knows the former keys, and one that knows the new ones, and that there were others."""
    for policy, expected in ((POLICY, before), (CHANGED, after)):
        if expected:
            assert open_checkpoint(sign(log, witness), policy).checkpoint == CHECKPOINT
        else:
            with pytest.raises(UntrustedCheckpointError):
                open_checkpoint(sign(log, witness), policy)


@pytest.mark.requirement("D7.5", "N6")
def test_a_former_key_that_is_revoked_signs_nothing_any_more() -> None:
    """Whoever has it cannot show a log of his own; a policy cannot believe and revoke one key."""
    revoked = replace(CHANGED, former_log_keys=(), revoked_keys=keys(LOG_SIGNERS))
    with pytest.raises(UntrustedCheckpointError):
        open_checkpoint(sign(LOG_SIGNERS, WITNESS_SIGNERS), revoked)
    assert open_checkpoint(sign([*NEW_LOG, *LOG_SIGNERS], NEW_WITNESS), revoked)
    with pytest.raises(InvalidNoteKeyError, match="revoked"):
        replace(CHANGED, revoked_keys=keys(LOG_SIGNERS)[:1])


def test_a_false_signature_of_a_former_key_spoils_the_note() -> None:
    """As that of any known key."""
    note = sign(NEW_LOG, NEW_WITNESS)
    other = sign_checkpoint(Checkpoint(ORIGIN, 4, bytes(32)), LOG_SIGNERS, time_seconds=TIME_SECONDS).to_bytes()
    with pytest.raises(UntrustedCheckpointError, match="does not hold"):
        open_checkpoint(note + other.partition(b"\n\n")[2], CHANGED)


@pytest.mark.parametrize(
    "changes",
    [
        {"former_log_keys": (keys(NEW_LOG),)},
        {"former_log_keys": ((),)},
        {"former_witness_keys": (keys(LOG_SIGNERS),), "former_log_keys": ()},
        {"former_log_keys": (keys(NEW_WITNESS),), "witness_keys": keys(NEW_WITNESS)},
    ],
)
def test_policies_that_contradict_themselves_are_refused(changes: dict) -> None:
    """One key twice, none at all, the log's as a witness's."""
    with pytest.raises(InvalidNoteKeyError):
        replace(CHANGED, **changes)


def test_former_keys_are_published_with_the_others() -> None:
    assert PublishedKeys.from_json(PublishedKeys.from_policy(CHANGED).to_json()).to_policy() == CHANGED


@pytest.mark.requirement("D7.3", "N6")
def test_the_sequencer_goes_on_under_new_keys() -> None:
    """From a checkpoint under the former keys, to both, to the new ones alone; each continues the one before."""
    deployment = MemoryDeployment()
    times = [
        SigningKeys(tuple(LOG_SIGNERS)),
        SigningKeys(tuple(NEW_LOG), tuple(LOG_SIGNERS)),
        SigningKeys(tuple(NEW_LOG), tuple(LOG_SIGNERS)).without_revoked([str(LOG_SIGNERS[0].key)]),
    ]
    readers = [TrustPolicy(ORIGIN, keys(signers)) for signers in (LOG_SIGNERS, LOG_SIGNERS, NEW_LOG)]
    for number, (signing, reader) in enumerate(zip(times, readers, strict=True), 1):
        sequencer = deployment.make_sequencer(signers=signing.signers, former_policies=signing.list_policies(ORIGIN))
        sequencer.append([make_event(sequence=number).to_json()], time_seconds=TIME_SECONDS)
        assert deployment.log.checkpoint is not None
        assert open_checkpoint(deployment.log.checkpoint.data, reader).checkpoint.size == number


def test_a_change_of_keys_is_an_event_that_names_all_of_them() -> None:
    """It stands in a log that both have signed."""
    facts = describe_replacement(
        SigningKeys(tuple(NEW_LOG), tuple(LOG_SIGNERS)), of=ORIGIN, actor="sequence-audit-log", at=COMPLETED
    )
    assert (facts.action, facts.target.id) == ("audit.keys.replace", ORIGIN)
    assert set(facts.details) == {"new_key_1", "new_key_2", "former_key_1", "former_key_2"}
