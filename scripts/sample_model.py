"""Make a model file to try things on: safetensors, with a real header and random weights, of any size."""

import json
import os
import re
from pathlib import Path

from pqtransfer.errors import InputError

TENSOR_LIMIT_BYTES = 1 << 30
CHUNK_BYTES = 8 << 20
_HEADER_LENGTH_BYTES = 8
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(iB|B)?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class InvalidSizeError(InputError):
    """A text is not a size."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not a size; write for example 200MiB or 1.5GB")


def read_size(text: str) -> int:
    """`1GiB` (2^30), `1GB` (10^9) or plain bytes, as a number of bytes.

    Raises:
        InvalidSizeError: it is none of them.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidSizeError(text)
    number, unit, ending = match.groups()
    base = 1000 if ending == "B" and unit else 1024
    return int(float(number) * base ** _POWERS[unit.upper()])


def write_sample_model(path: Path, size_bytes: int) -> None:
    """Write a safetensors file of about `size_bytes` (never more, and less by at most one float32)."""
    tensors: dict[str, object] = {"__metadata__": {"format": "pt", "made_by": "pqtransfer sample"}}
    room = max(0, size_bytes - 4096) // 4 * 4
    offset = layer = 0
    while offset < room:
        length = min(TENSOR_LIMIT_BYTES, room - offset)
        tensors[f"layers.{layer}.weight"] = {
            "dtype": "F32",
            "shape": [length // 4],
            "data_offsets": [offset, offset + length],
        }
        offset += length
        layer += 1
    header = json.dumps(tensors).encode()
    header += b" " * (-len(header) % 8)
    with path.open("xb") as file:
        file.write(len(header).to_bytes(_HEADER_LENGTH_BYTES, "little") + header)
        for start in range(0, room, CHUNK_BYTES):
            file.write(os.urandom(min(CHUNK_BYTES, room - start)))
