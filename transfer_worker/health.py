"""The health endpoint for ECS and the load balancer: `/healthz` (the process works), `/readyz` (it takes transfers)."""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from pqtransfer.errors import UnavailableError

STALE_SECONDS = 300.0
"""Longer than one long poll or one call with all of its retries: a loop that has not turned since, and whose heart has
not beaten, is taken for hung."""


class HealthPortError(UnavailableError):
    """The health endpoint cannot listen where it should."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host}:{port} ({reason}); set PQTRANSFER_HEALTH_PORT to a free port, or 0 for any"
        )


class Health:
    """What the loop reports about itself. Times are seconds of a monotonic clock."""

    def __init__(self, *, worker_name: str, monotonic: Callable[[], float]) -> None:
        self._worker_name = worker_name
        self._monotonic = monotonic
        self._turned_at = monotonic()
        self._queue_reached = False
        self._draining = False
        self._transfer_id: str | None = None
        self._bytes_done = self._bytes_moved = 0
        self._moved_at = self._turned_at

    def turned(self, *, queue_reached: bool) -> None:
        """The loop came around; whether it could reach the queue."""
        self._turned_at = self._monotonic()
        self._queue_reached = queue_reached

    def working_on(self, transfer_id: str | None) -> None:
        """A transfer begins, or none runs any more."""
        self._turned_at = self._monotonic()
        self._transfer_id, self._bytes_done = transfer_id, 0
        self._moved_at = self._turned_at

    def beat(self, *, bytes_done: int) -> None:
        """The heart of the running transfer beats; how far it is."""
        self._turned_at = self._monotonic()
        if bytes_done != self._bytes_done:
            self._bytes_moved += max(0, bytes_done - self._bytes_done)
            self._bytes_done, self._moved_at = bytes_done, self._turned_at

    def draining(self) -> None:
        """The worker takes no more transfers."""
        self._draining = True

    def read(self) -> tuple[bool, bool, dict[str, Any]]:
        """Healthy, ready, and what to show."""
        at = self._monotonic()
        silent_for = at - self._turned_at
        healthy = silent_for < STALE_SECONDS
        ready = healthy and self._queue_reached and not self._draining
        shown = {
            "worker": self._worker_name,
            "healthy": healthy,
            "ready": ready,
            "draining": self._draining,
            "transfer_id": self._transfer_id,
            "bytes_moved": self._bytes_moved,
            "seconds_since_last_turn": round(silent_for, 1),
            "seconds_since_progress": None if self._transfer_id is None else round(at - self._moved_at, 1),
        }
        return healthy, ready, shown


class HealthServer:
    """Serves the health of one worker over HTTP, from `with` to the end of the block."""

    def __init__(self, health: Health, *, host: str, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                healthy, ready, shown = health.read()
                good = {"/healthz": healthy, "/readyz": ready}.get(self.path)
                if good is None:
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                body = json.dumps(shown).encode()
                self.send_response(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
                """Health checks are not logged."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise HealthPortError(host, port, str(error)) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on (chosen by the system when it was asked for port 0)."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
