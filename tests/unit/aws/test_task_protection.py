"""Task scale-in protection, against an agent on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from pqtransfer.aws.task_protection import TaskProtection, TaskProtectionError


class Agent:
    """Answers as the ECS agent does; notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.answer: bytes = b'{"protection": {"ProtectionEnabled": true}}'
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                agent.asked.append((self.path, json.loads(body)))
                self.send_response(agent.status)
                self.end_headers()
                self.wfile.write(agent.answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    thread = threading.Thread(target=agent.server.serve_forever, daemon=True)
    thread.start()
    yield agent
    agent.server.shutdown()
    agent.server.server_close()
    thread.join()


def test_holding_and_dropping(agent: Agent) -> None:
    """Protection for an hour, and its end, as the agent's interface wants them."""
    protection = TaskProtection(agent.uri)
    protection.hold()
    protection.drop()
    assert agent.asked == [
        ("/task-protection/v1/state", {"ProtectionEnabled": True, "ExpiresInMinutes": 60}),
        ("/task-protection/v1/state", {"ProtectionEnabled": False}),
    ]


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (200, b'{"failure": {"Reason": "DEPLOYMENT_BLOCKED"}}', "DEPLOYMENT_BLOCKED"),
        (200, b'{"error": {"Code": "AccessDeniedException"}}', "AccessDeniedException"),
        (400, b"{}", "400"),
        (200, b"not json", "task role"),
        (200, b"[]", "task role"),
        (200, b"null", "task role"),
        (200, b"\xff\xfe", "task role"),
    ],
)
def test_an_agent_that_refuses(agent: Agent, status: int, answer: bytes, says: str) -> None:
    """Always the one error that the worker bears."""
    agent.status, agent.answer = status, answer
    with pytest.raises(TaskProtectionError, match=says):
        TaskProtection(agent.uri).hold()


def test_an_agent_that_hangs_up() -> None:
    """In the middle of an answer: the same error."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(10)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(TaskProtectionError):
            TaskProtection(f"http://127.0.0.1:{listening.getsockname()[1]}").hold()
        thread.join()


def test_an_agent_that_is_not_there(agent: Agent) -> None:
    """Connection refused is the same error."""
    with pytest.raises(TaskProtectionError):
        TaskProtection("http://127.0.0.1:9").hold()


def test_outside_ecs_there_is_nothing_to_protect_from() -> None:
    """No agent, no error."""
    TaskProtection(None).hold()
    TaskProtection(None).drop()


def test_an_agent_that_is_no_http_address() -> None:
    """The environment variable is named."""
    with pytest.raises(TaskProtectionError, match="ECS_AGENT_URI"):
        TaskProtection("file:///etc/passwd")
