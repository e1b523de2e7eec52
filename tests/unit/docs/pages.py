"""Reads what the documentation shows: the fenced blocks of README.md and docs/, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.toolchain import ROOT

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL
)
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line_number: int
    language: str
    body: str

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line_number}"


@dataclass
class Shown:
    """A command as a page shows it, and the output shown under it."""

    place: str
    text: str
    output: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The command's words, without variables set in front of it and what a shell would do with its output."""
        words = shlex.split(self.text, comments=True)
        while words and ASSIGNMENT.match(words[0]):
            words.pop(0)
        ends = [index for index, word in enumerate(words) if word in {"|", ">", "<", "&&", ";"}]
        return words[: ends[0]] if ends else words


def list_pages() -> list[Path]:
    """The README and everything under docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read_blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line_number = text.count("\n", 0, match.start()) + 1
        yield Block(page, line_number, match["language"], match["body"])


def read_commands(block: Block) -> list[Shown]:
    """`console`: what follows `$ ` with the output under it; `sh`: every line. A backslash continues a command."""
    commands: list[Shown] = []
    continued = False
    for number, line in enumerate(block.body.splitlines(), start=block.line_number + 1):
        stripped = line.strip()
        if continued:
            commands[-1].text = commands[-1].text.removesuffix("\\") + stripped.removeprefix("> ")
        elif block.language == "console" and stripped.startswith("$ "):
            commands.append(Shown(f"{block.page.relative_to(ROOT)}:{number}", stripped[2:]))
        elif block.language == "console" and commands:
            commands[-1].output.append(line)
        elif block.language == "sh" and stripped and not stripped.startswith("#"):
            commands.append(Shown(f"{block.page.relative_to(ROOT)}:{number}", stripped))
        continued = bool(commands) and stripped.endswith("\\")
    return commands


def list_commands() -> list[Shown]:
    """Every command that a page shows."""
    return [command for page in list_pages() for block in read_blocks(page) for command in read_commands(block)]
