"""Models to send: a file of random bytes, or an object that is made of them without ever being a file."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

CHUNK_SIZE_BYTES = 8 << 20
PART_SIZE_BYTES = 64 << 20
UPLOADS_IN_FLIGHT = 3


def write_source(path: Path, size_bytes: int) -> None:
    """A file of random bytes: nothing that a store or a file system could make smaller."""
    with path.open("xb") as file:
        for start in range(0, size_bytes, CHUNK_SIZE_BYTES):
            file.write(os.urandom(min(CHUNK_SIZE_BYTES, size_bytes - start)))


def upload_source(client: "S3Client", *, bucket: str, key: str, size_bytes: int) -> None:
    """An object of random bytes; each part differs from the others in its first bytes.

    Memory: one part, and one copy of it for each upload in flight.
    """
    block = os.urandom(PART_SIZE_BYTES)
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]

    def upload(index: int) -> "CompletedPartTypeDef":
        length = min(PART_SIZE_BYTES, size_bytes - index * PART_SIZE_BYTES)
        body = index.to_bytes(8, "big") + block[8:length]
        answer = client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=index + 1, Body=body)
        return {"PartNumber": index + 1, "ETag": answer["ETag"]}

    with ThreadPoolExecutor(UPLOADS_IN_FLIGHT) as pool:
        parts = list(pool.map(upload, range(-(-size_bytes // PART_SIZE_BYTES))))
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})


def remove_prefix(client: "S3Client", *, bucket: str, prefix: str) -> None:
    """Remove every object under a prefix."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=found["Key"])
