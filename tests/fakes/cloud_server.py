"""AWS in memory (moto) behind HTTP, with what moto leaves out of S3, and with faults on demand.

Moto takes a part whatever its checksum, and answers 500 to a part of an upload that is gone. S3 refuses both, and so
does this server. Faults are what a network and a busy service do: error answers, resets, bodies that end early.
"""

import base64
import hashlib
import io
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import moto.s3.models
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

moto.s3.models.S3_UPLOAD_PART_MIN_SIZE = 0  # models of a few MiB make several parts

ACCOUNT_ID = "123456789012"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class QuietHandler(MotoRequestHandler):
    """Requests are not logged: broken connections are meant."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


@dataclass
class Fault:
    """What happens to the next `times` requests with this method, whose query contains all of `having`.

    `kind`: an HTTP status with an S3 error code (`"503 SlowDown"`), `"reset"` before the request has its effect,
    `"lost answer"` after it, or `"truncate"`: half of the body.
    """

    kind: str
    method: str
    having: str = ""
    times: int = 1

    def matches(self, environ: dict[str, Any]) -> bool:
        asked = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        return self.times > 0 and environ["REQUEST_METHOD"] == self.method and self.having in asked


@dataclass
class CloudServer:
    """The server. `faults` are used up in order; `uploaded` are the (key, part number) that S3 stored."""

    faults: list[Fault] = field(default_factory=list)
    uploaded: list[tuple[str, int]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "CloudServer":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        fault = self._take_fault(environ)
        kind = fault.kind if fault else ""
        if kind == "reset":
            return self._reset(environ, start_response)
        if kind[:3].isdigit():
            _read_body(environ)
            return _refuse(kind)(environ, start_response)
        if "uploadId" in environ["QUERY_STRING"]:
            if _is_upload_gone(environ):
                _read_body(environ)
                return _refuse("404 NoSuchUpload")(environ, start_response)
            if environ["REQUEST_METHOD"] == "PUT":
                return self._upload_part(environ, start_response, kind)
        if kind == "truncate":
            return self._truncate(environ, start_response)
        body = self._moto(environ, _ignore if kind == "lost answer" else start_response)
        return self._hang_up(environ, start_response) if kind == "lost answer" else body

    def _take_fault(self, environ: dict[str, Any]) -> Fault | None:
        with self._lock:
            self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
            for fault in self.faults:
                if fault.matches(environ):
                    fault.times -= 1
                    return fault
        return None

    def _upload_part(self, environ: dict[str, Any], start_response: Any, kind: str) -> Iterable[bytes]:
        query = parse_qs(environ["QUERY_STRING"])
        number, key = int(query["partNumber"][0]), environ["PATH_INFO"].split("/", 2)[2]
        data = _read_body(environ)
        checksum = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256")
        if checksum and base64.b64decode(checksum) != hashlib.sha256(data).digest():
            return _refuse("400 BadDigest")(environ, start_response)
        environ["wsgi.input"] = io.BytesIO(data)
        body = self._moto(environ, _ignore if kind == "lost answer" else start_response)
        with self._lock:
            self.uploaded.append((key, number))
        return self._hang_up(environ, start_response) if kind == "lost answer" else body

    def _truncate(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        body = b"".join(self._moto(environ, start_response))
        yield body[: len(body) // 2]
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)

    def _reset(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _read_body(environ)
        return self._hang_up(environ, start_response)

    def _hang_up(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        connection = environ["werkzeug.socket"]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        connection.shutdown(socket.SHUT_RDWR)
        start_response("500 Gone", [])
        return [b""]


def _is_upload_gone(environ: dict[str, Any]) -> bool:
    bucket = environ["PATH_INFO"].split("/", 2)[1]
    upload_id = parse_qs(environ["QUERY_STRING"])["uploadId"][0]
    return upload_id not in moto.s3.models.s3_backends[ACCOUNT_ID]["aws"].buckets[bucket].multiparts


def _ignore(*_answer: object) -> None:
    """An answer that nobody gets."""


def _refuse(status: str) -> Response:
    """S3's error document."""
    code = status.partition(" ")[2]
    document = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} on purpose</Message></Error>"
    return Response(document, status=int(status[:3]), content_type="application/xml")


def _read_body(environ: dict[str, Any]) -> bytes:
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
