"""Run a worker that ends with whoever started it, whatever happens to that process.

`python -m scripts.embedded_cloud.tether PARENT_PID` is `python -m transfer_worker.main`, and the kernel kills it when
the thread that started it is gone.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def tie_to_parent(parent_pid: int) -> None:
    """End with the parent: SIGKILL, which reaches a frozen process too. A worker can be killed at any time."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:  # it was gone before the kernel knew of the tie
        sys.exit(1)


if __name__ == "__main__":
    tie_to_parent(int(sys.argv[1]))
    sys.argv = ["transfer_worker.main"]
    runpy.run_module("transfer_worker.main", run_name="__main__", alter_sys=True)
