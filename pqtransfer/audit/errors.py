"""What can be wrong with the audit log. Each message says what to do; a verifier reports findings instead."""

from pqtransfer.errors import InputError, IntegrityError


class InvalidProofError(IntegrityError):
    """A Merkle proof does not lead from what it should prove to the root."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the proof does not hold: {reason}; ask for a new one, then compare checkpoints")


class TileMissingError(IntegrityError):
    """A tile or an entry bundle that the checkpoint needs is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is missing from the log; restore it from a copy, and find out who removed it")


class DamagedTileError(IntegrityError):
    """A tile or an entry bundle is not what the checkpoint commits to."""

    def __init__(self, path: str, reason: str) -> None:
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


class EventTooLargeError(InputError):
    """An event has more bytes than the log takes."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the audit event has {size_bytes} bytes, at most {limit_bytes} are logged; say less in its details"
        )


class InvalidBatchError(InputError):
    """A batch cannot be sequenced as it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this batch cannot be appended to the audit log: {reason}")
