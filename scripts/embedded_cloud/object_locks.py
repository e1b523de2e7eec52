"""Object Lock of the buckets in an assembly: the embedded S3 enforces it, the embedded CloudFormation forgets it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def apply_object_locks(assembly: Path, s3: Any) -> None:
    """Give each bucket the lock that its template says."""
    for name, lock in find_object_locks(assembly):
        s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)


def find_object_locks(assembly: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Bucket name and lock of every bucket that has one."""
    for template in sorted(assembly.glob("*.template.json")):
        for resource in json.loads(template.read_text(encoding="utf-8"))["Resources"].values():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::S3::Bucket" and "ObjectLockConfiguration" in properties:
                yield properties["BucketName"], properties["ObjectLockConfiguration"]
