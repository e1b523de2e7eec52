"""When a signature by a lost key still counts: when the audit log proves that it is older than the loss.

Whoever has the key can sign anything, with any date in it. What they cannot do is put it into a checkpoint that a
witness has cosigned before they had the key. So a manifest counts if an event `manifest.sign` of exactly this manifest
stands in the log, under a checkpoint whose every counted witness gives a time before the loss.
"""

import hashlib
from datetime import datetime

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.events import AuditEvent, EventKind
from pqtransfer.audit.proofs import EntryProof
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.errors import IntegrityError

SIGNED_ACTION = "manifest.sign"
MANIFEST_DIGEST = "manifest_sha256"


def digest_manifest(manifest: SignedManifest) -> str:
    """The digest of the file `manifest.json`, signature included, as the audit log names it: SHA-256 in hexadecimal."""
    return hashlib.sha256(manifest.to_json()).hexdigest()


def is_event_of(event: AuditEvent, manifest: SignedManifest) -> bool:
    """Whether the event says that this very manifest was signed by this very key."""
    return (
        event.kind is EventKind.CRYPTOGRAPHY
        and event.action == SIGNED_ACTION
        and event.succeeded
        and event.key_id == manifest.signing_key.key_id
        and (event.target.type, event.target.id) == ("transfer", manifest.body.transfer_id)
        and event.details.get(MANIFEST_DIGEST) == digest_manifest(manifest)
    )


def is_proven_older(manifest: SignedManifest, proof: EntryProof, *, policy: TrustPolicy, than: datetime) -> bool:
    """Whether the proof shows that the manifest was signed before `than`.

    The times are those of the witnesses: what the event says of its own time is only a claim. At least one witness must
    have signed, whatever the policy asks for.
    """
    try:
        signed = proof.check(policy)
        event = AuditEvent.from_json(proof.entry)
    except IntegrityError:
        return False
    times = signed.witness_times.values()
    return len(times) > 0 and max(times) < than.timestamp() and is_event_of(event, manifest)
