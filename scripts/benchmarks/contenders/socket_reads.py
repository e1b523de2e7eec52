"""The least that a receive can cost: ranged GETs of the plain object over bare sockets, written as they come.

No HTTP client, no checksum, no decryption, no durability. What is above this is the price of those.
"""

import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from pqtransfer.crypto.geometry import DEFAULT_PART_SIZE_BYTES
from pqtransfer.transfers.parts import count_parts_in_flight
from scripts.benchmarks.contenders.boto3_plain import KEY
from scripts.benchmarks.task import Task

CHUNK_SIZE_BYTES = 1 << 20
HEAD_LIMIT_BYTES = 16 << 10


def receive(task: Task) -> Callable[[], None]:
    """GET, `recv_into`, `pwrite`."""
    client = task.client()
    size_bytes = client.head_object(Bucket=task.bucket, Key=KEY)["ContentLength"]
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": task.bucket, "Key": KEY}))
    request = f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n"

    def run() -> None:
        reader = _Reader(url.hostname or "", url.port or 80, request)
        with task.path.open("xb") as file, ThreadPoolExecutor(count_parts_in_flight(DEFAULT_PART_SIZE_BYTES)) as pool:

            def fetch(start: int) -> None:
                reader.copy(file.fileno(), start, min(start + DEFAULT_PART_SIZE_BYTES, size_bytes))

            list(pool.map(fetch, range(0, size_bytes, DEFAULT_PART_SIZE_BYTES)))

    return run


class _Reader:
    """One connection and one small buffer for each thread."""

    def __init__(self, host: str, port: int, request: str) -> None:
        self._address = (host, port)
        self._request = request
        self._thread = threading.local()
        self._writing = threading.Lock()

    def copy(self, descriptor: int, start: int, end: int) -> None:
        """Bytes [start, end) of the object to their place in the file."""
        if not hasattr(self._thread, "connection"):
            self._thread.connection = socket.create_connection(self._address)
            self._thread.buffer = memoryview(bytearray(CHUNK_SIZE_BYTES))
        connection, buffer = self._thread.connection, self._thread.buffer
        connection.sendall(f"{self._request}Range: bytes={start}-{end - 1}\r\n\r\n".encode("ascii"))
        filled = _read_head(connection, buffer)
        while start < end:
            # Full chunks, because threads that write to one file at a time wait for each other.
            wanted = min(len(buffer), end - start)
            while filled < wanted:
                count = connection.recv_into(buffer[filled:wanted])
                if not count:
                    raise EOFError("the store closed the connection")
                filled += count
            with self._writing:
                start += os.pwrite(descriptor, buffer[:filled], start)
            filled = 0


def _read_head(connection: socket.socket, buffer: memoryview) -> int:
    """Read the head of an answer; how many bytes of the body came with it and stand in the buffer."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < HEAD_LIMIT_BYTES:
        received += connection.recv(HEAD_LIMIT_BYTES)
    head, _, body = received.partition(b"\r\n\r\n")
    if b" 206 " not in head.split(b"\r\n")[0]:
        raise EOFError(f"the store answered {head[:100]!r}")
    buffer[: len(body)] = body
    return len(body)
