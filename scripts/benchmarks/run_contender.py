"""The process of one measured call: `python -m scripts.benchmarks.run_contender MODULE send|receive TASK`.

It answers with one JSON line: the seconds of the clock, of the processor in it and in processes that it waited for, and
the most memory that one of them had. (Not what wait4 tells its parent: that begins with the memory of the parent.)
"""

import importlib
import json
import os
import resource
import sys
import time

from scripts.benchmarks.process_costs import read_peak_rss_bytes
from scripts.benchmarks.task import Task


def main() -> None:
    """Prepare, run, measure."""
    module, action, task = sys.argv[1:]
    run = getattr(importlib.import_module(f"scripts.benchmarks.contenders.{module}"), action)(Task.from_json(task))
    before, began = os.times(), time.perf_counter()
    run()
    wall, after = time.perf_counter() - began, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    peak_rss_bytes = max(read_peak_rss_bytes("self"), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    print(json.dumps({"wall_seconds": wall, "cpu_seconds": cpu, "peak_rss_bytes": peak_rss_bytes}))


if __name__ == "__main__":
    main()
