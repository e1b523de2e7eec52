"""A link between a process and the cloud that is slow, stops, or breaks when a test says so.

The emulated S3 answers faster than a test can aim. Through a link, "after 40 MB" is a moment that can be hit.
It forwards bytes as they are, so signatures hold; it listens on loopback alone.
"""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"
CHUNK_BYTES = 1 << 16
PATIENCE_SECONDS = 120.0


class SlowLink:
    """Forwards connections to `target_url`, at most `bytes_per_second` of what is sent to it."""

    def __init__(self, target_url: str, *, bytes_per_second: float | None = None) -> None:
        target = urlsplit(target_url)
        self._target = (target.hostname or HOST, target.port or 80)
        self._seconds_per_byte = 1 / bytes_per_second if bytes_per_second else 0.0
        self._listener = socket.create_server((HOST, 0))
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._stopped = threading.Event()
        self._stop_at: int | None = None
        self._free_at = 0.0
        self._sent_bytes = 0
        self._connections: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.set()
        self._listener.close()
        self.cut()

    @property
    def url(self) -> str:
        """The endpoint to use in place of the target's."""
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    @property
    def sent_bytes(self) -> int:
        """How many bytes have been sent through it so far."""
        return self._sent_bytes

    def stop_after(self, byte_count: int) -> None:
        """Let that many bytes more be sent, then nothing until `go_on`."""
        self._stopped.clear()
        self._stop_at = self._sent_bytes + byte_count

    def wait_until_stopped(self) -> None:
        """Wait until the bytes that `stop_after` allowed have been sent."""
        assert self._stopped.wait(PATIENCE_SECONDS), f"only {self._sent_bytes} bytes were sent"

    def go_on(self) -> None:
        """Forward again."""
        self._stop_at = None
        self._open.set()

    def pace(self, *, bytes_per_second: float | None) -> None:
        """Forward so many bytes a second from now on; as they come for None."""
        with self._lock:
            self._seconds_per_byte = 1 / bytes_per_second if bytes_per_second else 0.0
            self._free_at = 0.0

    def cut(self) -> None:
        """Break every connection there is now. New ones are forwarded."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._connections |= {near, far}
            threading.Thread(target=self._forward, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(far, near, False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_sending: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if is_sending:
                    self._pace(len(data))
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pace(self, byte_count: int) -> None:
        self._open.wait()
        with self._lock:
            self._sent_bytes += byte_count
            if self._stop_at is not None and self._sent_bytes >= self._stop_at:
                self._open.clear()
                self._stopped.set()
            self._free_at = max(self._free_at, time.monotonic()) + byte_count * self._seconds_per_byte
            wait_seconds = self._free_at - time.monotonic()
        if wait_seconds > 0:
            time.sleep(wait_seconds)
        self._open.wait()
