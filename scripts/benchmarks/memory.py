"""The most memory that a process ever had."""

from pathlib import Path


def read_peak_rss_bytes(process: int | str) -> int:
    """Of the process with this id, or of `"self"` (proc(5), VmHWM).

    Raises:
        ProcessLookupError: there is none.
    """
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(process)
