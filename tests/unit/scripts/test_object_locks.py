"""What the embedded CloudFormation forgets of a bucket is read from the assembly and applied."""

import json
from pathlib import Path
from typing import Any

from scripts.embedded_cloud.object_locks import apply_object_locks

LOCK = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}


class Buckets:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.locks: dict[str, Any] = {}

    def put_object_lock_configuration(self, **asked: Any) -> None:
        self.locks[asked["Bucket"]] = asked["ObjectLockConfiguration"]


def test_each_bucket_gets_the_lock_of_its_template(tmp_path: Path) -> None:
    """And a bucket without one stays as it is."""
    resources = {
        "Locked": {
            "Type": "AWS::S3::Bucket",
            "Properties": {"BucketName": "audit", "ObjectLockConfiguration": LOCK},
        },
        "Open": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "data"}},
        "Table": {"Type": "AWS::DynamoDB::Table"},
    }
    (tmp_path / "A.template.json").write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    buckets = Buckets()
    apply_object_locks(tmp_path, buckets)
    assert buckets.locks == {"audit": LOCK}
