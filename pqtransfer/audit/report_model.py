"""What a compliance report consists of. It is data: the renderers show the same, as a page, a document or tables."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.errors import InputError

Cell: TypeAlias = str | int | float | bool | None


class Framework(StrEnum):
    """Whose controls a report answers to."""

    SOX = "sox"
    HIPAA = "hipaa"
    PCI_DSS = "pci-dss"
    ALL = "all"


class UnknownFrameworkError(InputError):
    """There are no controls of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:40]!r} is no framework of a report; choose one of {', '.join(Framework)}")


class InvalidPeriodError(InputError):
    """A period of a report ends before it begins, or is too long."""

    def __init__(self, since: datetime, until: datetime) -> None:
        super().__init__(
            f"a report cannot be made from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}: "
            f"the end must come after the beginning, and not more than {DAYS_AT_MOST} days later"
        )


DAYS_AT_MOST = 3700
"""Ten years: the longest that anything is kept."""


def read_framework(name: str) -> Framework:
    """
    Raises:
        UnknownFrameworkError: it is none.
    """
    if name not in set(Framework):
        raise UnknownFrameworkError(name)
    return Framework(name)


class Part(BaseModel):
    """A frozen part of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Part):
    """A column: its name in JSON and CSV, its title for people, and how its cells read."""

    name: str
    title: str
    style: Literal["text", "word", "number", "time", "code", "bytes"] = "text"


class Table(Part):
    """Rows. `left_out`: how many more there are than a report holds; `empty`: what it says when there are none."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0
    empty: str = "Nothing of this kind in the period."


class Chart(Part):
    """Bars: their labels and heights; `marked` are the places of those that stand out."""

    title: str
    unit: str
    labels: tuple[str, ...]
    values: tuple[int, ...]
    marked: tuple[int, ...] = ()
    horizontal: bool = False


class Section(Part):
    """One part of the report. `key` is what controls refer to."""

    key: str
    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


class Control(Part):
    """A requirement of a framework, and which sections have evidence for it. `note`: what the log cannot show."""

    framework: Framework
    reference: str
    title: str
    sections: tuple[str, ...]
    note: str = ""


class FindingShown(Part):
    """One finding of the verifier."""

    kind: str
    about: Literal["integrity", "completeness"]
    place: str
    first: int | None
    last: int | None
    explanation: str


class IntegrityStatus(Part):
    """Whether the log that the report is made of is what its keys have signed, and which checkpoint says so."""

    intact: bool
    complete: bool
    verified: bool = Field(description="a checkpoint that the keys have signed was there to verify against")
    log: str | None
    size: int | None
    root_sha256: str | None
    witnesses: dict[str, AwareDatetime]
    entries_checked: int
    entries_purged: int
    findings: tuple[FindingShown, ...]
    findings_left_out: int


class ComplianceReport(Part):
    """A whole report. `until` is the first moment that is not in it."""

    format: Literal["pqtransfer-audit-report/1"] = "pqtransfer-audit-report/1"
    framework: Framework
    since: AwareDatetime
    until: AwareDatetime
    made_at: AwareDatetime
    events: Annotated[int, Field(ge=0)]
    integrity: IntegrityStatus
    sections: tuple[Section, ...]
    controls: tuple[Control, ...]

    def find_section(self, key: str) -> Section:
        """The section that a control refers to."""
        return next(section for section in self.sections if section.key == key)
