"""Read the documents of a container, and check that payload, manifest and envelope belong together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pqtransfer.crypto.canonical_json import encode_base64
from pqtransfer.crypto.envelope import ENVELOPE_LIMIT_BYTES, Envelope, open_envelope
from pqtransfer.crypto.floe import FloeCipher
from pqtransfer.crypto.keypairs import PrivateKey, PublicKey
from pqtransfer.crypto.manifest import MANIFEST_LIMIT_BYTES, Manifest, SignedManifest
from pqtransfer.crypto.payload import open_payload_cipher
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import require_minimum_suite
from pqtransfer.errors import AccessError, InputError, IntegrityError, UnavailableError
from pqtransfer.transfers.folder import (
    ENVELOPE_NAME,
    MANIFEST_NAME,
    PAYLOAD_NAME,
    RESIGNED_NAME,
    Folder,
    ObjectMissingError,
    StoredObject,
)
from pqtransfer.transfers.ledger import FINAL_STATES, TransferRecord, TransferResult, TransferState
from pqtransfer.transfers.observing import UNOBSERVED, JobObserver, telling

FindSigningKey: TypeAlias = Callable[[str, str], PublicKey]
"""Gives the signing key that a participant (first argument) is known to have under a key id (second)."""


class NotAContainerError(InputError):
    """The place holds no container."""

    def __init__(self, location: str, missing: str) -> None:
        super().__init__(f"{location} is not a container of pqtransfer: {missing} is missing")


class NotReadyError(UnavailableError):
    """The transfer has not come to an end yet."""

    def __init__(self, record: TransferRecord) -> None:
        done, total = record.progress.bytes_done, record.progress.bytes_total
        share = f", {100 * done // total} % done" if total else ""
        super().__init__(f"transfer {record.transfer_id} is {record.state}{share}; wait for it with --wait")


class TransferEndedError(InputError):
    """The transfer failed or was cancelled: there is nothing to receive."""

    def __init__(self, record: TransferRecord) -> None:
        reason = f": {record.failure.message}" if record.failure else ""
        super().__init__(f"transfer {record.transfer_id} is {record.state}{reason}")


class SupersededError(InputError):
    """The model was re-encrypted under another id, and its old container is not to be used any more."""

    def __init__(self, transfer_id: str, superseded_by: str) -> None:
        super().__init__(
            f"transfer {transfer_id} was re-encrypted as {superseded_by}, because a key that could open it was lost; "
            "use that one"
        )
        self.superseded_by = superseded_by


class DamagedPayloadError(IntegrityError):
    """The payload object is not the one that the manifest names."""


class WrongTransferError(IntegrityError):
    """The container of another transfer stands in this one's place."""

    def __init__(self, location: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"{location} holds the container of transfer {found}, not of {expected}; "
            "do not use it, and ask who can write to the bucket"
        )


class WrongSenderError(IntegrityError):
    """The container is of somebody else than the sender that it should be of."""

    def __init__(self, location: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"{location} holds a model of {found}, not of {expected}; "
            "do not use it, and ask who can write to the bucket"
        )


@dataclass(frozen=True)
class StoredEnvelope:
    """An envelope and the state it was read in, for a conditional replacement."""

    envelope: Envelope
    etag: str


def read_manifest(container: Folder) -> SignedManifest:
    """Read `manifest.json` and check its form and its signature by the key it carries, whoever's that is.

    Raises:
        NotAContainerError: there is none.
        MalformedDocumentError, UnknownSuiteError, InvalidSignatureError: what is wrong with it.
    """
    try:
        document = container.read_document(MANIFEST_NAME, limit_bytes=MANIFEST_LIMIT_BYTES)
    except ObjectMissingError:
        raise NotAContainerError(container.locate(""), MANIFEST_NAME) from None
    return SignedManifest.from_json(document.data)


def read_trusted_manifest(
    container: Folder,
    record: TransferRecord,
    *,
    find_signing_key: FindSigningKey,
    minimum_suite_id: str,
    sender: str | None = None,
) -> SignedManifest:
    """Read `manifest.json` of a transfer that is COMPLETED, and check that a known key of its sender signed it.

    It must be of the transfer that `record` tells of, and of its sender: a whole container, validly signed, put in the
    place of another one is found here. A reader that knows the sender by itself (`sender`) need not trust the ledger.

    Where the signing key does not count any more, the sender's later signature under the same body does
    (`manifest-resigned.json`), and is what is returned.

    Raises:
        NotReadyError, TransferEndedError: the transfer is not COMPLETED.
        SupersededError: its model was re-encrypted under another id.
        WrongTransferError, WrongSenderError: it is of another transfer or of another sender.
        NotAContainerError, MalformedDocumentError, UnknownSuiteError, InvalidSignatureError: what is wrong with it.
        WeakSuiteError: its suite is under the minimum.
        PqtransferError: what `find_signing_key` raises for a signer or key that is not known.
    """
    if record.state is not TransferState.COMPLETED:
        raise (TransferEndedError if record.state in FINAL_STATES else NotReadyError)(record)
    if record.superseded_by is not None:
        raise SupersededError(record.transfer_id, record.superseded_by)
    manifest = read_manifest(container)
    if manifest.body.transfer_id != record.transfer_id:
        raise WrongTransferError(container.locate(""), expected=record.transfer_id, found=manifest.body.transfer_id)
    for expected in (record.request.sender, sender):
        if expected not in (None, manifest.body.sender):
            raise WrongSenderError(container.locate(""), expected=str(expected), found=manifest.body.sender)
    require_minimum_suite(manifest.body.suite, minimum_suite_id=minimum_suite_id)
    try:
        signer = find_signing_key(manifest.body.sender, manifest.signing_key.key_id)
    except AccessError:
        resigned = read_resigned_manifest(container, manifest)
        if resigned is None:
            raise
        manifest, signer = resigned, find_signing_key(manifest.body.sender, resigned.signing_key.key_id)
    manifest.require_signer(signer)
    return manifest


def read_resigned_manifest(container: Folder, manifest: SignedManifest) -> SignedManifest | None:
    """Read the later signature under a manifest, by the key that it carries; None when there is none.

    Raises:
        MalformedDocumentError, UnknownSuiteError, InvalidSignatureError: what is wrong with it.
        WrongTransferError: it is under another manifest.
    """
    try:
        document = container.read_document(RESIGNED_NAME, limit_bytes=MANIFEST_LIMIT_BYTES)
    except ObjectMissingError:
        return None
    resigned = SignedManifest.from_json(document.data)
    if resigned.body != manifest.body:
        raise WrongTransferError(
            container.locate(RESIGNED_NAME), expected=manifest.body.transfer_id, found=resigned.body.transfer_id
        )
    return resigned


def read_trusted_envelope(container: Folder, manifest: Manifest, *, find_signing_key: FindSigningKey) -> StoredEnvelope:
    """Read `envelope.json` and check that a known key of its signer signed it, for the manifest's transfer.

    Raises:
        DamagedEnvelopeError: it is of another transfer.
        NotAContainerError, MalformedDocumentError, UnknownSuiteError, InvalidSignatureError: what is wrong with it.
        PqtransferError: what `find_signing_key` raises for a signer or key that is not known.
    """
    stored = read_envelope(container)
    stored.envelope.require_transfer_of(manifest)
    signer = find_signing_key(stored.envelope.body.signer, stored.envelope.signing_key.key_id)
    stored.envelope.require_signer(signer)
    return stored


def read_envelope(container: Folder) -> StoredEnvelope:
    """Read `envelope.json` and check its form and its signature by the key it carries.

    Raises:
        NotAContainerError: there is none.
        MalformedDocumentError, UnknownSuiteError, InvalidSignatureError: what is wrong with it.
    """
    try:
        document = container.read_document(ENVELOPE_NAME, limit_bytes=ENVELOPE_LIMIT_BYTES)
    except ObjectMissingError:
        raise NotAContainerError(container.locate(""), ENVELOPE_NAME) from None
    return StoredEnvelope(Envelope.from_json(document.data), document.etag)


def find_payload(container: Folder, manifest: Manifest) -> StoredObject:
    """The payload object in the version and with the length that the manifest names.

    Raises:
        NotAContainerError: there is none.
        DamagedPayloadError: it has another length.
    """
    try:
        payload = container.find(PAYLOAD_NAME, version_id=manifest.object_version_id)
    except ObjectMissingError:
        raise NotAContainerError(container.locate(""), PAYLOAD_NAME) from None
    if payload.size_bytes != manifest.ciphertext_length:
        raise DamagedPayloadError(
            f"the payload has {payload.size_bytes} bytes, the manifest says {manifest.ciphertext_length}: "
            "it was cut, or is another one; fetch it again"
        )
    return payload


def open_cipher(manifest: Manifest, data_key: SecretBytes) -> FloeCipher:
    """The payload's cipher.

    Raises:
        WrongDataKeyError: data key and manifest do not belong together.
    """
    return open_payload_cipher(
        data_key,
        header=manifest.floe_header,
        suite_id=manifest.suite,
        transfer_id=manifest.transfer_id,
        sender=manifest.sender,
    )


def open_data_key(
    manifest: Manifest, envelope: Envelope, keys: Sequence[PrivateKey], *, observer: JobObserver = UNOBSERVED
) -> SecretBytes:
    """The data key, opened from the envelope and checked against the payload header.

    Raises:
        NotARecipientError, DamagedEnvelopeError, WrongDataKeyError: why it cannot be had.
    """
    with telling(observer, "envelope.open"):
        data_key = open_envelope(envelope, manifest, keys)
        open_cipher(manifest, data_key)
    used = (key.public_key.key_id for key in keys if key.public_key.key_id in envelope.recipient_key_ids)
    observer.envelope_opened(envelope, key_id=next(used))
    return data_key


def describe_container(manifest: Manifest, *, location: str, epoch: int) -> TransferResult:
    """The result of a transfer, for the ledger: where it is, its lengths and digests."""
    return TransferResult(
        location=location,
        plaintext_length=manifest.plaintext_length,
        ciphertext_length=manifest.ciphertext_length,
        composite_sha256=encode_base64(manifest.composite_sha256),
        part_count=len(manifest.part_sha256),
        plaintext_sha256=encode_base64(manifest.plaintext_sha256) if manifest.plaintext_sha256 else None,
        object_version_id=manifest.object_version_id,
        envelope_epoch=epoch,
    )
