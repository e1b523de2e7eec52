"""Options that several commands take, each defined once."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqtransfer.errors import InputError

if TYPE_CHECKING:
    from pqtransfer.audit.trail import AuditTrail
    from pqtransfer.crypto.identity import PublicIdentity

AUDIT_SPOOL_VARIABLE = "PQTRANSFER_AUDIT_SPOOL"


class UsageError(InputError):
    """An option's value cannot be used."""


ContainerArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The container directory.")]
RecipientOption = Annotated[
    list[Path],
    typer.Option("--to", metavar="PUB", help="A recipient's public-keys.json, or its directory. Repeat for more."),
]
SenderOption = Annotated[
    Path | None,
    typer.Option("--sender", metavar="PUB", help="The sender's public-keys.json: accept only what this sender signed."),
]
MinimumSuiteOption = Annotated[
    str, typer.Option("--minimum-suite", metavar="SUITE", help="Refuse containers of a weaker suite.")
]
NotToSelfOption = Annotated[bool, typer.Option("--not-to-self", help="Do not make yourself a recipient.")]


def open_audit_spool() -> "AuditTrail | None":
    """Where commands without a deployment put on record what they do, if PQTRANSFER_AUDIT_SPOOL names a directory."""
    from pqtransfer.aws.audit_offline import SpooledTrail

    directory = name_audit_spool()
    return None if directory is None else SpooledTrail(directory)


def name_audit_spool() -> Path | None:
    """The directory in which events for the audit log wait, if one is set."""
    directory = os.environ.get(AUDIT_SPOOL_VARIABLE)
    return Path(directory) if directory else None


def show_examples(*commands: str) -> str:
    """The end of a command's help: one example a line."""
    return "\n\n".join(["Examples:" if len(commands) > 1 else "Example:", *commands])


def parse_metadata(pairs: list[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as a dictionary.

    Raises:
        UsageError: a text is not of that form, or names a key again.
    """
    metadata: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"--metadata {pair!r} is not KEY=VALUE")
        if name in metadata:
            raise UsageError(f"--metadata names {name!r} twice")
        metadata[name] = value
    return metadata


def load_sender(path: Path | None) -> "PublicIdentity | None":
    """The identity that `--sender` names, if it was given."""
    from pqtransfer.sdk import load_public_identity

    return None if path is None else load_public_identity(path)
