"""Renew envelopes: wrap the data key anew to the keys that its recipients have now. No byte of a payload is touched.

The system can do it for whatever is wrapped to a key that it keeps. It opens with that key, and signs in the name of
the participant whose key it was, with the signing key that this participant has now.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from pqtransfer.audit.events import AuditFacts, EventKind, Target
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.keys.custody import PrivateKeyReader
from pqtransfer.keys.lifecycle import may_verify
from pqtransfer.keys.participant import KeyVersion
from pqtransfer.keys.registry import KeyRegistry, ParticipantNotReadyError
from pqtransfer.protection.owners import (
    KeyOwners,
    NobodyHereCanOpenError,
    ParticipantDirectory,
    UnknownRecipientError,
    find_managed_keys,
    read_managed_key,
)
from pqtransfer.protection.reserving import KeyReservations
from pqtransfer.transfers.container import (
    NotAContainerError,
    StoredEnvelope,
    read_envelope,
    read_manifest,
    read_resigned_manifest,
)
from pqtransfer.transfers.dependencies import DependencyIndex, describe_dependencies, find_stale
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.ledger import TransferLedger, TransferNotFoundError
from pqtransfer.transfers.rewrapping import RewrapOrder, rewrap_envelope

ACTOR = "key-service"


class Renewal(StrEnum):
    """What became of an envelope."""

    REWRAPPED = "rewrapped"
    CURRENT = "current"
    GONE = "gone"


class RenewedEnvelope(BaseModel):
    """The envelope that stands now.

    `dropped` were recipients that nobody vouches for, and are none any more; `keyless` those whose key was revoked and
    who have no other yet: they are given the model again by a rewrap, once they have one.
    """

    model_config = ConfigDict(frozen=True)

    renewal: Renewal
    epoch: int | None = None
    dropped: tuple[str, ...] = ()
    keyless: tuple[str, ...] = ()


class Containers(Protocol):
    """The containers of the data bucket."""

    def container(self, prefix: str) -> Folder:
        """The folder `transfers/ID/` of one."""


@dataclass
class EnvelopeRenewer:
    """Renews envelopes by its ports, one after the other or by several threads.

    Private keys that it has read stay in its memory for as long as it lives: that is one batch. Keys are taken into use
    by `registry`; everything else is asked of `directory`, which may be a moment behind.
    """

    registry: KeyRegistry
    key_reader: PrivateKeyReader
    ledger: TransferLedger
    containers: Containers
    index: DependencyIndex
    trail: AuditTrail
    minimum_suite_id: str
    session_name: str
    directory: ParticipantDirectory | None = None
    _read_keys: dict[str, PrivateKey] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._directory: ParticipantDirectory = self.directory or self.registry
        self._owners = KeyOwners(self._directory)
        self._reservations = KeyReservations(self.registry, self.index, minimum_suite_id=self.minimum_suite_id)

    def renew(self, transfer_id: str, *, correlation_id: str, rescue: bool = False) -> RenewedEnvelope:
        """Renew the envelope of one container. One whose keys are all in use, and whose signature counts, stays.

        Args:
            rescue: revoked keys may open it, when no other can.

        Raises:
            NobodyHereCanOpenError, UnknownRecipientError: somebody else has to do it.
            InvalidKeyError: nobody is left to wrap to, or a key is of another suite.
            DocumentChangedError, CloudError, AuditUnavailableError: it can be tried again.
            IntegrityError: the container is damaged.
        """
        container = self.containers.container(f"transfers/{transfer_id}/")
        try:
            manifest, stored = read_manifest(container), read_envelope(container)
        except NotAContainerError:
            return RenewedEnvelope(renewal=Renewal.GONE)
        envelope = stored.envelope
        envelope.require_transfer_of(manifest.body)
        owners = self._find_owners(transfer_id, envelope)
        names, dropped = self._find_readers(transfer_id, envelope, owners)
        if not dropped and self._is_current(envelope, owners):
            self._forget_stale(transfer_id, envelope, manifest)  # a run that renewed it may have died before it did
            return RenewedEnvelope(renewal=Renewal.CURRENT, epoch=envelope.body.epoch)
        keyless = {name for name in names if self._active_key_id(name) is None}
        names = tuple(name for name in names if name not in keyless)
        opening = self._choose_key(transfer_id, owners, rescue=rescue)
        signing_key = self.read_signing_key(opening.participant)
        signed = self._find_signed(container, manifest)
        renewed = self._rewrap(
            container, stored, manifest, names, opening, signing_key, signed, correlation_id=correlation_id
        )
        self.index.forget(
            set(describe_dependencies(envelope, manifest_key_id=manifest.signing_key.key_id))
            - set(describe_dependencies(renewed, manifest_key_id=manifest.signing_key.key_id))
        )
        return RenewedEnvelope(
            renewal=Renewal.REWRAPPED,
            epoch=renewed.body.epoch,
            dropped=tuple(sorted(dropped)),
            keyless=tuple(sorted(keyless)),
        )

    def find_readers(self, transfer_id: str) -> tuple[str, ...]:
        """The participants that the envelope of a container is wrapped to now.

        Raises:
            NotAContainerError, UnknownRecipientError: there is none, or it is wrapped to an unknown key.
        """
        envelope = read_envelope(self.containers.container(f"transfers/{transfer_id}/")).envelope
        return tuple(dict.fromkeys(self._find_owners(transfer_id, envelope).values()))

    def read_signing_key(self, name: str) -> PrivateKey:
        """The signing key of a managed participant that it has now.

        Raises:
            ParticipantNotReadyError, CloudError: it cannot be had.
        """
        key = self._directory.load(name).find_active_key(KeyPurpose.SIGNING)
        if key is None:
            raise ParticipantNotReadyError(name)
        return self._read(key)

    def _rewrap(
        self,
        container: Folder,
        stored: StoredEnvelope,
        manifest: SignedManifest,
        names: Iterable[str],
        opening: KeyVersion,
        signing_key: PrivateKey,
        signed: SignedManifest,
        *,
        correlation_id: str,
    ) -> Envelope:
        reserve = self._reservations.for_next_envelope(
            names,
            transfer_id=manifest.body.transfer_id,
            signing_key_id=signing_key.public_key.key_id,
            manifest_key_id=signed.signing_key.key_id,
        )

        def reserve_and_record(epoch: int) -> tuple[PublicKey, ...]:
            keys = reserve(epoch)
            self.trail.record(
                AuditFacts(
                    kind=EventKind.CRYPTOGRAPHY,
                    action="envelope.rewrap",
                    actor=ACTOR,
                    target=Target(type="transfer", id=manifest.body.transfer_id),
                    succeeded=True,
                    correlation_id=correlation_id,
                    key_id=signing_key.public_key.key_id,
                    suite=manifest.body.suite,
                    details={
                        "epoch": str(epoch),
                        "opened_with": opening.key_id,
                        "in_the_name_of": opening.participant,
                        "recipients": str(len(keys)),
                    },
                )
            )
            return keys

        order = RewrapOrder(
            find_opening_keys=lambda _key_ids: [self._read(opening)],
            recipients=(),
            signer=opening.participant,
            signing_key=signing_key,
            reserve_recipients=reserve_and_record,
        )
        return rewrap_envelope(order, manifest.body, container=container, read_current=lambda: stored)

    def _forget_stale(self, transfer_id: str, envelope: Envelope, manifest: SignedManifest) -> None:
        current = describe_dependencies(envelope, manifest_key_id=manifest.signing_key.key_id)
        self.index.forget(find_stale(self.index.find_of(transfer_id), current))

    def _find_owners(self, transfer_id: str, envelope: Envelope) -> dict[str, str]:
        """Whose the keys are, in the order of the stanzas."""

        def candidates() -> Iterable[str]:
            try:
                request = self.ledger.get(transfer_id).request
            except TransferNotFoundError:
                return (envelope.body.signer,)
            return (*request.recipients, request.sender, envelope.body.signer)

        owners = self._owners.find(envelope.recipient_key_ids, candidates=candidates)
        unknown = [key_id for key_id in envelope.recipient_key_ids if key_id not in owners]
        if unknown:
            raise UnknownRecipientError(transfer_id, unknown[0])
        return owners

    def _find_readers(
        self, transfer_id: str, envelope: Envelope, owners: dict[str, str]
    ) -> tuple[tuple[str, ...], set[str]]:
        """Who reads from now on, and who was put among the recipients by a signature that counts no more.

        Whoever has a lost signing key and a lost KEM key can make an envelope for anybody. Then only those whom the
        transfer was asked for are taken over.
        """
        names = tuple(dict.fromkeys(owners.values()))
        if self._signature_counts(envelope):
            return names, set()
        request = self.ledger.get(transfer_id).request
        meant = {*request.recipients, request.sender}
        return tuple(name for name in names if name in meant), set(names) - meant

    def _find_signed(self, container: Folder, manifest: SignedManifest) -> SignedManifest:
        """The manifest, or its later signature, when the first does not count any more."""
        key = self._directory.load(manifest.body.sender).find_key(manifest.signing_key.key_id)
        if key is not None and may_verify(key.state):
            return manifest
        return read_resigned_manifest(container, manifest) or manifest

    def _signature_counts(self, envelope: Envelope) -> bool:
        signer = self._directory.load(envelope.body.signer).find_key(envelope.signing_key.key_id)
        return signer is not None and signer.public_key == envelope.signing_key and may_verify(signer.state)

    def _is_current(self, envelope: Envelope, owners: dict[str, str]) -> bool:
        if not self._signature_counts(envelope):
            return False
        active = {self._active_key_id(name) for name in set(owners.values())}
        return set(envelope.recipient_key_ids) <= active

    def _active_key_id(self, name: str) -> str | None:
        key = self._directory.load(name).find_active_key(KeyPurpose.KEM)
        return None if key is None else key.key_id

    def _choose_key(self, transfer_id: str, owners: dict[str, str], *, rescue: bool) -> KeyVersion:
        for key in find_managed_keys(self._directory, owners, rescue=rescue):
            if self._directory.load(key.participant).find_active_key(KeyPurpose.SIGNING) is not None:
                return key
        raise NobodyHereCanOpenError(transfer_id)

    def _read(self, key: KeyVersion) -> PrivateKey:
        with self._lock:  # a batch has many threads and few keys: each is read once
            if key.key_id not in self._read_keys:
                self._read_keys[key.key_id] = read_managed_key(
                    key, registry=self._directory, reader=self.key_reader, session_name=self.session_name
                )
            return self._read_keys[key.key_id]
