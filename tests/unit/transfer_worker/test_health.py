"""The health endpoints that ECS and the load balancer ask."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.fakes.clocks import FakeClock
from transfer_worker.health import STALE_SECONDS, Health, HealthPortError, HealthServer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> Health:
    return Health(worker_name="worker-1", monotonic=clock.monotonic)


@pytest.fixture
def server(health: Health) -> Iterator[HealthServer]:
    with HealthServer(health, host="127.0.0.1", port=0) as server:
        yield server


def ask(server: HealthServer, path: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        body = error.read()
        return error.code, json.loads(body) if body.startswith(b"{") else {}


def idle(health: Health, clock: FakeClock) -> None:
    health.turned(queue_reached=True)


def starting(health: Health, clock: FakeClock) -> None:
    """Nothing has happened yet."""


def cut_off(health: Health, clock: FakeClock) -> None:
    health.turned(queue_reached=False)


def draining(health: Health, clock: FakeClock) -> None:
    health.turned(queue_reached=True)
    health.draining()


def hung(health: Health, clock: FakeClock) -> None:
    health.turned(queue_reached=True)
    clock.advance(STALE_SECONDS)


def long_at_work(health: Health, clock: FakeClock) -> None:
    health.turned(queue_reached=True)
    health.working_on("transfer")
    for second in range(3600):
        clock.advance(1)
        health.beat(bytes_done=second)


def hung_at_work(health: Health, clock: FakeClock) -> None:
    long_at_work(health, clock)
    clock.advance(STALE_SECONDS)


def just_done(health: Health, clock: FakeClock) -> None:
    long_at_work(health, clock)
    health.working_on(None)


@pytest.mark.parametrize(
    ("situation", "healthz", "readyz"),
    [
        (starting, 200, 503),
        (idle, 200, 200),
        (cut_off, 200, 503),  # restarting it would not bring AWS back
        (draining, 200, 503),
        (hung, 503, 503),
        (long_at_work, 200, 200),
        (hung_at_work, 503, 503),
        (just_done, 200, 200),
    ],
)
def test_what_the_endpoints_say(
    server: HealthServer, health: Health, clock: FakeClock, situation: object, healthz: int, readyz: int
) -> None:
    """`/healthz`: should the process be replaced? `/readyz`: does it take transfers?"""
    situation(health, clock)  # type: ignore[operator]
    assert ask(server, "/healthz")[0] == healthz
    assert ask(server, "/readyz")[0] == readyz


def test_the_body_says_why(server: HealthServer, health: Health, clock: FakeClock) -> None:
    """For the person who looks: the heart beats, and no byte has moved for half a minute."""
    health.working_on("transfer-7")
    health.beat(bytes_done=7)
    clock.advance(30)
    health.beat(bytes_done=7)
    health.draining()
    assert ask(server, "/healthz")[1] == {
        "worker": "worker-1",
        "healthy": True,
        "ready": False,
        "draining": True,
        "transfer_id": "transfer-7",
        "bytes_moved": 7,
        "seconds_since_last_turn": 0.0,
        "seconds_since_progress": 30.0,
    }


@pytest.mark.parametrize("path", ["/", "/healthz/", "/metrics", "/healthz?x"])
def test_other_paths_are_not_found(server: HealthServer, path: str) -> None:
    """Nothing else is served."""
    assert ask(server, path)[0] == 404


def test_a_port_that_is_taken(health: Health) -> None:
    """The error names the address and the variable to change."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(HealthPortError, match=f"127.0.0.1:{port}.*PQTRANSFER_HEALTH_PORT"):
            HealthServer(health, host="127.0.0.1", port=port)


def test_the_port_is_free_again_afterwards(health: Health) -> None:
    """A worker that is restarted at once gets it."""
    with HealthServer(health, host="127.0.0.1", port=0) as server:
        port = server.port
    with HealthServer(health, host="127.0.0.1", port=port):
        pass
