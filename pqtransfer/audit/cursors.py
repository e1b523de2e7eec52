"""Where a check that is done in parts has come to: what it has verified and found so far, kept between two of them.

A file of two documents. The first line is in canonical JSON: the findings, and the purges that the log tells of. What
was verified follows as a `TrustedLog`. It is trusted as that is: it stands where nobody can write who writes the log.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.audit.checkpoints import SIZE_AT_MOST
from pqtransfer.audit.findings import FINDINGS_AT_MOST, Finding, FindingKind, Report
from pqtransfer.audit.trusted_log import TRUSTED_LIMIT_BYTES, TrustedLog
from pqtransfer.crypto.canonical_json import MalformedDocumentError, read_document, write_canonical_json
from pqtransfer.errors import IntegrityError

FORMAT: Literal["pqtransfer-audit-cursor/1"] = "pqtransfer-audit-cursor/1"
HEADER_LIMIT_BYTES = 16 << 20
CURSOR_LIMIT_BYTES = TRUSTED_LIMIT_BYTES + HEADER_LIMIT_BYTES
PURGES_AT_MOST = 10_000
"""That the log tells of: one a day for 27 years. The newest are kept; a reader looks for the newest."""

Index = Annotated[int, Field(ge=0, le=SIZE_AT_MOST)]


class MalformedCursorError(IntegrityError):
    """A file is not where a check has come to."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is not where a check of the log has come to: {reason}; begin the check again")


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Annotated[FindingKind, Field(strict=False)]
    place: str
    first: int | None = None
    last: int | None = None
    explanation: str = ""


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["pqtransfer-audit-cursor/1"] = FORMAT
    entries_checked: Index
    findings: Annotated[tuple[_Finding, ...], Field(strict=False, max_length=FINDINGS_AT_MOST)] = ()
    findings_left_out: Index = 0
    first_index: Index = 0
    first_kept: Index = 0
    purges: Annotated[
        tuple[Annotated[tuple[str, str], Field(strict=False)], ...], Field(strict=False, max_length=PURGES_AT_MOST)
    ] = ()


@dataclass(frozen=True)
class CheckCursor:
    """A check up to `verified.next_index`. Its checkpoint is the newest that was proven to continue the ones before.

    `purges`: (first entry that was kept, digest of the numbers up to there) of every purge that the log tells of.
    """

    verified: TrustedLog
    report: Report
    first_kept: int = 0
    purges: tuple[tuple[str, str], ...] = ()

    def to_bytes(self) -> bytes:
        report = self.report
        header = _Header(
            entries_checked=report.entries_checked,
            findings=tuple(_Finding.model_validate(vars(each)) for each in report.findings),
            findings_left_out=report.findings_left_out,
            first_index=report.first_index,
            first_kept=self.first_kept,
            purges=self.purges,
        )  # fmt: skip
        return write_canonical_json(header) + b"\n" + self.verified.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            MalformedCursorError: too large, cut off, or not of this format.
        """
        if len(data) > CURSOR_LIMIT_BYTES:
            raise MalformedCursorError(f"at most {CURSOR_LIMIT_BYTES} bytes are read")
        first, _, rest = data.partition(b"\n")
        try:
            header = read_document(_Header, first, name="header", limit_bytes=HEADER_LIMIT_BYTES)
            verified = TrustedLog.from_bytes(rest)
        except (MalformedDocumentError, IntegrityError) as error:
            raise MalformedCursorError(str(error)) from None
        report = Report(
            first_index=header.first_index,
            entries_checked=header.entries_checked,
            findings=[Finding(FindingKind(each.kind), each.place, each.first, each.last, each.explanation)
                      for each in header.findings],
            findings_left_out=header.findings_left_out,
            numberings={name: each.copy() for name, each in verified.numberings.items()},
            next_index=verified.next_index,
            is_finished=False,
        )  # fmt: skip
        return cls(verified, report, header.first_kept, header.purges)
