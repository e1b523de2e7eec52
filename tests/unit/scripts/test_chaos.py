"""The chaos run: its plan is a function of the seed, and its proxy does to requests what it is told."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scripts.chaos_run.plan import (
    LARGEST_BYTES,
    MESSAGE_FAULTS,
    PROCESS_FAULTS,
    SERVICE_FAULTS,
    SMALLEST_BYTES,
    FaultKind,
    make_plan,
)
from scripts.chaos_run.proxy import FaultProxy, concerns
from scripts.chaos_run.report import render

BODY = bytes(range(256)) * 1000
SIGNED = "AWS4-HMAC-SHA256 Credential=AKIA/20260301/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_is_a_function_of_its_seed(seed: int) -> None:
    """The same again, another one for another seed, and every kind of fault in each."""
    plan = make_plan(seed, transfers=20)
    assert plan == make_plan(seed, transfers=20)
    assert plan != make_plan(seed + 1, transfers=20)
    assert {fault.kind for fault in plan.faults} == {*PROCESS_FAULTS, *SERVICE_FAULTS}
    assert {each.repeated for each in plan.transfers} >= set(MESSAGE_FAULTS)
    assert sorted(each.number for each in plan.transfers) == list(range(20))
    assert all(SMALLEST_BYTES <= each.size_bytes <= LARGEST_BYTES for each in plan.transfers)


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, or with BODY."""

    def do_GET(self) -> None:
        self._answer(BODY)

    def do_PUT(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Quiet."""


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with FaultProxy(f"http://127.0.0.1:{server.server_port}", seed=1) as started:
        yield started
    server.shutdown()
    server.server_close()


def ask(proxy: FaultProxy, method: str, *, service: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of one request through the proxy."""
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, "/", body=body, headers={"Authorization": SIGNED.format(service=service)})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_without_a_fault_everything_passes(proxy: FaultProxy) -> None:
    """In both directions, byte for byte."""
    assert ask(proxy, "GET", service="s3") == (200, BODY)
    assert ask(proxy, "PUT", service="s3", body=BODY) == (200, BODY)


@pytest.mark.parametrize(
    ("kind", "service", "status", "code"),
    [
        (FaultKind.S3_500, "s3", 500, b"InternalError"),
        (FaultKind.S3_503, "s3", 503, b"SlowDown"),
        (FaultKind.DYNAMODB_THROTTLED, "dynamodb", 400, b"ProvisionedThroughputExceededException"),
        (FaultKind.KMS_REFUSES, "kms", 500, b"KMSInternalException"),
        (FaultKind.CREDENTIALS_EXPIRED, "sqs", 403, b"ExpiredTokenException"),
    ],
)
def test_a_service_refuses(proxy: FaultProxy, kind: FaultKind, service: str, status: int, code: bytes) -> None:
    """In its own words; other services are left alone; what it befell is counted."""
    proxy.begin(7, kind, lasts_seconds=600.0, share=1.0)
    seen_status, body = ask(proxy, "PUT", service=service, body=b"x")
    assert seen_status == status
    assert code in body
    assert ask(proxy, "GET", service="sts") == (200, BODY)
    assert proxy.count_hits(7) == 1


@pytest.mark.parametrize("kind", [FaultKind.S3_RESET, FaultKind.S3_CUT])
def test_a_connection_breaks(proxy: FaultProxy, kind: FaultKind) -> None:
    """Before the answer, or in the middle of it."""
    proxy.begin(1, kind, lasts_seconds=600.0, share=1.0)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(proxy, "GET", service="s3")


def test_a_fault_ends(proxy: FaultProxy) -> None:
    """When its time is over, and it has befallen a request at least."""
    proxy.begin(1, FaultKind.S3_500, lasts_seconds=0.0, share=1.0)
    assert ask(proxy, "GET", service="s3")[0] == 500
    assert ask(proxy, "GET", service="s3") == (200, BODY)


@pytest.mark.parametrize("kind", SERVICE_FAULTS)
def test_no_fault_befalls_what_it_should_not(kind: FaultKind) -> None:
    """The roles that workers take are not among what goes wrong."""
    assert not concerns(kind, "sts", b"POST / HTTP/1.1\r\n")


def test_a_report_shows_problems_first() -> None:
    """Whoever reads the first lines knows how it went."""
    fault = {"at": "12:00:00", "kind": "S3 503", "whom": "worker-1", "hits": 1, "seen_in": ["worker log"]}
    text = render(
        {
            "command": "scripts/chaos --seed 1",
            "seconds": 5,
            "transfers": 2,
            "bytes": 10,
            "completed": 1,
            "failed": {},
            "retries": {"WorkerLost": 1},
            "problems": ["LOST: x has not ended"],
            "left_out": [],
            "faults": [fault],
            "failures": {},
            "alerts": [],
        }
    )
    assert "- LOST: x has not ended" in text.split("## Each fault")[0]
    assert "| S3 503 | 1 | 1 | 1 |" in text
