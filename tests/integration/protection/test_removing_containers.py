"""Removing a container from a versioned bucket: all of it, and never back to an envelope that was replaced."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pqtransfer.aws.containers import S3Containers
from pqtransfer.aws.folder import S3Connection
from tests.fakes.crashes import CrashError

pytestmark = pytest.mark.requirement("D4.4")

BUCKET, TRANSFER = "models", "0198c0de-0000-7000-8000-000000000001"
PREFIX = f"transfers/{TRANSFER}/"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket with one container, whose envelope was replaced twice and whose payload was overwritten once."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for name, count in (("manifest.json", 1), ("payload", 2), ("envelope.json", 3)):
            for number in range(1, count + 1):
                client.put_object(Bucket=BUCKET, Key=PREFIX + name, Body=f"{name} {number}".encode())
        yield client


def current(s3: Any) -> dict[str, str]:
    """What stands there for whoever reads."""
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX).get("Contents", [])
    return {
        each["Key"].removeprefix(PREFIX): s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read().decode()
        for each in listed
    }


class DyingClient:
    """A client whose process dies at a deletion."""

    def __init__(self, client: Any, *, at: int) -> None:
        self._client, self._left = client, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def delete_object(self, **named: Any) -> Any:
        if self._left == 0:
            raise CrashError
        self._left -= 1
        return self._client.delete_object(**named)


def containers(client: Any) -> S3Containers:
    return S3Containers(S3Connection(client), bucket=BUCKET)


@pytest.mark.parametrize("at", range(5))
def test_killed_between_any_two_deletions(s3: Any, at: int) -> None:
    """What stands there is the last version or nothing; the next call removes the rest, and leaves the manifest."""
    with pytest.raises(CrashError):
        containers(DyingClient(s3, at=at)).remove_model(TRANSFER)
    assert current(s3).items() <= {
        ("manifest.json", "manifest.json 1"),
        ("payload", "payload 2"),
        ("envelope.json", "envelope.json 3"),
    }
    assert containers(s3).remove_model(TRANSFER) == 5 - at
    assert current(s3) == {"manifest.json": "manifest.json 1"}
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=PREFIX)
    assert [each["Key"] for each in versions["Versions"]] == [f"{PREFIX}manifest.json"]
    assert "DeleteMarkers" not in versions


def test_deletion_markers_go_too(s3: Any) -> None:
    """A payload that somebody deleted without its versions is not left behind one of its markers."""
    s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}payload")
    assert containers(s3).remove_model(TRANSFER) == 6
    assert containers(s3).remove_model(TRANSFER) == 0
