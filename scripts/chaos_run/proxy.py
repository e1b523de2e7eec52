"""A proxy on loopback between workers and the cloud that answers wrongly, late, or not at all when it is told to.

It takes one request a connection and leaves heads as they are, so that signatures hold. Which service a request is for
stands in its signature; what befalls it is decided by the faults that hold at that moment.
"""

import asyncio
import contextlib
import json
import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from pqtransfer.errors import PqtransferError
from scripts.chaos_run.plan import FaultKind

HOST = "127.0.0.1"
CHUNK_BYTES = 1 << 16
NO_ANSWER_SECONDS = 4.0
SLOW_BYTES_PER_SECOND = 1_000_000
GRACE_SECONDS = 60.0
_SCOPE = re.compile(rb"Credential=[^/]+/\d{8}/[^/]+/([a-z0-9-]+)/aws4_request")
_FORGED = {
    FaultKind.S3_500: (500, "InternalError"),
    FaultKind.S3_503: (503, "SlowDown"),
    FaultKind.DYNAMODB_THROTTLED: (400, "ProvisionedThroughputExceededException"),
    FaultKind.KMS_REFUSES: (500, "KMSInternalException"),
    FaultKind.CREDENTIALS_EXPIRED: (403, "ExpiredTokenException"),
    FaultKind.QUEUE_AWAY: (500, "InternalFailure"),
}


class CutError(PqtransferError):
    """The connection is to be broken now: a fault says so, or the other side has gone."""

    def __init__(self) -> None:
        super().__init__("the connection is broken")


@dataclass(frozen=True)
class _Active:
    number: int
    kind: FaultKind
    until: float
    share: float


class FaultProxy:
    """Runs in a thread of its own, from `with` to the end of the block."""

    def __init__(self, target_url: str, *, seed: int) -> None:
        target = urlsplit(target_url)
        self._target = (target.hostname or HOST, target.port or 80)
        self._draw = random.Random(seed)
        self._active: list[_Active] = []
        self._hits: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)
        self._ready = threading.Event()
        self._port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        """The endpoint to use in place of the target's."""
        return f"http://{HOST}:{self._port}"

    def begin(self, number: int, kind: FaultKind, *, lasts_seconds: float, share: float) -> None:
        """Let a fault hold from now."""
        with self._lock:
            self._active.append(_Active(number, kind, time.monotonic() + lasts_seconds, share))

    def count_hits(self, number: int) -> int:
        """How many requests a fault has befallen."""
        with self._lock:
            return self._hits[number]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, HOST, 0))
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):  # what still waits for somebody
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def _choose(self, head: bytes) -> FaultKind | None:
        """The fault that befalls this request, if one does."""
        scope = _SCOPE.search(head)
        service = scope[1].decode() if scope else ""
        with self._lock:
            self._active = [fault for fault in self._active if self._holds(fault)]
            for fault in self._active:
                if concerns(fault.kind, service, head) and self._draw.random() < fault.share:
                    self._hits[fault.number] += 1
                    return fault.kind
        return None

    def _holds(self, fault: _Active) -> bool:
        """Until its time is over; one that has befallen nobody waits for somebody, on a machine that is slow."""
        grace_seconds = 0.0 if self._hits[fault.number] else GRACE_SECONDS
        return time.monotonic() < fault.until + grace_seconds

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._answer(head, reader, writer, self._choose(head))
        except (CutError, OSError, EOFError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: FaultKind | None
    ) -> None:
        expects = re.compile(rb"\r\nExpect: 100-continue", re.IGNORECASE)
        if expects.search(head):
            head = expects.sub(b"", head)
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
        found = re.search(rb"\r\nContent-Length: *(\d+)", head, re.IGNORECASE)
        length = int(found[1]) if found else 0
        if kind is FaultKind.S3_RESET:
            await reader.readexactly(length // 2)
            raise CutError
        if kind is FaultKind.S3_TIMEOUT or kind in _FORGED:
            await reader.readexactly(length)
            if kind is FaultKind.S3_TIMEOUT:
                await asyncio.sleep(NO_ANSWER_SECONDS)
                raise CutError
            writer.write(forge(*_FORGED[kind], is_s3=b"/s3/aws4_request" in head))
            await writer.drain()
            return
        await self._forward(head, length, reader, writer, kind)

    async def _forward(
        self,
        head: bytes,
        length: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        kind: FaultKind | None,
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        try:
            kept = re.sub(rb"\r\nConnection: [^\r]*", b"", head, flags=re.IGNORECASE)
            far_writer.write(kept.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while length > 0:
                data = await reader.read(min(length, CHUNK_BYTES))
                if not data:
                    raise CutError
                far_writer.write(data)
                await far_writer.drain()
                length -= len(data)
            sent = 0
            while data := await far_reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
                sent += len(data)
                if kind is FaultKind.S3_CUT and sent > CHUNK_BYTES:
                    raise CutError
                if kind is FaultKind.S3_SLOW:
                    await asyncio.sleep(len(data) / SLOW_BYTES_PER_SECOND)
        finally:
            far_writer.close()


def concerns(kind: FaultKind, service: str, head: bytes) -> bool:
    """Whether a fault may befall a request to a service."""
    if kind is FaultKind.CREDENTIALS_EXPIRED:
        return service in ("s3", "dynamodb", "kms", "sqs")
    if kind in (FaultKind.S3_SLOW, FaultKind.S3_CUT):
        return service == "s3" and head.startswith(b"GET ")
    if kind is FaultKind.QUEUE_AWAY:
        return service == "sqs" and b"AmazonSQS.SendMessage" in head
    return service == {"S": "s3", "D": "dynamodb", "K": "kms"}[kind[0]]


def forge(status: int, code: str, *, is_s3: bool) -> bytes:
    """The answer of a service that refuses."""
    if is_s3:
        name = code.removesuffix("Exception")
        kind, body = "application/xml", f"<Error><Code>{name}</Code><Message>chaos</Message></Error>".encode()
    else:
        kind, body = "application/x-amz-json-1.0", json.dumps({"__type": code, "message": "chaos"}).encode()
    head = (
        f"HTTP/1.1 {status} chaos\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
