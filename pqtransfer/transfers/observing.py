"""What a job tells of each cryptographic operation in it, so that it can be put on record before it takes effect.

Each is told when it is done and before its result leaves the process: a key before it is used, a document before it is
stored, a file before it gets its name. What an observer raises ends the job, which can be repeated. Digests and public
keys are told, secrets are not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pqtransfer.crypto.envelope import Envelope
from pqtransfer.crypto.manifest import Manifest, SignedManifest
from pqtransfer.errors import AccessError, PqtransferError, UnavailableError

KEY_EXCHANGES = frozenset({"envelope.open", "envelope.wrap", "envelope.rewrap"})
"""Operations in which a data key is wrapped to a recipient's KEM key, or unwrapped with one."""


def is_failed_exchange(operation: str, error: PqtransferError) -> bool:
    """Whether a key exchange failed; one with a key that nothing was wrapped to is none."""
    return operation in KEY_EXCHANGES and not isinstance(error, AccessError)


class JobObserver(Protocol):
    """Who is told."""

    def began(self, operation: str) -> None:
        """An operation (`manifest.verify`) begins, in this thread. What it came to is told next."""

    def data_key_made(self, *, transfer_id: str, suite_id: str) -> None:
        """A data key was drawn."""

    def model_encrypted(self, manifest: SignedManifest) -> None:
        """Every part of the model was encrypted, and the manifest that says so was signed."""

    def envelope_wrapped(self, envelope: Envelope) -> None:
        """The data key was wrapped to the envelope's recipients: for the first time in epoch 1, later anew."""

    def manifest_verified(self, manifest: SignedManifest) -> None:
        """The manifest is signed by a known key of its sender."""

    def envelope_verified(self, envelope: Envelope) -> None:
        """The envelope is signed by a known key of its signer."""

    def envelope_opened(self, envelope: Envelope, *, key_id: str) -> None:
        """The data key was unwrapped with the KEM key of this id."""

    def model_decrypted(self, manifest: Manifest) -> None:
        """Every part was decrypted and checked; the model has no name yet."""

    def payload_verified(self, manifest: Manifest) -> None:
        """Every part of the payload has the digest that was signed."""

    def failed(self, operation: str, error: PqtransferError) -> None:
        """An operation (`manifest.verify`) ended in an error that trying again does not mend."""


class Unobserved:
    """Nobody is told."""

    def began(self, operation: str) -> None:
        """Nothing happens."""

    def data_key_made(self, *, transfer_id: str, suite_id: str) -> None:
        """Nothing happens."""

    def model_encrypted(self, manifest: SignedManifest) -> None:
        """Nothing happens."""

    def envelope_wrapped(self, envelope: Envelope) -> None:
        """Nothing happens."""

    def manifest_verified(self, manifest: SignedManifest) -> None:
        """Nothing happens."""

    def envelope_verified(self, envelope: Envelope) -> None:
        """Nothing happens."""

    def envelope_opened(self, envelope: Envelope, *, key_id: str) -> None:
        """Nothing happens."""

    def model_decrypted(self, manifest: Manifest) -> None:
        """Nothing happens."""

    def payload_verified(self, manifest: Manifest) -> None:
        """Nothing happens."""

    def failed(self, operation: str, error: PqtransferError) -> None:
        """Nothing happens."""


UNOBSERVED: JobObserver = Unobserved()


@contextmanager
def telling(observer: JobObserver, operation: str) -> Iterator[None]:
    """Tell the observer when what is done in the block begins, and when it fails for good."""
    observer.began(operation)
    try:
        yield
    except UnavailableError:
        raise
    except PqtransferError as error:
        observer.failed(operation, error)
        raise
