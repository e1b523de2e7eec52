"""What a worker does with a request of kind `reencrypt`: the same model under a new data key, for those who could read.

Nobody gains anything by asking for it: only the model's own sender may ask, and only for participants that it is
wrapped to already. So it may be opened with any key that the system keeps, a revoked one among them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import AccessError
from pqtransfer.keys.custody import PrivateKeyReader
from pqtransfer.keys.registry import KeyRegistry, resolve_recipients
from pqtransfer.protection.owners import KeyOwners, NobodyHereCanOpenError, find_managed_keys, read_managed_key
from pqtransfer.protection.reserving import KeyReservations
from pqtransfer.transfers.container import open_data_key, read_envelope
from pqtransfer.transfers.encrypting import EncryptedContainer, EncryptionOrder, encrypt_model
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.reencrypting import DecryptedContainer, name_origin
from pqtransfer.transfers.request import TransferRequest


class NotOfSenderError(AccessError):
    """A model was to be re-encrypted in the name of somebody who did not send it."""

    def __init__(self, container: str, *, sender: str, asked_by: str) -> None:
        super().__init__(f"{container} is a model of {sender}: {asked_by} cannot have it re-encrypted, {sender} can")


class NotARecipientYetError(AccessError):
    """A re-encryption names somebody who could not read the model before."""

    def __init__(self, transfer_id: str, names: list[str]) -> None:
        super().__init__(
            f"transfer {transfer_id} is not wrapped to {', '.join(names)}; re-encrypt it for those that it is wrapped "
            "to, and give it to others by a rewrap"
        )


@dataclass(frozen=True)
class Reencryption:
    """Re-encrypts containers by its ports."""

    registry: KeyRegistry
    key_reader: PrivateKeyReader
    reservations: KeyReservations
    minimum_suite_id: str
    session_name: str
    now: Callable[[], datetime]

    def run(
        self,
        request: TransferRequest,
        manifest: SignedManifest,
        *,
        first_recipients: tuple[str, ...],
        signing_key: PrivateKey,
        old: Folder,
        new: Folder,
        context: JobContext,
    ) -> EncryptedContainer:
        """Make the new container of the old one, going on where an earlier attempt ended.

        `first_recipients` are those that the model was sent to: the system may keep a key of one who is no longer asked
        for, and a worker may not look through all participants for it.

        Raises:
            NotOfSenderError, NotARecipientYetError: it may not be asked for.
            NobodyHereCanOpenError: the system keeps no key that opens it.
            PqtransferError: as `encrypt_model`, and what is wrong with the old container.
        """
        body = manifest.body
        if body.sender != request.sender:
            raise NotOfSenderError(request.source or "", sender=body.sender, asked_by=request.sender)
        envelope = read_envelope(old).envelope
        envelope.require_transfer_of(body)
        owners = KeyOwners(self.registry, among_everybody=False).find(
            envelope.recipient_key_ids, candidates=lambda: (request.sender, *request.recipients, *first_recipients)
        )
        strangers = set(request.recipients) - set(owners.values())
        if strangers:
            raise NotARecipientYetError(body.transfer_id, sorted(strangers))
        recipients = resolve_recipients(
            request.recipients, registry=self.registry, minimum_suite_id=self.minimum_suite_id
        )
        source = DecryptedContainer(old, body, self._open(manifest, envelope, owners, context))
        order = EncryptionOrder(
            transfer_id=request.transfer_id,
            suite_id=body.suite,
            sender=body.sender,
            signing_key=signing_key,
            recipients=tuple(recipients),
            created_at=self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            metadata=name_origin(body.metadata, body.transfer_id),
            expected_size_bytes=body.plaintext_length,
            expected_sha256=body.plaintext_sha256,
            part_size_bytes=body.part_size,
            reserve_recipients=self.reservations.for_first_envelope(
                request.recipients, transfer_id=request.transfer_id, signing_key_id=signing_key.public_key.key_id
            ),
        )
        return encrypt_model(order, source_folder=source, source=source.model, container=new, context=context)

    def _open(
        self, manifest: SignedManifest, envelope: Envelope, owners: dict[str, str], context: JobContext
    ) -> SecretBytes:
        """The data key, opened with a key that the system keeps: one that may be used, or else one that was revoked."""
        keys = find_managed_keys(self.registry, owners, rescue=True)
        if not keys:
            raise NobodyHereCanOpenError(manifest.body.transfer_id)
        opening = read_managed_key(
            keys[0], registry=self.registry, reader=self.key_reader, session_name=self.session_name
        )
        return open_data_key(manifest.body, envelope, [opening], observer=context.observer)
