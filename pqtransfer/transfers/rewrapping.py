"""Rewrap: give a container a new envelope. No payload byte moves; the manifest stays as it is.

Rewrap is not revocation: whoever could open the old envelope may have kept the data key. It can be repeated: an
envelope that is already by this signer for these recipients is left as it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pqtransfer.crypto.envelope import Envelope, seal_envelope
from pqtransfer.crypto.keypairs import PrivateKey, PublicKey
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.transfers.container import StoredEnvelope, open_data_key
from pqtransfer.transfers.folder import ENVELOPE_NAME, DocumentChangedError, Folder
from pqtransfer.transfers.job import take_as_ours
from pqtransfer.transfers.observing import UNOBSERVED, JobObserver, telling

MAXIMUM_ROUNDS = 3


@dataclass(frozen=True)
class RewrapOrder:
    """Who opens (`find_opening_keys` by key id), who reads from now on (`recipients`), and who signs.

    `reserve_recipients` takes the recipients' keys into use for the envelope of the epoch that it is given, and returns
    them as they are then. Left out, `recipients` are wrapped to.
    """

    find_opening_keys: Callable[[Iterable[str]], Sequence[PrivateKey]]
    recipients: tuple[PublicKey, ...]
    signer: str
    signing_key: PrivateKey
    reserve_recipients: Callable[[int], tuple[PublicKey, ...]] | None = None


def rewrap_envelope(
    order: RewrapOrder,
    manifest: Manifest,
    *,
    container: Folder,
    read_current: Callable[[], StoredEnvelope],
    confirm: Callable[[], None] = take_as_ours,
    observer: JobObserver = UNOBSERVED,
) -> Envelope:
    """Open the envelope, wrap the data key to the new recipients, and replace it if nobody else did meanwhile.

    `read_current` reads the envelope as it stands, and checks who signed it. When somebody else replaced it, all of it
    is done anew, a few times. `confirm` raises when the rewrap is not ours any more: one that was overtaken must not
    undo what was asked for after it, so the envelope is read first and then the lease confirmed. `observer` is told of
    each unwrapping and wrapping, also of one that somebody else outran.

    Raises:
        NotARecipientError, DamagedEnvelopeError, WrongDataKeyError: the old envelope cannot be opened.
        InvalidKeyError: a new recipient's key does not fit.
        DocumentChangedError: others kept replacing the envelope.
    """
    for _ in range(MAXIMUM_ROUNDS - 1):
        try:
            return _rewrap_once(order, manifest, container, read_current, confirm, observer)
        except DocumentChangedError:
            continue
    return _rewrap_once(order, manifest, container, read_current, confirm, observer)


def _rewrap_once(
    order: RewrapOrder,
    manifest: Manifest,
    container: Folder,
    read_current: Callable[[], StoredEnvelope],
    confirm: Callable[[], None],
    observer: JobObserver,
) -> Envelope:
    stored = read_current()
    confirm()
    current = stored.envelope
    wanted = {key.key_id for key in order.recipients}
    if set(current.recipient_key_ids) == wanted and current.signing_key == order.signing_key.public_key:
        return current
    keys = order.find_opening_keys(current.recipient_key_ids)
    data_key = open_data_key(manifest, current, keys, observer=observer)
    epoch = current.body.epoch + 1
    recipients = order.recipients if order.reserve_recipients is None else order.reserve_recipients(epoch)
    with telling(observer, "envelope.rewrap"):
        envelope = seal_envelope(
            data_key,
            suite_id=manifest.suite,
            transfer_id=manifest.transfer_id,
            floe_header=manifest.floe_header,
            recipients=recipients,
            signer=order.signer,
            signing_key=order.signing_key,
            epoch=epoch,
        )
    observer.envelope_wrapped(envelope)
    container.replace_document(ENVELOPE_NAME, envelope.to_json(), etag=stored.etag)
    return envelope
