"""What a contender is to do, handed to its process as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import boto3

from scripts.benchmarks.object_store import REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Task:
    """One `send` of the file, or one `receive` to it. `folder` is the contender's own, and stays between its runs."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    bucket: str
    file: str
    folder: str

    @property
    def path(self) -> Path:
        """The file to send, or to receive to."""
        return Path(self.file)

    @property
    def own(self) -> Path:
        """The contender's folder."""
        return Path(self.folder)

    @property
    def session(self) -> boto3.Session:
        """A session with the store's keys."""
        return boto3.Session(
            aws_access_key_id=self.access_key_id, aws_secret_access_key=self.secret_access_key, region_name=REGION
        )

    def client(self) -> "S3Client":
        """boto3 as it comes."""
        return self.session.client("s3", endpoint_url=self.endpoint_url)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))
