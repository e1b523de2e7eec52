"""The commands on containers that exist: inspect, verify, rewrap. They need no cloud."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqtransfer.cli.options import (
    ContainerArgument,
    MinimumSuiteOption,
    NotToSelfOption,
    RecipientOption,
    SenderOption,
    load_sender,
    open_audit_spool,
    show_examples,
)
from pqtransfer.cli.output import JsonOption, print_fields, print_warning
from pqtransfer.cli.progress_bar import show_progress

if TYPE_CHECKING:
    from pqtransfer.sdk.offline import OpenContainer

app = typer.Typer()


@app.command(epilog=show_examples("pqtransfer inspect container --json"))
def inspect(container: ContainerArgument, as_json: JsonOption = False) -> None:
    """Show what a container says of itself. Needs no key; signatures hold by the keys that the container carries."""
    from pqtransfer.sdk import inspect_directory

    print_fields(_describe(inspect_directory(container)), as_json=as_json)


@app.command(epilog=show_examples("pqtransfer verify container --sender hospital-a/public-keys.json"))
def verify(
    container: ContainerArgument,
    sender: Annotated[Path, typer.Option(metavar="PUB", help="The sender's public-keys.json, or its directory.")],
    minimum_suite: MinimumSuiteOption = "PQT-1",
    as_json: JsonOption = False,
) -> None:
    """Check signatures, lengths and every part's digest. Needs no secret key."""
    from pqtransfer.sdk import load_public_identity, verify_directory

    known_sender = load_public_identity(sender)
    with show_progress("verifying", quiet=as_json) as display:
        opened = verify_directory(
            container,
            sender=known_sender,
            minimum_suite_id=minimum_suite,
            watch=display.watch,
            trail=open_audit_spool(),
        )
    body = opened.manifest.body
    if opened.rewrapped:
        print_warning(
            f"the envelope was not wrapped by the sender but by {opened.envelope.body.signer}, signing key "
            f"{opened.envelope.signing_key.key_id}; the payload is the sender's all the same"
        )
    print_fields(
        {
            "verified": True,
            "transfer_id": body.transfer_id,
            "sender": body.sender,
            "parts": len(body.part_sha256),
            "ciphertext_bytes": body.ciphertext_length,
            "wrapped_by": opened.envelope.body.signer,
            "wrapped_by_sender": not opened.rewrapped,
        },
        as_json=as_json,
    )


@app.command(epilog=show_examples("pqtransfer rewrap container --key keys/hospital-a --to hospital-d/public-keys.json"))
def rewrap(
    container: ContainerArgument,
    key: Annotated[Path, typer.Option(metavar="DIR", help="Your key directory; you must be a recipient.")],
    to: RecipientOption,
    sender: SenderOption = None,
    not_to_self: NotToSelfOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change who can decrypt: replaces the envelope, moves no byte of the payload.

    The recipients you name replace the old ones. This is no revocation: whoever could read the container before may
    have kept its key.
    """
    from pqtransfer.sdk import load_private_identity, load_public_identity, rewrap_directory

    recipients = [load_public_identity(path) for path in to]
    envelope = rewrap_directory(
        container,
        key=load_private_identity(key),
        recipients=recipients,
        sender=load_sender(sender),
        to_self=not not_to_self,
        trail=open_audit_spool(),
    )
    print_fields(
        {
            "transfer_id": envelope.body.transfer_id,
            "epoch": envelope.body.epoch,
            "recipients": [recipient.participant for recipient in recipients],
            "recipient_keys": list(envelope.recipient_key_ids),
        },
        as_json=as_json,
    )


def _describe(opened: "OpenContainer") -> dict[str, Any]:
    body, envelope = opened.manifest.body, opened.envelope
    return {
        "transfer_id": body.transfer_id,
        "format": body.format,
        "suite": body.suite,
        "sender": body.sender,
        "sender_key": opened.manifest.signing_key.key_id,
        "created_at": body.created_at,
        "plaintext_bytes": body.plaintext_length,
        "ciphertext_bytes": body.ciphertext_length,
        "segment_bytes": body.segment_size,
        "part_bytes": body.part_size,
        "parts": len(body.part_sha256),
        "composite_sha256": body.composite_sha256.hex(),
        "plaintext_sha256": body.plaintext_sha256.hex() if body.plaintext_sha256 else None,
        "object_version_id": body.object_version_id,
        "metadata": body.metadata,
        "envelope_epoch": envelope.body.epoch,
        "wrapped_by": envelope.body.signer,
        "wrapped_by_key": envelope.signing_key.key_id,
        "recipient_keys": list(envelope.recipient_key_ids),
    }
