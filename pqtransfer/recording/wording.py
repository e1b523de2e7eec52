"""Texts and lists in a size that an event takes: what is cut says so, and the digest of the whole stands beside it."""

import hashlib
import re
from collections.abc import Iterable

from pqtransfer.audit.events import Severity
from pqtransfer.errors import AccessError, IntegrityError, PqtransferError

REASON_LIMIT = 1024
LIST_LIMIT = 16_000
"""Characters; with everything else that an event says, it stays under the 32 KiB of one."""
KEY_ID_DIGITS = 16
_SUITE = re.compile(r"[A-Za-z0-9._-]{1,32}")


def fit_text(text: str, *, limit: int = REASON_LIMIT) -> str:
    """The text as an event can carry it: Unicode, not empty, and cut where it is too long."""
    carried = text.encode("utf-8", "replace").decode()
    if len(carried) > limit:
        return f"{carried[: limit - 3]}..."
    return carried or "-"


def name_suite(suite_id: str) -> str | None:
    """The suite, if it looks like one: in a request stands what somebody wrote."""
    return suite_id if _SUITE.fullmatch(suite_id) else None


def list_names(name: str, values: Iterable[str]) -> dict[str, str]:
    """Details that list all of `values`, or as many as fit, their number, and the digest of the whole list."""
    every = tuple(values)
    text = " ".join(every)
    shown = fit_text(text, limit=LIST_LIMIT) if every else ""
    details = {name: shown, f"{name}_count": str(len(every))}
    if shown != text:
        details[f"{name}_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return details


def explain(error: PqtransferError) -> str:
    """Why something was refused or failed: the stable code of the error, and its message."""
    return fit_text(f"{error.code}: {error}")


def weigh(error: PqtransferError) -> Severity | None:
    """How serious a refusal is for security; None when it is a mistake or an outage.

    Data that is not what its author signed is an attack until it is shown to be a fault; a try to do what is not
    allowed may be a mistake.
    """
    if isinstance(error, IntegrityError):
        return Severity.HIGH
    return Severity.MEDIUM if isinstance(error, AccessError) else None
