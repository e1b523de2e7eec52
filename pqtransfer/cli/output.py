"""What the commands print: JSON for scripts, tables for people, errors on stderr with the exit code of their kind."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from pqtransfer.errors import PqtransferError


def print_json(document: BaseModel | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Print one JSON document to stdout."""
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json")
    typer.echo(json.dumps(document, indent=2))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout. Cells are shown as they are: no markup is read out of them."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def fail(error: PqtransferError, *, as_json: bool = False) -> NoReturn:
    """Print the error to stderr and end the command with the exit code of its kind."""
    if as_json:
        typer.echo(json.dumps({"error": {"code": error.code, "message": str(error)}}), err=True)
    else:
        typer.echo(f"error: {error} ({error.code})", err=True)
    raise typer.Exit(error.exit_code)


@contextmanager
def failing_clearly(*, as_json: bool = False) -> Iterator[None]:
    """Turn an error of this project inside the block into a message and an exit code."""
    try:
        yield
    except PqtransferError as error:
        fail(error, as_json=as_json)
