"""Containers on disk, without any cloud: encrypt, decrypt, verify, inspect, rewrap.

Each function leaves a finished result under its name or nothing at all, and can simply be called again. A `trail` has
each operation before its result is there.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from uuid6 import uuid7

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.identity import PrivateIdentity, PublicIdentity
from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.crypto.manifest import InvalidSignatureError, SignedManifest
from pqtransfer.crypto.suites import PQT_1, require_minimum_suite
from pqtransfer.sdk.audit import observe_offline
from pqtransfer.sdk.in_memory import MemoryCheckpointStore, MemorySealer
from pqtransfer.sdk.local_folder import LocalFolder
from pqtransfer.sdk.new_directory import build_directory
from pqtransfer.sdk.reader import ModelReader
from pqtransfer.transfers.container import find_payload, open_data_key, read_envelope, read_manifest
from pqtransfer.transfers.decrypting import DecryptionOrder, decrypt_model
from pqtransfer.transfers.encrypting import EncryptedContainer, EncryptionOrder, encrypt_model
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.job import JobContext, ignore_progress
from pqtransfer.transfers.observing import UNOBSERVED, JobObserver, telling
from pqtransfer.transfers.progress import ProgressMeter
from pqtransfer.transfers.rewrapping import RewrapOrder, rewrap_envelope
from pqtransfer.transfers.verifying import verify_payload

DEFAULT_MINIMUM_SUITE_ID = PQT_1.id

WatchProgress = Callable[[ProgressMeter], None]


@dataclass(frozen=True)
class OpenContainer:
    """A container whose documents were read and whose signatures hold.

    `sender_verified` says whether the manifest's key was compared with a sender's key that the caller knows. Without
    that, the signature only shows that the container is whole, not whose it is.
    """

    manifest: SignedManifest
    envelope: Envelope
    sender_verified: bool

    @property
    def rewrapped(self) -> bool:
        """True when somebody else than the sender wrapped the data key last."""
        return self.envelope.signing_key != self.manifest.signing_key


def encrypt_file(
    source: Path,
    *,
    sender: PrivateIdentity,
    recipients: Sequence[PublicIdentity],
    out: Path,
    suite_id: str | None = None,
    metadata: Mapping[str, str] | None = None,
    hash_plaintext: bool = False,
    to_self: bool = True,
    watch: WatchProgress | None = None,
    trail: AuditTrail | None = None,
) -> EncryptedContainer:
    """Encrypt `source` into the new container directory `out`.

    Args:
        source: a regular file; symbolic links are followed.
        sender: signs the manifest; also a recipient unless `to_self` is false.
        recipients: who can decrypt.
        out: appears when the container is whole; must not exist, or be an empty directory.
        suite_id: the suite; None takes that of the sender's keys.
        metadata: application data for the manifest: signed, but readable by everybody.
        hash_plaintext: also put the SHA-256 of the whole plaintext into the manifest (one more hashing pass).
        watch: receives a progress meter when the work begins.
        trail: where it is put on record.

    Raises:
        InputError: what was given cannot be used: a missing file, a key of another suite, a place that is taken.
        SourceChangedError: the file was changed meanwhile.
        DiskFullError: there is no room; nothing is left behind.
    """
    keys = _collect_recipients(recipients, sender if to_self else None)
    with LocalFolder(source.parent) as source_folder, build_directory(out) as directory:
        order = EncryptionOrder(
            transfer_id=str(uuid7()),
            suite_id=suite_id or sender.signing.suite_id,
            sender=sender.participant,
            signing_key=sender.signing,
            recipients=keys,
            created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            metadata=dict(metadata or {}),
            hash_plaintext=hash_plaintext,
        )
        observer = observe_offline(
            trail,
            "encrypt",
            transfer_id=order.transfer_id,
            sender=sender.participant,
            suite_id=order.suite_id,
            recipients=tuple(dict.fromkeys(recipient.participant for recipient in recipients)),
            actor=sender.participant,
        )
        with LocalFolder(directory) as container:
            return encrypt_model(
                order,
                source_folder=source_folder,
                source=source_folder.find(source.name),
                container=container,
                context=make_context(watch, observer),
            )


def open_directory(
    container: Path, *, sender: PublicIdentity | None = None, minimum_suite_id: str = DEFAULT_MINIMUM_SUITE_ID
) -> OpenContainer:
    """Read manifest and envelope of a container directory and check them against each other; no payload is read.

    Raises:
        NotAContainerError: there is no container.
        IntegrityError: a document was changed, belongs to another transfer, or is not the sender's.
        WeakSuiteError: the suite is under the minimum.
    """
    with LocalFolder(container) as folder:
        return open_container(folder, sender=sender, minimum_suite_id=minimum_suite_id)


def open_container(
    folder: Folder, *, sender: PublicIdentity | None = None, minimum_suite_id: str = DEFAULT_MINIMUM_SUITE_ID
) -> OpenContainer:
    """Like `open_directory`, for a container in any folder."""
    manifest = read_manifest(folder)
    if sender is not None:
        manifest.require_signer(sender.signing)
        if manifest.body.sender != sender.participant:
            raise InvalidSignatureError("manifest", f"{sender.participant}: it names {manifest.body.sender}")
    require_minimum_suite(manifest.body.suite, minimum_suite_id=minimum_suite_id)
    envelope = read_envelope(folder).envelope
    envelope.require_transfer_of(manifest.body)
    return OpenContainer(manifest, envelope, sender_verified=sender is not None)


def decrypt_directory(
    container: Path,
    *,
    key: PrivateIdentity,
    out: Path,
    sender: PublicIdentity | None = None,
    minimum_suite_id: str = DEFAULT_MINIMUM_SUITE_ID,
    watch: WatchProgress | None = None,
    trail: AuditTrail | None = None,
) -> OpenContainer:
    """Decrypt a container directory to the new file `out`, which appears when all of it was verified.

    Args:
        container: the directory.
        key: a recipient.
        out: must not exist.
        sender: whose container this must be. None accepts any: the caller has to judge the name and key it returns.
        minimum_suite_id: the weakest suite that is accepted.
        watch: receives a progress meter when the work begins.
        trail: where it is put on record.

    Raises:
        NotAContainerError, IntegrityError, WeakSuiteError: see `open_directory`.
        NotARecipientError: the container is not for this key.
        ObjectExistsError, DiskFullError, PathDeniedError: `out` cannot be made; nothing is left behind.
    """
    with LocalFolder(container) as folder, LocalFolder(out.parent) as destination:
        opened = open_container(folder, sender=sender, minimum_suite_id=minimum_suite_id)
        manifest = opened.manifest.body
        observer = observe_container(trail, "decrypt", opened, actor=key.participant)
        order = DecryptionOrder(
            job_id=manifest.transfer_id,
            manifest=manifest,
            data_key=open_data_key(manifest, opened.envelope, [key.kem], observer=observer),
            destination_name=out.name,
        )
        with discard_unfinished(destination, out.name), telling(observer, "model.decrypt"):
            decrypt_model(order, container=folder, destination=destination, context=make_context(watch, observer))
        return opened


def open_model(
    container: Path,
    *,
    key: PrivateIdentity,
    sender: PublicIdentity | None = None,
    minimum_suite_id: str = DEFAULT_MINIMUM_SUITE_ID,
    cached_segments: int = 8,
    trail: AuditTrail | None = None,
) -> ModelReader:
    """A seekable file object over the plaintext of a container directory. See `ModelReader`.

    Raises:
        NotAContainerError, IntegrityError, WeakSuiteError, NotARecipientError: see `decrypt_directory`.
    """
    folder = LocalFolder(container)
    opened = open_container(folder, sender=sender, minimum_suite_id=minimum_suite_id)
    manifest = opened.manifest.body
    observer = observe_container(trail, "read", opened, actor=key.participant)
    data_key = open_data_key(manifest, opened.envelope, [key.kem], observer=observer)
    return ModelReader(folder, manifest, data_key, cached_segments=cached_segments)


def verify_directory(
    container: Path,
    *,
    sender: PublicIdentity,
    minimum_suite_id: str = DEFAULT_MINIMUM_SUITE_ID,
    watch: WatchProgress | None = None,
    trail: AuditTrail | None = None,
) -> OpenContainer:
    """Check a whole container without any secret key: signatures, lengths, and the digest of every part.

    Raises:
        NotAContainerError, IntegrityError, WeakSuiteError: what is wrong.
    """
    with LocalFolder(container) as folder:
        opened = open_container(folder, sender=sender, minimum_suite_id=minimum_suite_id)
        observer = observe_container(trail, "verify", opened)
        with telling(observer, "payload.verify"):
            verify_payload(opened.manifest.body, container=folder, context=make_context(watch, observer))
        return opened


def inspect_directory(container: Path) -> OpenContainer:
    """What a container says of itself. Its signatures hold by the keys it carries; the payload's length is checked.

    Raises:
        NotAContainerError, IntegrityError: what is wrong.
    """
    with LocalFolder(container) as folder:
        opened = open_container(folder)
        find_payload(folder, opened.manifest.body)
        return opened


def rewrap_directory(
    container: Path,
    *,
    key: PrivateIdentity,
    recipients: Sequence[PublicIdentity],
    sender: PublicIdentity | None = None,
    to_self: bool = True,
    trail: AuditTrail | None = None,
) -> Envelope:
    """Replace the envelope: from now on `recipients` can decrypt, and `key` itself unless `to_self` is false.

    This is no revocation: whoever could open the old envelope may have kept the data key.

    Raises:
        NotAContainerError, IntegrityError, NotARecipientError: the container cannot be opened with this key.
        InvalidKeyError: a recipient's key is of another suite.
        DocumentChangedError: somebody else replaced the envelope meanwhile.
    """
    with LocalFolder(container) as folder:
        opened = open_container(folder, sender=sender)
        order = RewrapOrder(
            find_opening_keys=lambda _key_ids: [key.kem],
            recipients=_collect_recipients(recipients, key if to_self else None),
            signer=key.participant,
            signing_key=key.signing,
        )
        return rewrap_envelope(
            order,
            opened.manifest.body,
            container=folder,
            read_current=lambda: read_envelope(folder),
            observer=observe_container(trail, "rewrap", opened, actor=key.participant),
        )


def make_context(watch: WatchProgress | None = None, observer: JobObserver = UNOBSERVED) -> JobContext:
    """The surroundings of a job that keeps nothing beyond this process."""
    return JobContext(
        checkpoints=MemoryCheckpointStore(),
        sealer=MemorySealer(),
        monotonic=time.monotonic,
        watch=watch or ignore_progress,
        observer=observer,
    )


def observe_container(
    trail: AuditTrail | None, command: str, opened: OpenContainer, *, actor: str | None = None
) -> JobObserver:
    """The observer of a command on a container; it is told at once of the manifest, if its sender is known."""
    body = opened.manifest.body
    observer = observe_offline(
        trail, command, transfer_id=body.transfer_id, sender=body.sender, suite_id=body.suite, actor=actor
    )
    if opened.sender_verified:
        observer.manifest_verified(opened.manifest)
    return observer


@contextmanager
def discard_unfinished(destination: Folder, name: str) -> Iterator[None]:
    """Remove the partial object when the work on it ends in an error."""
    try:
        yield
    except BaseException:
        destination.abort_stray_uploads(name)
        raise


def _collect_recipients(recipients: Sequence[PublicIdentity], own: PrivateIdentity | None) -> tuple[PublicKey, ...]:
    keys = [recipient.kem for recipient in recipients]
    if own is not None and own.kem.public_key not in keys:
        keys.append(own.kem.public_key)
    return tuple(keys)
