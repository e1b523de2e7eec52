"""What commands print: results on stdout (lines or a table for people, JSON for scripts), everything else on stderr."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from pqtransfer.errors import PqtransferError

_JSON_WANTED = "pqtransfer.json"


def _remember_json(context: typer.Context, wanted: bool) -> bool:
    context.meta[_JSON_WANTED] = wanted
    return wanted


JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print the result, or the error, as JSON.", callback=_remember_json, is_eager=True),
]
"""The option `--json`. Declaring it is enough for errors to be printed as JSON too."""


def print_json(document: BaseModel | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Print one JSON document to stdout."""
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json")
    typer.echo(json.dumps(document, indent=2))


def print_fields(fields: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one result: JSON, or a line `name  value` for each field; lines leave out the fields that are None."""
    if as_json:
        print_json(fields)
        return
    shown = {name.replace("_", " "): _format_value(value) for name, value in fields.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        typer.echo(f"{name:<{width}}  {value}")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout, the first column never broken. Cells are shown as they are: no markup is read."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def print_warning(text: str) -> None:
    """Tell a person what to be careful about, on stderr."""
    typer.secho(f"warning: {text}", err=True, fg=typer.colors.YELLOW)


def print_error(error: PqtransferError, *, as_json: bool) -> None:
    """Print an error on stderr: `error: ...`, or JSON."""
    if as_json:
        typer.echo(json.dumps({"error": {"code": error.code, "message": str(error)}}), err=True)
    else:
        typer.secho("error: ", err=True, nl=False, fg=typer.colors.RED, bold=True)
        typer.echo(str(error), err=True)


def wants_json(context: typer.Context) -> bool:
    """True when the command that runs was given `--json`."""
    return bool(context.meta.get(_JSON_WANTED))


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)
