"""Options that several commands take, each defined once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pqtransfer.crypto.identity import PublicIdentity

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


def load_sender(path: Path | None) -> "PublicIdentity | None":
    """The identity that `--sender` names, if it was given."""
    from pqtransfer.sdk import load_public_identity

    return None if path is None else load_public_identity(path)
