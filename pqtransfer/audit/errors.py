"""What can be wrong with the audit log. Each message says what to do; a verifier reports findings instead."""

from pqtransfer.errors import AccessError, InputError, IntegrityError, UnavailableError


class InvalidProofError(IntegrityError):
    """A Merkle proof does not lead from what it should prove to the root."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the proof does not hold: {reason}; ask for a new one, then compare checkpoints")


class TileMissingError(IntegrityError):
    """A tile or an entry bundle that the checkpoint needs is not there."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} is missing from the log; restore it from a copy, and find out who removed it")


class DamagedTileError(IntegrityError):
    """A tile or an entry bundle is not what the checkpoint commits to."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path} is damaged: {reason}; keep it as evidence and restore it from a copy")


class MalformedNoteError(IntegrityError):
    """Text is not a signed note (C2SP signed-note)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is not a signed note: {reason}")


class MalformedCheckpointError(IntegrityError):
    """The text of a note is not a checkpoint (C2SP tlog-checkpoint)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is not a checkpoint: {reason}")


class MalformedProofError(IntegrityError):
    """Text is not a proof of an entry (C2SP tlog-proof)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is not a proof of an entry: {reason}")


class UntrustedCheckpointError(IntegrityError):
    """A checkpoint is not signed by the keys that must sign it, or a signature of a known key is false."""

    def __init__(self, origin: str, reason: str) -> None:
        super().__init__(f"the checkpoint of {origin} cannot be trusted: {reason}; do not rely on this log")


class InvalidNoteKeyError(InputError):
    """A note key cannot be read or used."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is not a note key: {reason}; give NAME+ID+KEY as the log's operator published it")


class MalformedEventError(IntegrityError):
    """Bytes are not an audit event of this version."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is not an audit event: {reason}")


class MalformedMessageError(IntegrityError):
    """A message of the queue does not hold events."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this message holds no audit events: {reason}; find out who may write to the audit queue")


class EventTooLargeError(InputError):
    """An event has more bytes than the log takes."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the audit event has {size_bytes} bytes, at most {limit_bytes} are logged; say less in its details"
        )


class RefusedCosignatureError(IntegrityError):
    """A checkpoint does not continue what the witness has signed before."""

    def __init__(self, origin: str, findings: list[str]) -> None:
        super().__init__(
            f"the witness does not sign the checkpoint of {origin} ({'; '.join(findings)}); "
            "keep both checkpoints as evidence and find out who holds the log's keys"
        )


class RolledBackStateError(IntegrityError):
    """The sequencer's state is older than a checkpoint that the log has signed: going on would fork the log."""

    def __init__(self, state_size: int, signed_size: int) -> None:
        super().__init__(
            f"the audit log has signed {signed_size} entries, but its state says {state_size}: the state was set back; "
            "restore it from the staged batch of the last checkpoint, and find out who changed it"
        )


class ForkedStateError(IntegrityError):
    """The sequencer's state does not continue the checkpoint that the log has signed: signing it would fork the log."""

    def __init__(self, size: int, signed_size: int) -> None:
        super().__init__(
            f"the audit log's state of {size} entries does not continue the {signed_size} entries that it has signed; "
            "keep state and files as evidence, restore both from a copy, and find out who changed them"
        )


class LogMovedError(UnavailableError):
    """Another sequencer has moved the log meanwhile."""

    def __init__(self) -> None:
        super().__init__("another sequencer has moved the audit log; read it again and append then")


class MissingPackageError(InputError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}; install it with: pip install 'pqtransfer[reports]'")


class BundleLockedError(AccessError):
    """A bundle is due to be purged, and a lock or a legal hold keeps it."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} is due to be purged, but its lock or a legal hold keeps it; keep entries for at least as long as "
            "the bucket locks them, and purge again when the lock has ended"
        )


class UnaccountedPurgeError(IntegrityError):
    """What stands at `purged` is not what the log tells of."""

    def __init__(self, first_kept: int) -> None:
        super().__init__(
            f"the log does not tell of a purge of the entries before {first_kept}, as its `purged` says; nothing is "
            "purged until it does: verify the log, restore the file from its former version, and find out who wrote it"
        )
