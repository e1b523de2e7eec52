"""The same secret is the same keys, and every purpose has its own."""

import pytest

from pqtransfer.audit.checkpoints import TrustPolicy, find_revoked_signer, sign_checkpoint
from pqtransfer.audit.derived_keys import LOG_KINDS, WITNESS_KINDS, ShortSecretError, derive_signers
from pqtransfer.audit.errors import InvalidNoteKeyError
from pqtransfer.audit.published_keys import PublishedKeys
from pqtransfer.crypto.secret import SecretBytes
from tests.unit.audit.keys import LOG_POLICY, ORIGIN, POLICY, TIME_SECONDS, make_signer
from tests.unit.audit.test_witnessing import make_checkpoint

SECRET = SecretBytes(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01")


def test_keys_are_those_of_the_secret_the_name_and_the_kind() -> None:
    """Nothing else goes into them, so a function that starts again has the same."""
    first = [signer.key for signer in derive_signers(ORIGIN, LOG_KINDS, SECRET)]
    assert first == [signer.key for signer in derive_signers(ORIGIN, LOG_KINDS, SECRET)]
    others = [
        *derive_signers(ORIGIN, WITNESS_KINDS, SECRET),
        *derive_signers("another", LOG_KINDS, SECRET),
        *derive_signers(ORIGIN, LOG_KINDS, SecretBytes(SECRET.reveal()[::-1])),
    ]
    keys = {key.public_key for key in first} | {signer.key.public_key for signer in others}
    assert len(keys) == 7  # the ML-DSA key of one name is the same, whoever it signs for
    assert "0123456789" not in repr(first)


def test_a_secret_that_is_too_short_is_refused() -> None:
    """One that somebody has typed, or an empty one."""
    with pytest.raises(ShortSecretError):
        derive_signers(ORIGIN, LOG_KINDS, SecretBytes(b"hunter2"))


@pytest.mark.requirement("D7.5", "N6")
def test_a_revoked_key_is_told_apart() -> None:
    """When it has truly signed; not when somebody has only written its name, or signed with a key that counts."""
    stolen = [make_signer(ORIGIN, key.kind, seed="stolen") for key in LOG_POLICY.log_keys]
    revoked = tuple(signer.key for signer in stolen)
    policy = TrustPolicy(ORIGIN, LOG_POLICY.log_keys, revoked_keys=revoked)
    note = sign_checkpoint(make_checkpoint(3), stolen, time_seconds=TIME_SECONDS).to_bytes()
    assert find_revoked_signer(note, policy) == revoked[0]
    assert find_revoked_signer(note.replace(b"\n3\n", b"\n4\n"), policy) is None
    assert find_revoked_signer(note, LOG_POLICY) is None
    assert PublishedKeys.from_policy(policy).to_policy() == policy


def test_no_key_is_believed_and_revoked() -> None:
    """A configuration that says both says nothing."""
    with pytest.raises(InvalidNoteKeyError, match="revoked"):
        TrustPolicy(ORIGIN, POLICY.log_keys, POLICY.witness_keys, revoked_keys=POLICY.witness_keys[:1])
