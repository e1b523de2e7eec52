"""Reads the texts of a PDF document that reportlab made: each page's content stream, and the strings that it shows."""

import base64
import re
import zlib

SHOWN = re.compile(rb"\(((?:[^()\\]|\\.)*)\) Tj")
STREAM = re.compile(rb"/Filter \[ /ASCII85Decode /FlateDecode \].*?stream\r?\n(.*?)endstream", re.DOTALL)


def read_pages(data: bytes) -> list[str]:
    """The texts of the pages, in their order."""
    return [" ".join(_read_page(zlib.decompress(_decode(each)))) for each in STREAM.findall(data)]


def _decode(stream: bytes) -> bytes:
    return base64.a85decode(b"<~" + b"".join(stream.split()), adobe=True)


def _read_page(content: bytes) -> list[str]:
    return [_unescape(each).decode("cp1252") for each in SHOWN.findall(content)]


def _unescape(text: bytes) -> bytes:
    octal = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text)
    return re.sub(rb"\\([()\\])", rb"\1", octal)
