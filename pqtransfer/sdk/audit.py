"""What a client puts on record: each use of a managed key, and how receiving went."""

import getpass
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.identity import PublicIdentity
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.holder import KeyHolder, ManagedKeyHolder
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import make_key_versions
from pqtransfer.recording.keys import KeyFacts, RecordingKeyReader
from pqtransfer.recording.recorder import JobRecorder
from pqtransfer.recording.transfers import TransferFacts
from pqtransfer.recording.wording import fit_text
from pqtransfer.transfers.observing import UNOBSERVED, JobObserver
from pqtransfer.transfers.request import TransferKind, TransferRequest


def record_key_uses(
    holder: KeyHolder, trail: AuditTrail, *, correlation_id: str, through: Mapping[str, str]
) -> KeyHolder:
    """The same holder; where its keys are read through a role, each reading is on record before the key is handed out.

    Of keys in a directory, what is done with them is on record.
    """
    if not isinstance(holder, ManagedKeyHolder):
        return holder
    facts = KeyFacts(holder.participant, correlation_id, through)
    return replace(holder, reader=RecordingKeyReader(holder.reader, trail, facts))


@dataclass(frozen=True)
class ReceivingRecorder(JobRecorder):
    """The `JobObserver` of whoever receives a model: it gets its name when it is on record."""

    def model_decrypted(self, manifest: Manifest) -> None:
        self.trail.record(self.facts.model_decrypted(manifest), self.facts.received(manifest))

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Put on record why nothing was received, when that will not change by trying again."""
        try:
            yield
        except UnavailableError:
            raise
        except PqtransferError as error:
            self.trail.record(*self.facts.not_received(error))
            raise


def observe_offline(
    trail: AuditTrail | None,
    command: str,
    *,
    transfer_id: str,
    sender: str,
    suite_id: str,
    recipients: Sequence[str] = (),
    actor: str | None = None,
) -> JobObserver:
    """The observer of a command on a container on disk: the container's transfer is what its events are about.

    Without a trail nobody is told. Without an actor (no key is used) it is who runs the program.
    """
    if trail is None:
        return UNOBSERVED
    request = TransferRequest(
        transfer_id=transfer_id,
        kind=TransferKind.UPLOAD,
        sender=sender,
        recipients=tuple(recipients) or (sender,),
        suite=suite_id,
        correlation_id=transfer_id,
    )
    user = name_local_user()
    through = {"request": f"offline {command}", "local_user": user}
    return JobRecorder(trail, TransferFacts(request, through, actor=actor or user))


def record_new_keys(trail: AuditTrail | None, identity: PublicIdentity) -> None:
    """Put the keys of a new key directory on record, before it appears."""
    if trail is None:
        return
    user, now = name_local_user(), datetime.now(UTC)
    facts = KeyFacts(user, f"keygen-{identity.signing.key_id[:32]}", {"local_user": user})
    keys = make_key_versions(identity, version=1, state=KeyState.PENDING, created_at=now)
    trail.record(*map(facts.created, keys))


def name_local_user() -> str:
    """Who runs this program, as the machine says: `jo@node-7`."""
    return fit_text(f"{getpass.getuser()}@{socket.gethostname()}")
