"""What a client puts on record: each use of a managed key, and how receiving went."""

import getpass
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.manifest import Manifest
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.holder import KeyHolder, ManagedKeyHolder
from pqtransfer.recording.keys import KeyFacts, RecordingKeyReader
from pqtransfer.recording.recorder import JobRecorder


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


def name_local_user() -> str:
    """Who runs this program, as the machine says: `jo@node-7`."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
