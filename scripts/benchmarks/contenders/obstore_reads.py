"""obstore's ranged GETs of the plain object, as many at a time as pqtransfer has; nothing is decrypted."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import obstore
from obstore.store import S3Store

from pqtransfer.crypto.geometry import DEFAULT_PART_SIZE_BYTES
from pqtransfer.transfers.parts import count_parts_in_flight
from scripts.benchmarks.contenders.boto3_plain import KEY
from scripts.benchmarks.object_store import REGION
from scripts.benchmarks.task import Task


def receive(task: Task) -> Callable[[], None]:
    """GET and `pwrite`."""
    store = S3Store(
        task.bucket,
        endpoint=task.endpoint_url,
        access_key_id=task.access_key_id,
        secret_access_key=task.secret_access_key,
        region=REGION,
        client_options={"allow_http": True},
    )
    size_bytes = obstore.head(store, KEY)["size"]

    def run() -> None:
        with task.path.open("xb") as file:

            def fetch(start: int) -> None:
                end = min(start + DEFAULT_PART_SIZE_BYTES, size_bytes)
                data = memoryview(obstore.get_range(store, KEY, start=start, end=end))
                written = 0
                while written < len(data):
                    written += os.pwrite(file.fileno(), data[written:], start + written)

            with ThreadPoolExecutor(count_parts_in_flight(DEFAULT_PART_SIZE_BYTES)) as pool:
                list(pool.map(fetch, range(0, size_bytes, DEFAULT_PART_SIZE_BYTES)))

    return run
