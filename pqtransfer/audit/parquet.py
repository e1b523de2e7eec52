"""Audit events as Parquet, as Amazon Security Lake takes them from a custom source: OCSF columns, zstd, partitions.

Each OCSF class has a source of its own, because a source holds one class. A file stands at
`<class>/region=<region>/accountId=<account>/eventDay=<yyyymmdd>/<name>.parquet`. What OCSF has no column for is in
`unmapped`, text by name. pyarrow is needed, and imported when it is.
Memory <= 16 * BUFFER_LIMIT_BYTES: documents that wait take some ten times their bytes, then come columns and pages.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pqtransfer.audit.errors import MissingPackageError
from pqtransfer.audit.ocsf import API_ACTIVITY, DETECTION_FINDING, ENTITY_MANAGEMENT, FILE_HOSTING
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BUFFER_LIMIT_BYTES = 16 << 20
SOURCES: Mapping[int, str] = {
    API_ACTIVITY: "pqtransfer-api-activity",
    ENTITY_MANAGEMENT: "pqtransfer-entity-management",
    FILE_HOSTING: "pqtransfer-file-hosting",
    DETECTION_FINDING: "pqtransfer-detection-finding",
}
PAGE_SIZE_BYTES = 1 << 20
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_ACCOUNT = re.compile(r"\d{12}|external_[A-Za-z0-9_]{1,64}", re.ASCII)


class InvalidPartitionError(InputError):
    """The region or the account of a Parquet export is none."""

    def __init__(self) -> None:
        super().__init__(
            "a Parquet export needs a region and an account for its partitions, for example "
            "--region eu-central-1 --account 123456789012 (or external_NAME)"
        )


class PartitionKey(NamedTuple):
    """Which source, and which day, a document belongs to."""

    class_uid: int
    event_day: str


class ParquetPartitions:
    """Sorts documents into partitions, and gives out the tables that are to be written."""

    def __init__(self, *, region: str, account_id: str) -> None:
        """
        Raises:
            InvalidPartitionError: the region or the account is none.
            MissingPackageError: pyarrow is not installed.
        """
        if not _REGION.fullmatch(region) or not _ACCOUNT.fullmatch(account_id):
            raise InvalidPartitionError
        self._pa = import_pyarrow()
        self._place = f"region={region}/accountId={account_id}"
        self._waiting: dict[PartitionKey, list[JsonObject]] = {}
        self._waiting_bytes = 0
        self._parts: dict[PartitionKey, int] = {}

    def add(self, document: JsonObject, *, size_bytes: int) -> Iterator[tuple[str, "pa.Table"]]:
        """Take a document; gives the files that are due, as paths and tables."""
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=document["time"])
        self._waiting.setdefault(PartitionKey(document["class_uid"], f"{day:%Y%m%d}"), []).append(document)
        self._waiting_bytes += size_bytes
        if self._waiting_bytes >= BUFFER_LIMIT_BYTES:
            yield from self.finish()

    def finish(self) -> Iterator[tuple[str, "pa.Table"]]:
        """The files of what still waits."""
        for key, documents in sorted(self._waiting.items()):
            number = self._parts.get(key, 0)
            self._parts[key] = number + 1
            path = f"{SOURCES[key.class_uid]}/{self._place}/eventDay={key.event_day}/part-{number:05d}.parquet"
            yield path, self._make_table(key.class_uid, documents)
        self._waiting, self._waiting_bytes = {}, 0

    def _make_table(self, class_uid: int, documents: list[JsonObject]) -> "pa.Table":
        rows = sorted(map(_flatten_unmapped, documents), key=lambda row: int(row["time"]))
        return self._pa.Table.from_pylist(rows, schema=make_schema(self._pa, class_uid))


def import_pyarrow() -> Any:
    """pyarrow.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise MissingPackageError("pyarrow", "a Parquet export") from None
    return pyarrow


def make_schema(pa: Any, class_uid: int) -> "pa.Schema":
    """The columns of a class, under the names and with the types of OCSF; timestamps are milliseconds."""
    text, whole, long = pa.string(), pa.int32(), pa.int64()

    def struct(**fields: Any) -> Any:
        return pa.struct(list(fields.items()))

    actor = struct(user=struct(name=text))
    source = struct(ip=text, svc_name=text)
    resource = struct(type=text, uid=text)
    metadata = struct(
        correlation_uid=text, event_code=text, log_name=text, log_provider=text,
        product=struct(name=text, vendor_name=text), profiles=pa.list_(text), sequence=long, uid=text, version=text,
    )  # fmt: skip
    columns: dict[str, Any] = {
        "activity_id": whole, "activity_name": text, "category_uid": whole, "class_uid": whole, "metadata": metadata,
        "severity_id": whole, "status_detail": text, "status_id": whole, "time": long, "type_uid": long,
        "unmapped": pa.map_(text, text),
    }  # fmt: skip
    by_class: Mapping[int, dict[str, Any]] = {
        API_ACTIVITY: {
            "action_id": whole, "actor": actor, "api": struct(operation=text, service=struct(name=text)),
            "disposition_id": whole, "resources": pa.list_(resource), "src_endpoint": source,
        },
        ENTITY_MANAGEMENT: {"actor": actor, "entity": resource, "src_endpoint": source},
        FILE_HOSTING: {
            "actor": actor,
            "file": struct(
                hashes=pa.list_(struct(algorithm_id=whole, value=text)), name=text, size=long, type=text, type_id=whole
            ),
            "src_endpoint": source,
        },
        DETECTION_FINDING: {
            "evidences": pa.list_(struct(actor=actor, src_endpoint=source)),
            "finding_info": struct(title=text, uid=text), "resources": pa.list_(resource),
        },
    }  # fmt: skip
    return pa.schema(sorted((columns | by_class[class_uid]).items()))


def _flatten_unmapped(document: JsonObject) -> JsonObject:
    unmapped = document["unmapped"]
    flat = {name: value for name, value in unmapped.items() if name != "details"}
    flat |= {f"details.{name}": value for name, value in unmapped.get("details", {}).items()}
    return document | {"unmapped": list(flat.items())}
