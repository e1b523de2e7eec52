"""What the commands on a deployment share: connecting, acting as a participant, showing a transfer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqtransfer.cli.options import name_audit_spool
from pqtransfer.errors import InputError

if TYPE_CHECKING:
    from pqtransfer.keys.holder import KeyHolder
    from pqtransfer.sdk.client import Client
    from pqtransfer.transfers.ledger import TransferRecord

DEFAULT_DEPLOYMENT = Path("deployment.json")

DeploymentFile = Annotated[
    Path,
    typer.Option(
        "--deployment", metavar="FILE", envvar="PQTRANSFER_DEPLOYMENT", help="The file that the deployment wrote."
    ),
]


class WhoError(InputError):
    """The command does not say as whom to act, or says it twice."""

    def __init__(self) -> None:
        super().__init__(
            "say as whom: --key DIR (your key directory) or --as NAME (a managed participant), "
            "or set PQTRANSFER_KEY or PQTRANSFER_PARTICIPANT"
        )


def connect(deployment: Path) -> "Client":
    """The client of a deployment."""
    from pqtransfer.sdk.client import Client
    from pqtransfer.sdk.deployment import load_deployment

    return Client.connect(load_deployment(deployment), audit_spool=name_audit_spool())


def name_sender(client: "Client", participant: str | None, key: Path | None) -> "KeyHolder":
    """Whom the command acts as.

    Raises:
        WhoError: neither or both were named.
    """
    from pqtransfer.sdk import load_private_identity

    if (participant is None) == (key is None):
        raise WhoError
    if key is not None:
        return client.local_holder(load_private_identity(key))
    return client.managed_holder(participant or "")


def describe_record(record: "TransferRecord") -> dict[str, Any]:
    """A transfer, for printing."""
    progress, result = record.progress, record.result
    seconds = (record.changed_at - record.submitted_at).total_seconds() if result else None
    return {
        "transfer_id": record.transfer_id,
        "state": record.state,
        "kind": record.kind,
        "sender": record.request.sender,
        "recipients": list(record.request.recipients),
        "suite": record.request.suite,
        "submitted_at": record.submitted_at.isoformat(timespec="seconds"),
        "changed_at": record.changed_at.isoformat(timespec="seconds"),
        "correlation_id": record.request.correlation_id,
        "attempt": record.attempt,
        "retries": dict(record.retries),
        "owner": record.owner,
        "bytes_done": progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "parts_done": progress.parts_done,
        "parts_total": progress.parts_total,
        "megabytes_per_second": round(progress.bytes_per_second / 1e6, 1),
        "seconds_left": None if progress.seconds_left is None or result else round(progress.seconds_left, 1),
        "seconds": None if seconds is None else round(seconds, 2),
        "location": result.location if result else None,
        "composite_sha256": result.composite_sha256 if result else None,
        "plaintext_sha256": result.plaintext_sha256 if result else None,
        "object_version_id": result.object_version_id if result else None,
        "envelope_epoch": result.envelope_epoch if result else None,
        "failure": f"{record.failure.code}: {record.failure.message}" if record.failure else None,
        "last_error": f"{record.last_error.code}: {record.last_error.message}" if record.last_error else None,
    }
