"""The short, repeatable run of the fuzz targets. The long one is `scripts/fuzz`."""

import itertools
import time
import tracemalloc

import pytest

from pqtransfer.crypto.canonical_json import write_canonical_json
from tests.fuzz.mutations import list_mutations
from tests.fuzz.targets import TARGETS

INPUTS = 1500
CPU_SECONDS_PER_INPUT = 2
MEMORY_LIMIT_BYTES = 256 << 20  # half of what a worker may use

MEBIBYTES_4 = 4 << 20
HEAD = (
    b'{"body":{"epoch":1,"format":"pqtransfer-envelope/1","mac":"","signer":"a","stanzas":[%b],"suite":"PQT-1",'
    b'"transfer_id":"0198c0de-0000-7000-8000-000000000000"},"signed":{"public_key":"","signature":""}}'
)
BOMBS = {
    "two million wrong stanzas": HEAD % b",".join([b"0"] * 2_000_000),
    "wrong stanzas under the limit": HEAD % b",".join([b"{}"] * 15_000),
    "a million lists": b'{"a":[' + b",".join([b"[]"] * 1_390_000) + b"]}",
    "400,000 names": b"{" + b",".join(b'"%06x":0' % n for n in range(380_000)) + b"}",
    "nesting": b'{"a":' * 800_000,
    "nesting under the limit": b'{"a":' * 400 + b"0" + b"}" * 400,
    "one number": b'{"a":' + b"7" * (MEBIBYTES_4 - 10) + b"}",
    "one string": b'{"a":"' + b"x" * (MEBIBYTES_4 - 10) + b'"}',
    "escapes": b'{"a":"' + b"\\u0001" * 690_000 + b'"}',
    "one name": b'{"' + b"x" * (MEBIBYTES_4 - 10) + b'":1}',
    "base64": write_canonical_json({"body": {"mac": "A" * 4_000_000}}),
    "random": bytes(range(256)) * (MEBIBYTES_4 // 256),
    "too large": b" " * (64 << 20),
}


@pytest.mark.parametrize("name", TARGETS)
def test_only_named_errors_leave_a_parser_and_nothing_wrong_passes(name: str) -> None:
    """The corpus and some hundred mutations of it, the same at every run; each within seconds."""
    target, corpus = TARGETS[name]
    for data in itertools.islice(list_mutations(corpus, seed=2), INPUTS):
        started = time.process_time()
        target(data)
        assert time.process_time() - started < CPU_SECONDS_PER_INPUT, data[:200]


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", ["manifest", "envelope", "public-identity", "message", "request"])
def test_large_and_deep_documents_cost_bounded_time_and_memory(name: str, bomb: str) -> None:
    """A stranger's document is refused before it has cost a worker its memory."""
    target, _ = TARGETS[name]
    tracemalloc.start()
    started = time.process_time()
    try:
        target(BOMBS[bomb])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < CPU_SECONDS_PER_INPUT
    assert peak < MEMORY_LIMIT_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_takes_what_it_should(name: str) -> None:
    """A target that refused its own seed would reach nothing behind the first check."""
    target, corpus = TARGETS[name]
    assert target(corpus[0])
    assert not target(b"")
