"""The endpoint of the ECS agent that tasks ask for protection from scale-in: one address for each task, on loopback."""

import json
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripts.embedded_cloud.server import HOST

DEFAULT_MINUTES = 120
LONGEST_MINUTES = 2880
LIMIT_BYTES = 4096
PATH = "/task-protection/v1/state"


class TaskAgent:
    """Keeps the protection of tasks by the token in their address; `ECS_AGENT_URI` of a task is `register`'s answer."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._tasks: dict[str, str] = {}
        self._until: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((HOST, 0), self._make_handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="ecs-agent", daemon=True)
        self._thread.start()

    def register(self, task_arn: str) -> str:
        """The address of a new task."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._tasks[token] = task_arn
        return f"http://{HOST}:{self._server.server_address[1]}/api/{token}"

    def forget(self, task_arn: str) -> None:
        """The task has stopped."""
        with self._lock:
            self._tasks = {token: arn for token, arn in self._tasks.items() if arn != task_arn}
            self._until.pop(task_arn, None)

    def is_protected(self, task_arn: str) -> bool:
        """Whether the task may not be scaled in now."""
        with self._lock:
            until = self._until.get(task_arn)
        return until is not None and self._now() < until

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, wish: dict[str, Any] | None) -> tuple[HTTPStatus, dict[str, Any]]:
        token = path.removeprefix("/api/").removesuffix(PATH)
        with self._lock:
            task_arn = self._tasks.get(token)
            if task_arn is None or not path.endswith(PATH):
                return HTTPStatus.NOT_FOUND, {"error": {"Code": "ResourceNotFoundException", "Message": "no such task"}}
            if wish is not None:
                minutes = wish.get("ExpiresInMinutes", DEFAULT_MINUTES)
                enabled = wish.get("ProtectionEnabled")
                if not isinstance(enabled, bool) or not isinstance(minutes, int) or not 1 <= minutes <= LONGEST_MINUTES:
                    return HTTPStatus.BAD_REQUEST, {"error": {"Code": "InvalidParameterException", "Message": "wish"}}
                if enabled:
                    self._until[task_arn] = self._now() + timedelta(minutes=minutes)
                else:
                    self._until.pop(task_arn, None)
            until = self._until.get(task_arn)
        protection: dict[str, Any] = {"ProtectionEnabled": until is not None, "TaskArn": task_arn}
        if until is not None:
            protection["ExpirationDate"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
        return HTTPStatus.OK, {"protection": protection}

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(*answer(self.path, None))

            def do_PUT(self) -> None:
                try:
                    length = int(self.headers.get("Content-Length", "0"))
                    wish = json.loads(self.rfile.read(min(length, LIMIT_BYTES)))
                except ValueError:
                    wish = {}
                self._reply(*answer(self.path, wish if isinstance(wish, dict) else {}))

            def _reply(self, status: HTTPStatus, document: dict[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
                """Nothing: the task logs what matters."""

        return Handler
