"""The commands that make things without any cloud: keygen, encrypt, decrypt.

The SDK is imported inside the commands, so that `pqtransfer --help` answers at once.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqtransfer.cli.options import (
    ContainerArgument,
    MinimumSuiteOption,
    NotToSelfOption,
    RecipientOption,
    SenderOption,
    UsageError,
    load_sender,
    open_audit_spool,
    parse_metadata,
    show_examples,
)
from pqtransfer.cli.output import JsonOption, print_fields, print_warning
from pqtransfer.cli.progress_bar import show_progress

if TYPE_CHECKING:
    from pqtransfer.sdk.offline import OpenContainer

app = typer.Typer()

_RANGE = re.compile(r"(\d{0,18}):(\d{0,18})")


@app.command(epilog=show_examples("pqtransfer keygen --out keys/hospital-a"))
def keygen(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The key directory to make.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The participant's name; the directory's name if left out.")
    ] = None,
    suite: Annotated[str, typer.Option(metavar="SUITE", help="PQT-1, or PQT-2 for CNSA 2.0 strength.")] = "PQT-1",
    as_json: JsonOption = False,
) -> None:
    """Make a participant's keys: public-keys.json to give away, private-keys.json to keep."""
    from pqtransfer.crypto.identity import PARTICIPANT_NAME
    from pqtransfer.sdk import generate_identity, save_identity
    from pqtransfer.sdk.audit import record_new_keys

    participant = name or out.resolve().name
    if name is None and not PARTICIPANT_NAME.fullmatch(participant):
        raise UsageError(f"{participant!r} cannot serve as the participant's name; choose one with --name")
    identity = generate_identity(participant, suite_id=suite)
    record_new_keys(open_audit_spool(), identity.to_public())
    public = save_identity(identity, out)
    print_fields(
        {
            "participant": public.participant,
            "suite": public.suite_id,
            "public_keys": str(out / "public-keys.json"),
            "private_keys": str(out / "private-keys.json"),
            "signing_key": public.signing.key_id,
            "kem_key": public.kem.key_id,
        },
        as_json=as_json,
    )


@app.command(
    epilog=show_examples(
        "pqtransfer encrypt model.safetensors --sender keys/hospital-a --to hospital-b/public-keys.json --out container"
    )
)
def encrypt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The model.")],
    sender: Annotated[Path, typer.Option(metavar="DIR", help="Your key directory.")],
    to: RecipientOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The container directory to make.")],
    suite: Annotated[
        str | None, typer.Option(metavar="SUITE", help="The suite; that of your keys if left out.")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Signed, but readable by everybody. Repeat for more."),
    ] = None,
    hash_plaintext: Annotated[
        bool, typer.Option("--hash-plaintext", help="Also sign the SHA-256 of the whole model (slower).")
    ] = False,
    not_to_self: NotToSelfOption = False,
    as_json: JsonOption = False,
) -> None:
    """Encrypt a model to its recipients, and to yourself. The container appears when it is whole."""
    from pqtransfer.sdk import encrypt_file, load_private_identity, load_public_identity

    pairs = parse_metadata(metadata or [])
    identity = load_private_identity(sender)
    recipients = [load_public_identity(path) for path in to]
    with show_progress("encrypting", quiet=as_json) as display:
        made = encrypt_file(
            file,
            sender=identity,
            recipients=recipients,
            out=out,
            suite_id=suite,
            metadata=pairs,
            hash_plaintext=hash_plaintext,
            to_self=not not_to_self,
            watch=display.watch,
            trail=open_audit_spool(),
        )
    body = made.manifest.body
    print_fields(
        {
            "container": str(out),
            "transfer_id": body.transfer_id,
            "sender": body.sender,
            "suite": body.suite,
            "recipients": [recipient.participant for recipient in recipients],
            "plaintext_bytes": body.plaintext_length,
            "ciphertext_bytes": body.ciphertext_length,
            "plaintext_sha256": body.plaintext_sha256.hex() if body.plaintext_sha256 else None,
        },
        as_json=as_json,
    )


@app.command(
    epilog=show_examples(
        "pqtransfer decrypt container --key keys/hospital-b --sender hospital-a/public-keys.json --out model.bin",
        "pqtransfer decrypt container --key keys/hospital-b --range 0:1024 --out -",
    )
)
def decrypt(
    container: ContainerArgument,
    key: Annotated[Path, typer.Option(metavar="DIR", help="Your key directory.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to make; - is stdout, with --range.")],
    sender: SenderOption = None,
    byte_range: Annotated[
        str | None,
        typer.Option("--range", metavar="START:END", help="Only these bytes; either side may be left out."),
    ] = None,
    minimum_suite: MinimumSuiteOption = "PQT-1",
    as_json: JsonOption = False,
) -> None:
    """Decrypt a container. The file appears when all of it was verified."""
    from pqtransfer.sdk import decrypt_directory, load_private_identity
    from pqtransfer.sdk.ranges import decrypt_range

    to_stdout = str(out) == "-"
    if to_stdout and (byte_range is None or as_json):
        raise UsageError("--out - goes with --range and without --json: a whole model is verified before it is shown")
    start, end = _parse_range(byte_range)
    identity, known_sender = load_private_identity(key), load_sender(sender)
    if byte_range is not None:
        opened, length = decrypt_range(
            container,
            key=identity,
            start=start or 0,
            end=end,
            out=sys.stdout.buffer if to_stdout else out,
            sender=known_sender,
            minimum_suite_id=minimum_suite,
            trail=open_audit_spool(),
        )
    else:
        with show_progress("decrypting", quiet=as_json) as display:
            opened = decrypt_directory(
                container,
                key=identity,
                out=out,
                sender=known_sender,
                minimum_suite_id=minimum_suite,
                watch=display.watch,
                trail=open_audit_spool(),
            )
        length = opened.manifest.body.plaintext_length
    _warn_of_strangers(opened)
    if not to_stdout:
        print_fields(
            {
                "file": str(out),
                "bytes": length,
                "transfer_id": opened.manifest.body.transfer_id,
                "sender": opened.manifest.body.sender,
                "sender_verified": opened.sender_verified,
            },
            as_json=as_json,
        )


def _warn_of_strangers(opened: "OpenContainer") -> None:
    if not opened.sender_verified:
        print_warning(
            f"the sender is not authenticated: the container names {opened.manifest.body.sender}, signing key "
            f"{opened.manifest.signing_key.key_id}; compare that key with theirs, or give --sender"
        )


def _parse_range(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"--range {text!r} is not START:END, for example 0:1024; END is not included")
    start, end = match.groups()
    return (int(start) if start else None), (int(end) if end else None)
