"""boto3's `upload_file` and `download_file`, as they come: no encryption."""

from collections.abc import Callable

from scripts.benchmarks.source import remove_prefix
from scripts.benchmarks.task import Task

KEY = "plain"


def send(task: Task) -> Callable[[], None]:
    """`upload_file`."""
    client = task.client()
    remove_prefix(client, bucket=task.bucket, prefix=KEY)
    return lambda: client.upload_file(task.file, task.bucket, KEY)


def receive(task: Task) -> Callable[[], None]:
    """`download_file`."""
    client = task.client()
    return lambda: client.download_file(task.bucket, KEY, task.file)
