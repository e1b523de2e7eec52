"""Take recipients' keys into use for an envelope so that none of them is destroyed, or was revoked, before it stands.

    note the rows  ->  look again: still the ACTIVE keys?  ->  write the envelope

A key is destroyed only after it was RETIRED, and only if there is no row then. So a key that is still ACTIVE after its
row was written cannot be destroyed before whoever destroys keys has seen the row.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.errors import UnavailableError
from pqtransfer.keys.registry import KeyRegistry, resolve_recipients
from pqtransfer.transfers.dependencies import Dependency, DependencyIndex, KeyRole

MOST_ROUNDS = 5


class RecipientsChangingError(UnavailableError):
    """The recipients' keys were replaced again and again while they were being taken into use."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(f"keys of recipients of transfer {transfer_id} keep changing; it is tried again later")


@dataclass(frozen=True)
class KeyReservations:
    """Reserves keys for the envelopes of containers."""

    registry: KeyRegistry
    index: DependencyIndex
    minimum_suite_id: str

    def reserve(
        self, names: Iterable[str], *, transfer_id: str, epoch: int, signers: Iterable[tuple[str, KeyRole]] = ()
    ) -> tuple[PublicKey, ...]:
        """The KEM keys to wrap to now, in the order of `names`; the rows of them all stand when it returns.

        Args:
            signers: the ids of the signing keys, with what they sign.

        Raises:
            ParticipantUnknownError, ParticipantNotReadyError, WeakSuiteError: a name has no key that can be used.
            RecipientsChangingError: the keys keep changing.
        """
        wanted, signed = tuple(names), tuple(signers)
        keys = self._resolve(wanted)
        for _ in range(MOST_ROUNDS):
            named = [*((key.key_id, KeyRole.RECIPIENT) for key in keys), *signed]
            self.index.note(
                Dependency(key_id=key_id, role=role, transfer_id=transfer_id, epoch=epoch) for key_id, role in named
            )
            latest = self._resolve(wanted)
            if latest == keys:
                return keys
            keys = latest
        raise RecipientsChangingError(transfer_id)

    def for_first_envelope(
        self, names: Iterable[str], *, transfer_id: str, signing_key_id: str
    ) -> Callable[[], tuple[PublicKey, ...]]:
        """What a job that encrypts asks for its recipients' keys right before it wraps the data key."""
        wanted = tuple(names)
        signers = ((signing_key_id, KeyRole.ENVELOPE_SIGNER), (signing_key_id, KeyRole.MANIFEST_SIGNER))
        return lambda: self.reserve(wanted, transfer_id=transfer_id, epoch=1, signers=signers)

    def for_next_envelope(
        self, names: Iterable[str], *, transfer_id: str, signing_key_id: str, manifest_key_id: str
    ) -> Callable[[int], tuple[PublicKey, ...]]:
        """What a rewrap asks for its recipients' keys; it says the epoch."""
        wanted = tuple(names)
        signers = ((signing_key_id, KeyRole.ENVELOPE_SIGNER), (manifest_key_id, KeyRole.MANIFEST_SIGNER))
        return lambda epoch: self.reserve(wanted, transfer_id=transfer_id, epoch=epoch, signers=signers)

    def _resolve(self, names: tuple[str, ...]) -> tuple[PublicKey, ...]:
        return tuple(resolve_recipients(names, registry=self.registry, minimum_suite_id=self.minimum_suite_id))
