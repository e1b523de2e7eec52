"""A relay before the store that notes the UploadPart requests that pass: what a worker sends, not what it says."""

import contextlib
import re
import socket
import threading
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
BUFFER_SIZE_BYTES = 1 << 20
# A client waits for the answer before its next request, so a request always begins what is received next.
_UPLOAD_PART = re.compile(rb"PUT /\S*[?&]partNumber=(\d+)")


class CountingProxy:
    """Listens on a free port of loopback for as long as the `with` block lasts."""

    def __init__(self, port: int) -> None:
        self._target = (HOST, port)
        self._listener = socket.create_server((HOST, 0))
        self._lock = threading.Lock()
        self._part_numbers: list[int] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    @property
    def part_numbers(self) -> list[int]:
        """The part number of each UploadPart request that has begun."""
        with self._lock:
            return list(self._part_numbers)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for source, sink, counts in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._relay, args=(source, sink, counts), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        buffer = bytearray(BUFFER_SIZE_BYTES)
        with contextlib.suppress(OSError):
            while length := source.recv_into(buffer):
                if counts and (found := _UPLOAD_PART.match(buffer, 0, min(length, 4096))):
                    with self._lock:
                        self._part_numbers.append(int(found[1]))
                sink.sendall(memoryview(buffer)[:length])
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
