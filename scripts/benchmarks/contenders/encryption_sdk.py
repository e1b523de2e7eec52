"""aws-encryption-sdk: its stream under a raw AES key, to `upload_fileobj`, and back from a streamed GetObject.

Its frames are 1 MiB here: with its default of 4 KiB it takes four times as long to encrypt.
"""

import shutil
from collections.abc import Callable
from typing import Any

from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.identifiers import EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

from scripts.benchmarks.source import remove_prefix
from scripts.benchmarks.task import Task

KEY = "encryption-sdk"
FRAME_LENGTH_BYTES = 1 << 20
CHUNK_SIZE_BYTES = 1 << 20


class _RawKey(RawMasterKeyProvider):  # type: ignore[misc]
    provider_id = "bench"

    def _get_raw_key(self, _key_id: bytes) -> WrappingKey:
        return WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=bytes(range(32)),
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )


def send(task: Task) -> Callable[[], None]:
    """Encrypt the file into the upload."""
    client, cipher, provider = task.client(), _cipher(), _provider()
    remove_prefix(client, bucket=task.bucket, prefix=KEY)

    def run() -> None:
        with (
            task.path.open("rb") as file,
            cipher.stream(mode="e", source=file, key_provider=provider, frame_length=FRAME_LENGTH_BYTES) as stream,
        ):
            client.upload_fileobj(stream, task.bucket, KEY)

    return run


def receive(task: Task) -> Callable[[], None]:
    """Decrypt the download into the file."""
    client, cipher, provider = task.client(), _cipher(), _provider()

    def run() -> None:
        body = client.get_object(Bucket=task.bucket, Key=KEY)["Body"]
        with cipher.stream(mode="d", source=body, key_provider=provider) as stream, task.path.open("xb") as file:
            shutil.copyfileobj(stream, file, CHUNK_SIZE_BYTES)

    return run


def _cipher() -> Any:
    return EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


def _provider() -> RawMasterKeyProvider:
    provider = _RawKey()
    provider.add_master_key("bench")
    return provider
