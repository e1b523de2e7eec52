"""The one root of every error this project raises, and its four kinds.

Each kind has an exit code, so that a script can tell bad input from damaged data without reading a message.
Specific errors live beside the code that raises them; their message says what happened and how to mend it.
"""

from typing import ClassVar


class PqtransferError(Exception):
    """The root. `except PqtransferError` catches everything that this project raises on purpose."""

    exit_code: ClassVar[int] = 1

    @property
    def code(self) -> str:
        """The stable name of the error for tables, events and `--json`, for example `SourceChanged`."""
        return type(self).__name__.removesuffix("Error")


class InputError(PqtransferError):
    """What was given cannot be used: a wrong argument, a malformed document, a file that is not there."""

    exit_code = 2


class IntegrityError(PqtransferError):
    """Data is not what its author signed. Nothing of it may be used."""

    exit_code = 3


class AccessError(PqtransferError):
    """The caller may not do this, or holds no key that could."""

    exit_code = 4


class UnavailableError(PqtransferError):
    """Something this depends on does not answer. The same call may succeed later."""

    exit_code = 5
