"""boto3's `upload_file` with a SHA-256 of each part that the store checks and keeps, as it does for pqtransfer."""

from collections.abc import Callable

from scripts.benchmarks.source import remove_prefix
from scripts.benchmarks.task import Task

KEY = "checked"


def send(task: Task) -> Callable[[], None]:
    """`upload_file`, with `ChecksumAlgorithm`."""
    client = task.client()
    remove_prefix(client, bucket=task.bucket, prefix=KEY)
    return lambda: client.upload_file(task.file, task.bucket, KEY, ExtraArgs={"ChecksumAlgorithm": "SHA256"})
