"""pyrage (age, X25519) and boto3: encrypt to a file and upload it; download a file and decrypt it."""

from collections.abc import Callable
from pathlib import Path

import pyrage

from scripts.benchmarks.source import remove_prefix
from scripts.benchmarks.task import Task

KEY = "pyrage"


def send(task: Task) -> Callable[[], None]:
    """`encrypt_file`, `upload_file`."""
    client, recipient = task.client(), _identity(task).to_public()
    encrypted = task.path.with_name("pyrage.age")
    remove_prefix(client, bucket=task.bucket, prefix=KEY)

    def run() -> None:
        pyrage.encrypt_file(task.file, str(encrypted), [recipient])
        client.upload_file(str(encrypted), task.bucket, KEY)
        encrypted.unlink()

    return run


def receive(task: Task) -> Callable[[], None]:
    """`download_file`, `decrypt_file`."""
    client, identity = task.client(), _identity(task)
    encrypted = task.path.with_name("pyrage.age")

    def run() -> None:
        client.download_file(task.bucket, KEY, str(encrypted))
        pyrage.decrypt_file(str(encrypted), task.file, [identity])
        encrypted.unlink()

    return run


def _identity(task: Task) -> pyrage.x25519.Identity:
    path: Path = task.own / "identity.txt"
    if path.exists():
        return pyrage.x25519.Identity.from_str(path.read_text(encoding="ascii"))
    identity = pyrage.x25519.Identity.generate()
    path.touch(mode=0o600)
    path.write_text(str(identity), encoding="ascii")
    return identity
