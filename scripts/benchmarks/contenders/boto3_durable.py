"""boto3's `download_file`, then fsync of the file and its directory: what pqtransfer promises when it returns."""

import os
from collections.abc import Callable

from pqtransfer.sdk.local_upload import synchronise_directory
from scripts.benchmarks.contenders import boto3_plain
from scripts.benchmarks.task import Task


def receive(task: Task) -> Callable[[], None]:
    """`download_file`, `fsync`."""
    download = boto3_plain.receive(task)

    def run() -> None:
        download()
        with task.path.open("rb+") as file:
            os.fsync(file.fileno())
        synchronise_directory(task.path.parent)

    return run
