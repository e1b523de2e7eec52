"""Fuzz the parsers for a while: `scripts/fuzz [--seconds N] [TARGET ...]`.

Under atheris (coverage-guided, Python below 3.12) when it is installed, else with the mutations of the test command. An
input that breaks an oracle is kept in build/fuzz/TARGET and named; the same input again: `--replay FILE TARGET`.
"""

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

STATE = Path("build") / "fuzz"
SECONDS_PER_INPUT = 5
MEMORY_MIB = 512


def main() -> int:
    arguments = parse_arguments()
    if arguments.atheris:
        run_atheris(arguments.targets[0], arguments.seconds)
    names = arguments.targets or list_targets()
    if arguments.replay:
        run_target(names[0], arguments.replay.read_bytes())
        print(f"{names[0]}: holds")
        return 0
    guided = find_spec("atheris") is not None
    print(f"{len(names)} targets, {arguments.seconds} s each, {'atheris' if guided else 'plain mutations'}")
    return max(fuzz(name, arguments.seconds, guided=guided) for name in names)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Fuzz every parser of the container.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one target on one kept input")
    parser.add_argument("--atheris", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="which (default: all)")
    return parser.parse_args()


def list_targets() -> list[str]:
    from tests.fuzz.targets import TARGETS  # not at the top: atheris instruments what is imported after it

    return list(TARGETS)


def run_target(name: str, data: bytes) -> None:
    from tests.fuzz.targets import TARGETS

    TARGETS[name][0](data)


def fuzz(name: str, seconds: int, *, guided: bool) -> int:
    """One target; 0 when nothing was found. Under atheris in a process of its own: libFuzzer ends the process."""
    directory = STATE / name
    directory.mkdir(parents=True, exist_ok=True)
    if not guided:
        return fuzz_plainly(name, seconds, directory)
    command = [sys.executable, "-m", "tests.fuzz.run_fuzzer", "--atheris", "--seconds", str(seconds), name]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = result.stderr.splitlines()
    print(f"{name}: {'holds' if result.returncode == 0 else 'BROKEN'}  {lines[-1] if lines else ''}", flush=True)
    if result.returncode:
        print("\n".join(lines[-40:]))
    return min(result.returncode, 1)


def run_atheris(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["pqtransfer", "rfc8785"]):
        from tests.fuzz.targets import TARGETS
    target, corpus = TARGETS[name]
    directory = STATE / name
    for number, data in enumerate(corpus):
        (directory / f"seed-{number}").write_bytes(data)
    limits = [f"-max_total_time={seconds}", f"-timeout={SECONDS_PER_INPUT}", f"-rss_limit_mb={MEMORY_MIB}"]
    atheris.Setup([name, *limits, f"-artifact_prefix={directory}/broken-", "-max_len=65536", str(directory)], target)
    atheris.Fuzz()


def fuzz_plainly(name: str, seconds: int, directory: Path) -> int:
    from tests.fuzz.mutations import list_mutations
    from tests.fuzz.targets import TARGETS

    target, corpus = TARGETS[name]
    end = time.monotonic() + seconds
    for count, data in enumerate(list_mutations(corpus, seed=time.time_ns())):
        started = time.monotonic()
        if started > end:
            print(f"{name}: holds  {count} inputs")
            return 0
        kept = directory / "broken-last"
        kept.write_bytes(data)
        target(data)
        if time.monotonic() - started > SECONDS_PER_INPUT:
            print(f"{name}: BROKEN, {SECONDS_PER_INPUT} s are over: {kept}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
