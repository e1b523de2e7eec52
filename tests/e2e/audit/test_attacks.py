"""Attacks on the deployed log by somebody with every right to its bucket and table, but without the keys.

Each is found by the deployed check, named, told to the administrators and recorded, and what was there before and after
is preserved under legal hold.
"""

import pytest
from botocore.exceptions import ClientError

from pqtransfer.audit.checkpoints import Checkpoint, sign_checkpoint
from pqtransfer.audit.derived_keys import LOG_KINDS, derive_signers
from pqtransfer.audit.note_keys import LocalNoteSigner
from pqtransfer.aws.audit_secrets import read_signing_secret
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.sdk.audit_log import AuditLog
from tests.e2e.audit.attacks import ATTACKS, Attack, sign_with_own_keys
from tests.e2e.audit.scene import Scene
from tests.e2e.conftest import ActAs

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("D7.3", "D7.5", "S4.7", "N6")]

COMPLETENESS = {"sequence-gap", "events-withheld"}


def expect_alarm(scene: Scene, kind: str) -> None:
    """The administrators were told, and the event is on its way to the log."""
    code = "audit-log-incomplete" if kind in COMPLETENESS else "audit-log-tampered"
    alert = scene.wait_for_alert(code, kind)
    assert alert["severity"] == ("high" if kind in COMPLETENESS else "critical")
    report = scene.read(alert["details"]["evidence"])
    assert kind.encode() in report


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_it_is_found_named_told_and_kept(scene: Scene, attack: Attack) -> None:
    """Whatever the attacker does, with no key of the log or the witness."""
    with scene.witness_held():
        before = scene.read(attack.evidence) if attack.evidence else b""
        attack.commit(scene)
        found = scene.check()
        shown = scene.read(attack.evidence) if attack.evidence else b""
        scene.undo()
    assert set(attack.found) <= set(found), found
    for kind in attack.found:
        expect_alarm(scene, kind)
    if attack.evidence:
        kept = scene.evidence_of(attack.evidence)
        assert before in kept
        assert shown in kept


def test_a_log_signed_with_other_keys_is_not_believed(scene: Scene) -> None:
    """The attacker makes a whole log of his own, and signs it as well as he can."""
    signers = derive_signers(scene.deployment.audit_origin, LOG_KINDS, SecretBytes(b"m" * 64))
    with scene.witness_held():
        sign_with_own_keys(scene, list(signers))
        assert "checkpoint-untrusted" in scene.check()
        scene.undo()
    expect_alarm(scene, "checkpoint-untrusted")


def make_signers(act_as: ActAs, scene: Scene) -> list[LocalNoteSigner]:
    """The log's own keys, as if they had been stolen."""
    secret = read_signing_secret(act_as(None).client("secretsmanager"), "pqtransfer/local/audit/log-keys")
    return derive_signers(scene.deployment.audit_origin, LOG_KINDS, secret)


def test_two_histories_are_found_even_when_the_logs_keys_were_stolen(scene: Scene, act_as: ActAs) -> None:
    """Somebody with the log's keys shows one reader another history. The witness does not sign it, and says so."""
    signers = make_signers(act_as, scene)
    with scene.witness_held():
        shown = scene.read("checkpoint")
        other = Checkpoint(scene.deployment.audit_origin, scene.state.size, bytes(range(32)))
        scene.overwrite("unwitnessed", sign_checkpoint(other, signers, time_seconds=1_780_000_000).to_bytes())
        scene.invoke(scene.deployment.functions.witness_checkpoint, {})
        scene.wait_for_alert("audit-witness-refused")
        assert scene.read("checkpoint") == shown
        assert "split-view" in scene.check()
        scene.undo()
    expect_alarm(scene, "split-view")


def test_a_signature_of_a_revoked_key_counts_for_nothing(scene: Scene) -> None:
    """The keys were stolen and revoked; a checkpoint that they sign afterwards is told apart from a random one."""
    stolen = derive_signers(scene.deployment.audit_origin, LOG_KINDS, SecretBytes(b"s" * 64))
    trust = {"Bucket": scene.deployment.audit_trust_bucket, "Key": "keys/revoked"}
    scene.s3.put_object(**trust, Body="".join(f"{signer.key}\n" for signer in stolen).encode())
    try:
        size = scene.state.size
        checkpoint = Checkpoint(scene.deployment.audit_origin, size, scene.state.checkpoint.root)
        with scene.witness_held():
            scene.overwrite("checkpoint", sign_checkpoint(checkpoint, stolen, time_seconds=1_780_000_000).to_bytes())
            assert "key-revoked" in scene.check()
        expect_alarm(scene, "key-revoked")
    finally:
        scene.s3.delete_object(**trust)


def test_the_attacker_has_no_keys_and_cannot_touch_what_is_trusted(scene: Scene, act_as: ActAs) -> None:
    """Nor can he delete a version for good: the lock and the hold keep them."""
    attacker = act_as("arn:aws:iam::000000000000:role/e2e-audit-attacker")
    for name in ("log-keys", "witness-keys"):
        with pytest.raises(ClientError, match="AccessDenied"):
            attacker.client("secretsmanager").get_secret_value(SecretId=f"pqtransfer/local/audit/{name}")
    s3 = scene.attacker_s3
    for key in ("keys/log", "keys/witness", "witness/last", "checker/trusted"):
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            s3.put_object(Bucket=scene.deployment.audit_trust_bucket, Key=key, Body=b"")
    version = s3.head_object(Bucket=scene.bucket, Key="tile/entries/000")["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=scene.bucket, Key="tile/entries/000", VersionId=version)
    for key in scene.list_keys("evidence/")[:3]:
        version = s3.head_object(Bucket=scene.bucket, Key=key)["VersionId"]
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=scene.bucket, Key=key, VersionId=version, BypassGovernanceRetention=True)


def test_what_was_found_stands_in_the_log_itself(scene: Scene) -> None:
    """Each finding is a security event of the log, with where its evidence is."""
    attack = ATTACKS[0]
    with scene.witness_held():
        attack.commit(scene)
        scene.check()
    scene.undo()
    scene.settle()
    log = AuditLog(scene.log_files, scene.load_policy())
    told = [each.event for each in log.tail(200) if each.event.action == "audit.tamper.detect"]
    assert "entry-changed" in {event.details["finding"] for event in told}
    assert all(scene.read(event.details["evidence"]) for event in told)
