"""Write events of the audit log for other systems: OCSF as JSON lines, CEF lines, or Parquet for Security Lake."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pqtransfer.audit.cef import write_cef
from pqtransfer.audit.parquet import PAGE_SIZE_BYTES, ParquetPartitions
from pqtransfer.errors import InputError
from pqtransfer.sdk.audit_log import LoggedEvent
from pqtransfer.sdk.local_errors import DirectoryMissingError, explain_os_errors
from pqtransfer.sdk.local_upload import move_without_replacing, name_partial, synchronise_directory
from pqtransfer.transfers.folder import ObjectExistsError

EXPORT_FORMATS = ("ocsf", "cef", "parquet")


class UnknownExportFormatError(InputError):
    """There is no such format."""

    def __init__(self, form: str) -> None:
        super().__init__(f"{form[:40]!r} is no format of an export; choose one of {', '.join(EXPORT_FORMATS)}")


@dataclass(frozen=True)
class Exported:
    """How many events were written, into how many files."""

    events: int
    files: int


def require_export_format(form: str) -> None:
    """
    Raises:
        UnknownExportFormatError: it is none.
    """
    if form not in EXPORT_FORMATS:
        raise UnknownExportFormatError(form)


def export_events(
    events: Iterable[LoggedEvent], *, form: str, out: Path, region: str = "", account_id: str = ""
) -> Exported:
    """Write events. `out` appears when all of them are written; when something fails, nothing is left behind.

    Args:
        form: `ocsf` (the entries as they are, one a line), `cef`, or `parquet` (`out` is a directory then).
        region, account_id: of the partitions of a Parquet export.

    Raises:
        UnknownExportFormatError, InvalidPartitionError, MissingPackageError: what was asked cannot be done.
        ObjectExistsError, DirectoryMissingError, PathDeniedError, DiskFullError: it cannot be written.
    """
    require_export_format(form)
    if form == "parquet":
        return _export_parquet(events, out, ParquetPartitions(region=region, account_id=account_id))
    count = 0
    with _new_file(out) as file:
        for found in events:
            count += 1
            line = found.entry if form == "ocsf" else write_cef(found.event, index=found.index).encode()
            file.write(line + b"\n")
    return Exported(count, 1)


def _export_parquet(events: Iterable[LoggedEvent], out: Path, partitions: ParquetPartitions) -> Exported:
    from pyarrow import parquet

    count, files = 0, 0
    with _new_directory(out) as building:

        def write(tables: Iterator[tuple[str, object]]) -> None:
            nonlocal files
            for path, table in tables:
                target = building / path
                target.parent.mkdir(parents=True, exist_ok=True)
                parquet.write_table(table, target, compression="zstd", data_page_size=PAGE_SIZE_BYTES)
                files += 1

        for found in events:
            count += 1
            write(partitions.add(json.loads(found.entry), size_bytes=len(found.entry)))
        write(partitions.finish())
    return Exported(count, files)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    partial = _require_free(path)
    with explain_os_errors(path):
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            move_without_replacing(partial, path)
            synchronise_directory(path.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def _new_directory(path: Path) -> Iterator[Path]:
    partial = _require_free(path)
    with explain_os_errors(path):
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            yield partial
            partial.rename(path)
            synchronise_directory(path.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _require_free(path: Path) -> Path:
    """The name under which it is written."""
    with explain_os_errors(path):
        if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
            raise ObjectExistsError(str(path))
        if not path.absolute().parent.is_dir():
            raise DirectoryMissingError(path.absolute().parent)
    return name_partial(path.absolute())
