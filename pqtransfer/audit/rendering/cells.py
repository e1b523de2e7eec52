"""How a cell of a report reads, for people."""

from pqtransfer.audit.report_model import Cell, Column

CODE_LINE = 32
UNBROKEN_AT_MOST = 36
"""A UUID stays whole; a digest of 64 digits becomes two lines."""


def format_cell(cell: Cell, column: Column) -> str:
    """A cell as text: numbers with separators, sizes in decimal units with the exact count, nothing as a dash."""
    if cell is None:
        return "\u2013"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if column.style == "bytes" and isinstance(cell, int):
        return format_size(cell)
    if isinstance(cell, int | float):
        return f"{cell:,}"
    return cell


def split_code(text: str) -> list[str]:
    """The lines of a digest or an id."""
    if len(text) <= UNBROKEN_AT_MOST:
        return [text]
    return [text[at : at + CODE_LINE] for at in range(0, len(text), CODE_LINE)]


def format_size(size_bytes: int) -> str:
    """20.0 GB (20,000,000,000)."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit} ({size_bytes:,})"


def is_right(column: Column) -> bool:
    """Numbers stand on the right."""
    return column.style in ("number", "bytes")
