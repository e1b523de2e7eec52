"""Exports have every event, in the formats that SIEMs and data lakes read; a failed one leaves nothing behind."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pqtransfer.audit import parquet
from pqtransfer.audit.errors import MissingPackageError
from pqtransfer.audit.events import EventKind
from pqtransfer.audit.parquet import SOURCES, InvalidPartitionError
from pqtransfer.crypto.canonical_json import write_canonical_json
from pqtransfer.errors import IntegrityError
from pqtransfer.sdk.audit_export import UnknownExportFormatError, export_events
from pqtransfer.sdk.audit_log import LoggedEvent
from pqtransfer.sdk.local_errors import DirectoryMissingError
from pqtransfer.transfers.folder import ObjectExistsError
from tests.unit.audit.cef_lines import read_cef
from tests.unit.audit.log_directories import make_events
from tests.unit.audit.ocsf_schema import require_ocsf
from tests.unit.audit.samples import make_full_event

EVENTS = [LoggedEvent(index, event, event.to_json()) for index, event in enumerate(make_events(60))]
FULL = [
    LoggedEvent(index, event, event.to_json())
    for index, event in enumerate(make_full_event(kind) for kind in EventKind)
]
PLACE = {"region": "eu-central-1", "account_id": "123456789012"}


@pytest.mark.requirement("N16")
def test_ocsf_lines_are_the_entries_of_the_log(tmp_path: Path) -> None:
    """Byte by byte, so that a line can be proven; and each is valid OCSF by the published schema."""
    exported = export_events([*EVENTS, *FULL], form="ocsf", out=tmp_path / "events.jsonl")
    lines = (tmp_path / "events.jsonl").read_bytes().split(b"\n")[:-1]
    assert lines == [found.event.to_json() for found in [*EVENTS, *FULL]]
    assert (exported.events, exported.files) == (len(lines), 1)
    for line in lines:
        require_ocsf(line)


@pytest.mark.requirement("N16")
def test_cef_lines_are_all_events(tmp_path: Path) -> None:
    export_events([*EVENTS, *FULL], form="cef", out=tmp_path / "events.cef")
    lines = (tmp_path / "events.cef").read_text(encoding="utf-8").split("\n")[:-1]
    assert [read_cef(line)[1]["externalId"] for line in lines] == [found.event.event_id for found in [*EVENTS, *FULL]]


@pytest.mark.requirement("N16")
def test_parquet_is_what_security_lake_takes(tmp_path: Path) -> None:
    """A source for each class, partitions by region, account and day, zstd, ordered by time, all fields of an event."""
    exported = export_events([*EVENTS, *FULL], form="parquet", out=tmp_path / "lake", **PLACE)
    assert exported.events == len(EVENTS) + len(FULL)
    rows = list(read_lake(tmp_path / "lake"))
    wanted = sorted(found.event.to_json() for found in [*EVENTS, *FULL])
    assert sorted(map(restore_entry, rows)) == wanted
    counted = Counter(row["class_uid"] for row in rows)
    assert set(counted) == set(SOURCES)
    for file in (tmp_path / "lake").rglob("*.parquet"):
        meta = pq.ParquetFile(file).metadata
        assert {meta.row_group(0).column(at).compression for at in range(meta.num_columns)} == {"ZSTD"}
        source, region, account, day, _ = file.relative_to(tmp_path / "lake").parts
        assert source in SOURCES.values()
        assert (region, account) == ("region=eu-central-1", "accountId=123456789012")
        times = pq.read_table(file).column("time").to_pylist()
        assert times == sorted(times)
        assert day in {"eventDay=20260528"}


def test_parquet_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When enough waits it is written: a partition has then several files, and still every event."""
    monkeypatch.setattr(parquet, "BUFFER_LIMIT_BYTES", 10_000)
    exported = export_events(EVENTS, form="parquet", out=tmp_path / "lake", **PLACE)
    assert exported.files > len(SOURCES)
    assert len(list(read_lake(tmp_path / "lake"))) == len(EVENTS)


@pytest.mark.parametrize("form", ["ocsf", "cef", "parquet"])
def test_no_event_is_an_export_too(tmp_path: Path, form: str) -> None:
    """A range without data: an empty file, or an empty directory."""
    assert export_events([], form=form, out=tmp_path / "out", **PLACE).events == 0
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["ocsf", "cef", "parquet"])
def test_a_failed_export_leaves_nothing_behind(tmp_path: Path, form: str) -> None:
    """The log turns out damaged in the middle."""

    def read() -> Iterator[LoggedEvent]:
        yield EVENTS[0]
        raise IntegrityError("damaged")

    with pytest.raises(IntegrityError):
        export_events(read(), form=form, out=tmp_path / "out", **PLACE)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_done_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown format, a region or account that is none, a place that is taken or not there, no pyarrow."""
    with pytest.raises(UnknownExportFormatError, match="ocsf, cef, parquet"):
        export_events([], form="xml", out=tmp_path / "out")
    for place in ({}, {"region": "../x", "account_id": "123456789012"}, {"region": "eu-central-1", "account_id": "1"}):
        with pytest.raises(InvalidPartitionError, match="--region"):
            export_events([], form="parquet", out=tmp_path / "out", **place)
    (tmp_path / "taken").write_bytes(b"x")
    for form in ("ocsf", "parquet"):
        with pytest.raises(ObjectExistsError):
            export_events([], form=form, out=tmp_path / "taken", **PLACE)
        with pytest.raises(DirectoryMissingError):
            export_events([], form=form, out=tmp_path / "nowhere" / "out", **PLACE)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'pqtransfer\[reports\]'"):
        export_events([], form="parquet", out=tmp_path / "out", **PLACE)


def read_lake(directory: Path) -> Iterator[dict[str, Any]]:
    for source in directory.iterdir():
        yield from ds.dataset(source, format="parquet", partitioning="hive").to_table().to_pylist()


def restore_entry(row: dict[str, Any]) -> bytes:
    """The entry of the log, from the columns alone."""
    unmapped = dict(row["unmapped"])
    details = {name.removeprefix("details."): value for name, value in unmapped.items() if name.startswith("details.")}
    flat = {name: value for name, value in unmapped.items() if not name.startswith("details.")}
    document = {name: value for name, value in row.items() if name not in {"region", "accountId", "eventDay"}}
    return write_canonical_json(drop_absent(document | {"unmapped": flat | {"details": details}}))


def drop_absent(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: drop_absent(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [drop_absent(each) for each in value]
    return value
