"""Envelopes under a key that was replaced, page by page: each page is a message, so any number of them fits.

One message lists a page, hands it out as a message that names its envelopes, and the rest as one like itself: so pages
are worked off side by side. What fails is a message that names envelopes, and it hands nothing on: however often it
comes again, there are no more messages than pages. One that comes twice finds less to do: an envelope that was renewed
is under the old key no more.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.crypto.manifest import TransferId
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.keys.events import KeyRotated
from pqtransfer.protection.renewing import EnvelopeRenewer, Renewal
from pqtransfer.transfers.dependencies import DependencyIndex, KeyRole
from pqtransfer.transfers.folder import DocumentChangedError

PAGE_SIZE = 100
THREADS = 16


class Page(BaseModel):
    """The message: the key that was replaced, and after which row its page begins, or which envelopes are to move."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    correlation_id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    cursor: str | None = Field(default=None, max_length=256)
    transfer_ids: tuple[TransferId, ...] | None = Field(default=None, min_length=1, max_length=PAGE_SIZE)


class PageReport(BaseModel):
    """What became of a page. `left` are envelopes that the system cannot open: their senders or readers can."""

    handed_out: int = 0
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
        """Renew the envelopes that the page names; one that names none is listed and handed out.

        Raises:
            PageNotDoneError: some have to be tried again; the same message does it.
            CloudError: the index or the queue does not answer.
        """
        if page.transfer_ids is None:
            return self._hand_out(page)
        report = PageReport()
        with ThreadPoolExecutor(THREADS) as pool:
            results = pool.map(lambda each: self._renew(each, page), page.transfer_ids)
            for transfer_id, result in zip(page.transfer_ids, results, strict=True):
                _count(report, transfer_id, result)
        if report.again:
            raise PageNotDoneError(page, report.again)
        return report

    def _hand_out(self, page: Page) -> PageReport:
        found = self.index.list_page(page.key_id, KeyRole.RECIPIENT, cursor=page.cursor, limit=self.page_size)
        changes: list[dict[str, object]] = []
        if found.cursor is not None:
            changes.append({"cursor": found.cursor})
        if found.transfer_ids:
            changes.append({"cursor": None, "transfer_ids": found.transfer_ids})
        for each in changes:
            self.send(page.model_copy(update=each).model_dump_json(exclude_none=True))
        return PageReport(handed_out=len(found.transfer_ids))

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
