"""Envelopes under a key that was replaced, page by page: each page is a message, so any number of them fits.

A page hands the rest over before it begins its own work, so that pages are worked off side by side. A message that
comes twice finds less to do: an envelope that was renewed is under the old key no more.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.events import KeyRotated
from pqtransfer.protection.renewing import EnvelopeRenewer, Renewal
from pqtransfer.transfers.dependencies import DependencyIndex, KeyRole
from pqtransfer.transfers.folder import DocumentChangedError

PAGE_SIZE = 100
THREADS = 16


class Page(BaseModel):
    """The message: the key that was replaced, and after which row its page begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    correlation_id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    cursor: str | None = Field(default=None, max_length=256)


class PageReport(BaseModel):
    """What became of a page. `left` are envelopes that the system cannot open: their senders or readers can."""

    rewrapped: int = 0
    current: int = 0
    gone: int = 0
    left: dict[str, str] = {}
    again: dict[str, str] = {}


class PageNotDoneError(UnavailableError):
    """Some envelopes of a page could not be renewed now."""

    def __init__(self, page: Page, again: dict[str, str]) -> None:
        transfer_id, reason = next(iter(again.items()))
        super().__init__(
            f"{len(again)} envelopes under key {page.key_id[:16]} are to be tried again; {transfer_id}: {reason}"
        )


def first_page(rotated: KeyRotated) -> Page | None:
    """Where the work after a rotation begins; None when there was no key before."""
    if rotated.old_key_id is None:
        return None
    return Page(key_id=rotated.old_key_id, correlation_id=f"rotate-{rotated.new_key_id[:32]}")


@dataclass(frozen=True)
class PageWorker:
    """Works pages off. `send` puts a message on the queue."""

    index: DependencyIndex
    renewer: EnvelopeRenewer
    send: Callable[[str], None]
    page_size: int = PAGE_SIZE

    def work(self, page: Page) -> PageReport:
        """Renew the envelopes of one page.

        Raises:
            PageNotDoneError: some have to be tried again; the same message does it.
            CloudError: the index or the queue does not answer.
        """
        found = self.index.list_page(page.key_id, KeyRole.RECIPIENT, cursor=page.cursor, limit=self.page_size)
        if found.cursor is not None:
            self.send(page.model_copy(update={"cursor": found.cursor}).model_dump_json(exclude_none=True))
        report = PageReport()
        with ThreadPoolExecutor(THREADS) as pool:
            results = pool.map(lambda each: self._renew(each, page), found.transfer_ids)
            for transfer_id, result in zip(found.transfer_ids, results, strict=True):
                _count(report, transfer_id, result)
        if report.again:
            raise PageNotDoneError(page, report.again)
        return report

    def _renew(self, transfer_id: str, page: Page) -> Renewal | PqtransferError:
        try:
            return self.renewer.renew(transfer_id, correlation_id=page.correlation_id).renewal
        except PqtransferError as error:
            return error


def _count(report: PageReport, transfer_id: str, result: Renewal | PqtransferError) -> None:
    if isinstance(result, UnavailableError | DocumentChangedError):
        report.again[transfer_id] = str(result)
    elif isinstance(result, PqtransferError):
        report.left[transfer_id] = f"{result.code}: {result}"
    else:
        setattr(report, result.value, getattr(report, result.value) + 1)
