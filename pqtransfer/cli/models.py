"""`pqtransfer send` and `pqtransfer receive`: models through a deployment."""

import base64
import binascii
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqtransfer.cli.deployments import (
    DEFAULT_DEPLOYMENT,
    DeploymentFile,
    connect,
    describe_record,
    name_sender,
)
from pqtransfer.cli.options import NotToSelfOption, parse_metadata, show_examples
from pqtransfer.cli.output import JsonOption, print_fields
from pqtransfer.cli.progress_bar import show_progress
from pqtransfer.cli.watching import watch_to_end
from pqtransfer.errors import InputError

if TYPE_CHECKING:
    from pqtransfer.crypto.manifest import Manifest

SAFE_NAME_LIMIT_BYTES = 200
"""File systems allow 255; the partial file and the journal beside it have longer names."""

app = typer.Typer()

ParticipantOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        envvar="PQTRANSFER_PARTICIPANT",
        help="Act as this managed participant (needs permission to take its role).",
        show_default=False,
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="DIR",
        envvar="PQTRANSFER_KEY",
        help="Act as the participant whose keys are in this directory.",
        show_default=False,
    ),
]


class InvalidDigestError(InputError):
    """A digest on the command line is not one."""

    def __init__(self) -> None:
        super().__init__("--expect-sha256 takes the 64 hexadecimal digits that sha256sum prints")


class InvalidDeadlineError(InputError):
    """A time on the command line is not one."""

    def __init__(self) -> None:
        super().__init__("--deadline takes a time with its zone, for example 2026-12-24T18:00:00+00:00")


@app.command(
    epilog=show_examples(
        "pqtransfer send model.safetensors --key keys/hospital-a --to hospital-b --to hospital-c",
        "pqtransfer send s3://our-models/model.safetensors --as hospital-a --to hospital-b",
    )
)
def send(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A file, or s3://BUCKET/KEY[?versionId=ID].")],
    to: Annotated[
        list[str], typer.Option("--to", metavar="NAME", help="A participant that may read it. Repeat for more.")
    ],
    participant: ParticipantOption = None,
    key: KeyOption = None,
    suite: Annotated[str, typer.Option(metavar="SUITE", help="PQT-1, or PQT-2 for CNSA 2.0 strength.")] = "PQT-1",
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Goes into the signed manifest. Repeatable.", show_default=False),
    ] = None,
    expect_size: Annotated[
        int | None, typer.Option(metavar="BYTES", help="Refuse a source of another size.", show_default=False)
    ] = None,
    expect_sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="Refuse a source with another SHA-256.", show_default=False)
    ] = None,
    hash_plaintext: Annotated[
        bool, typer.Option("--hash-plaintext", help="Put the model's own SHA-256 into the manifest (slower).")
    ] = False,
    priority: Annotated[int, typer.Option(min=0, max=9, help="0 (lowest) to 9.")] = 5,
    deadline: Annotated[
        str | None, typer.Option(metavar="TIME", help="Give up if not begun by then.", show_default=False)
    ] = None,
    transfer_id: Annotated[
        str | None, typer.Option(metavar="UUID", help="Name the transfer (UUIDv7).", show_default=False)
    ] = None,
    correlation_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="What logs and audit log call this transfer and what belongs to it; its own id if left out.",
            show_default=False,
        ),
    ] = None,
    not_to_self: NotToSelfOption = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until a worker has done it.")] = True,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Send a model to participants.

    A file is encrypted here and uploaded; its plaintext stays on this machine, and the same command again goes on after
    an interruption. An S3 object of a managed participant (--as) is encrypted by a worker of the deployment.
    """
    from pqtransfer.sdk.client import SendOptions
    from pqtransfer.transfers.ledger import FINAL_STATES

    client = connect(deployment)
    options = SendOptions(
        suite_id=suite,
        metadata=parse_metadata(metadata or []),
        expected_size_bytes=expect_size,
        expected_sha256=None if expect_sha256 is None else _read_digest(expect_sha256),
        hash_plaintext=hash_plaintext,
        priority=priority,
        deadline=None if deadline is None else _read_time(deadline),
        transfer_id=transfer_id,
        correlation_id=correlation_id,
        to_self=not not_to_self,
    )
    with show_progress("encrypting", quiet=as_json) as display:
        record = client.send(
            source, sender=name_sender(client, participant, key), recipients=to, options=options, watch=display.watch
        )
    if wait and record.state not in FINAL_STATES:
        record = watch_to_end(client, record.transfer_id, as_json=as_json)
    print_fields(describe_record(record), as_json=as_json)


@app.command(
    epilog=show_examples(
        "pqtransfer receive 01933b0e-8c1f-7a4e-9d55-0242ac120002 --key keys/hospital-b --from hospital-a",
        "pqtransfer receive 01933b0e-8c1f-7a4e-9d55-0242ac120002 --key keys/hospital-b --out model.safetensors",
        "pqtransfer receive 01933b0e-8c1f-7a4e-9d55-0242ac120002 --as hospital-c --wait",
    )
)
def receive(
    transfer_id: Annotated[str, typer.Argument(metavar="TRANSFER_ID", help="As `send` and `list` print it.")],
    participant: ParticipantOption = None,
    key: KeyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to. It must not exist. By default the name that the sender gave, here.",
            show_default=False,
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Refuse a model of anybody else.", show_default=False),
    ] = None,
    minimum_suite: Annotated[
        str | None,
        typer.Option(
            metavar="SUITE", help="Refuse a weaker suite; never less than the deployment's.", show_default=False
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the transfer is complete.")] = False,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Receive a model: check who sent it, decrypt it, and only then give it its name.

    Interrupted, the same command goes on with the parts that are missing. A model that was re-encrypted under another
    id, because a key was lost, is received from there once both manifests show that it is the same.
    """
    client = connect(deployment)
    if wait:
        watch_to_end(client, transfer_id, as_json=as_json)
    asked_for, transfer_id = transfer_id, client.find_current(transfer_id, sender=sender).transfer_id
    if transfer_id != asked_for:
        typer.echo(f"{asked_for} was re-encrypted as {transfer_id}: the same model of the same sender", err=True)
    if out is None:
        out = Path(name_file(client.read_manifest(transfer_id, sender=sender, minimum_suite_id=minimum_suite)))
    with show_progress("decrypting", quiet=as_json) as display:
        received = client.receive(
            transfer_id,
            reader=name_sender(client, participant, key),
            out=out,
            sender=sender,
            minimum_suite_id=minimum_suite,
            watch=display.watch,
        )
    size_bytes = received.manifest.plaintext_length
    fields = {
        "file": str(received.path),
        "transfer_id": transfer_id,
        **({} if transfer_id == asked_for else {"asked_for": asked_for}),
        "sender": received.manifest.sender,
        "suite": received.manifest.suite,
        "bytes": size_bytes,
        "seconds": round(received.seconds, 3),
        "megabytes_per_second": round(size_bytes / 1e6 / received.seconds, 1) if received.seconds else None,
        "metadata": received.manifest.metadata,
    }
    print_fields(fields, as_json=as_json)


def name_file(manifest: "Manifest") -> str:
    """A file name from the sender's metadata, if it is a plain one; else the transfer id."""
    name = os.path.basename(manifest.metadata.get("filename", ""))  # noqa: PTH119 - text of somebody else, not a path
    if not name or name.startswith(".") or not name.isprintable() or "\\" in name:
        return f"{manifest.transfer_id}.model"
    return name if len(name.encode()) <= SAFE_NAME_LIMIT_BYTES else f"{manifest.transfer_id}.model"


def _read_digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise InvalidDigestError from None
    if len(digest) != 32:
        raise InvalidDigestError
    return digest


def _read_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidDeadlineError from None
    if time.tzinfo is None:
        raise InvalidDeadlineError
    return time
