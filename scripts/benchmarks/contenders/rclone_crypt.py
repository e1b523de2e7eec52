"""rclone with its `crypt` remote over the S3 store: the Debian package, where it is installed."""

import os
import subprocess
from collections.abc import Callable

from scripts.benchmarks.source import remove_prefix
from scripts.benchmarks.task import Task

PROGRAM = "rclone"
NAME = "model"
PREFIX = "rclone"


def send(task: Task) -> Callable[[], None]:
    """`rclone copyto FILE crypt:`."""
    # It sends nothing when the object is there with the file's size and time.
    remove_prefix(task.client(), bucket=task.bucket, prefix=f"{PREFIX}/")
    return lambda: _run(task, [task.file, f"crypt:{NAME}"])


def receive(task: Task) -> Callable[[], None]:
    """`rclone copyto crypt: FILE`, with its streams for one file (multi-thread download) as it comes."""
    return lambda: _run(task, [f"crypt:{NAME}", task.file])


def _run(task: Task, places: list[str]) -> None:
    subprocess.run([PROGRAM, "copyto", *places], env=_variables(task), check=True)


def _variables(task: Task) -> dict[str, str]:
    password = subprocess.run(
        [PROGRAM, "obscure", "bench"], env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, check=True
    )
    return {
        "PATH": os.environ["PATH"],
        "HOME": task.folder,
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_STORE_TYPE": "s3",
        "RCLONE_CONFIG_STORE_PROVIDER": "Other",
        "RCLONE_CONFIG_STORE_ENDPOINT": task.endpoint_url,
        "RCLONE_CONFIG_STORE_ACCESS_KEY_ID": task.access_key_id,
        "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": task.secret_access_key,
        "RCLONE_CONFIG_CRYPT_TYPE": "crypt",
        "RCLONE_CONFIG_CRYPT_REMOTE": f"store:{task.bucket}/{PREFIX}",
        "RCLONE_CONFIG_CRYPT_PASSWORD": password.stdout.decode().strip(),
    }
