"""pqtransfer: the SDK's own path, with the journal on disk, manifest and envelope signed, sealed, read and checked.

Only the ledger (DynamoDB) is left out: it is no part of an S3 store, and costs some small requests for each transfer.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from uuid6 import uuid7

from pqtransfer.aws.folder import S3Connection, S3Folder
from pqtransfer.crypto.identity import PrivateIdentity, generate_identity
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import DEFAULT_SUITE_ID
from pqtransfer.keys.holder import LocalKeyHolder
from pqtransfer.sdk.in_memory import MemorySealer
from pqtransfer.sdk.local_folder import LocalFolder
from pqtransfer.sdk.local_journal import LocalCheckpointStore, name_journal
from pqtransfer.sdk.offline import open_container
from pqtransfer.sdk.sending import HolderDataKeySealer
from pqtransfer.transfers.container import open_data_key
from pqtransfer.transfers.decrypting import DecryptionOrder, decrypt_model
from pqtransfer.transfers.encrypting import EncryptionOrder, encrypt_model
from pqtransfer.transfers.job import JobContext
from scripts.benchmarks.source import remove_prefix
from scripts.benchmarks.task import Task

ROOT_PREFIX = "transfers/"


def send(task: Task) -> Callable[[], None]:
    """`pqtransfer send FILE`."""
    remove_prefix(task.client(), bucket=task.bucket, prefix=ROOT_PREFIX)
    transfer_id = str(uuid7())
    task.own.joinpath("transfer").write_text(transfer_id, encoding="ascii")
    identity = _identity(task)
    container = _container(task, transfer_id)

    def run() -> None:
        journal = LocalCheckpointStore(task.own / "upload.journal")
        context = JobContext(
            checkpoints=journal, sealer=HolderDataKeySealer(LocalKeyHolder(identity)), monotonic=time.monotonic
        )
        order = EncryptionOrder(
            transfer_id=transfer_id,
            suite_id=DEFAULT_SUITE_ID,
            sender=identity.participant,
            signing_key=identity.signing,
            recipients=(identity.to_public().kem,),
            created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        with LocalFolder(task.path.parent) as folder:
            source = folder.find(task.path.name)
            encrypt_model(order, source_folder=folder, source=source, container=container, context=context)
        journal.clear(transfer_id)

    return run


def receive(task: Task) -> Callable[[], None]:
    """`pqtransfer receive`."""
    transfer_id = task.own.joinpath("transfer").read_text(encoding="ascii")
    identity = _identity(task)
    container = _container(task, transfer_id)

    def run() -> None:
        opened = open_container(container, sender=identity.to_public())
        journal = LocalCheckpointStore(name_journal(task.path))
        order = DecryptionOrder(
            job_id=transfer_id,
            manifest=opened.manifest.body,
            data_key=open_data_key(opened.manifest.body, opened.envelope, [identity.kem]),
            destination_name=task.path.name,
        )
        context = JobContext(checkpoints=journal, sealer=MemorySealer(), monotonic=time.monotonic)
        with LocalFolder(task.path.parent, journal=journal) as destination:
            decrypt_model(order, container=container, destination=destination, context=context)
        journal.clear(transfer_id)

    return run


def _container(task: Task, transfer_id: str) -> S3Folder:
    connection = S3Connection.open(task.session, endpoint_url=task.endpoint_url)
    return S3Folder(connection, bucket=task.bucket, prefix=f"{ROOT_PREFIX}{transfer_id}/")


def _identity(task: Task) -> PrivateIdentity:
    path: Path = task.own / "identity.json"
    if path.exists():
        return PrivateIdentity.from_json(SecretBytes(path.read_bytes()))
    identity = generate_identity("bench", suite_id=DEFAULT_SUITE_ID)
    path.touch(mode=0o600)
    path.write_bytes(identity.to_json().reveal())
    return identity
