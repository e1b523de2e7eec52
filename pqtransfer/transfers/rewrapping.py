"""Rewrap: give a container a new envelope. No payload byte moves; the manifest stays as it is.

Rewrap is not revocation: whoever could open the old envelope may have kept the data key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pqtransfer.crypto.envelope import Envelope, seal_envelope
from pqtransfer.crypto.keypairs import PrivateKey, PublicKey
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.transfers.container import open_data_key, read_envelope
from pqtransfer.transfers.folder import ENVELOPE_NAME, Folder


@dataclass(frozen=True)
class RewrapOrder:
    """Who opens (`keys`), who reads from now on (`recipients`), and who signs."""

    keys: Sequence[PrivateKey]
    recipients: tuple[PublicKey, ...]
    signer: str
    signing_key: PrivateKey


def rewrap_envelope(order: RewrapOrder, manifest: Manifest, *, container: Folder) -> Envelope:
    """Open the envelope, wrap the data key to the new recipients, and replace it if nobody else did meanwhile.

    Raises:
        NotARecipientError, DamagedEnvelopeError, WrongDataKeyError: the old envelope cannot be opened.
        InvalidKeyError: a new recipient's key does not fit.
        DocumentChangedError: somebody else replaced the envelope first.
    """
    stored = read_envelope(container)
    data_key = open_data_key(manifest, stored.envelope, order.keys)
    envelope = seal_envelope(
        data_key,
        suite_id=manifest.suite,
        transfer_id=manifest.transfer_id,
        floe_header=manifest.floe_header,
        recipients=order.recipients,
        signer=order.signer,
        signing_key=order.signing_key,
        epoch=stored.envelope.body.epoch + 1,
    )
    container.replace_document(ENVELOPE_NAME, envelope.to_json(), etag=stored.etag)
    return envelope
