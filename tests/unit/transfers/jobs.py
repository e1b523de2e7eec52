"""What the tests of jobs share: one small model in parts of one segment, and jobs that go through a fault plan."""

import time
from dataclasses import dataclass, field
from typing import Any, cast

from pqtransfer.crypto.geometry import SEGMENT_CAPACITY_BYTES, SEGMENT_SIZE_BYTES
from pqtransfer.sdk.in_memory import MemoryCheckpointStore
from pqtransfer.transfers.container import open_data_key, read_envelope, read_manifest
from pqtransfer.transfers.decrypting import DecryptionOrder, decrypt_model
from pqtransfer.transfers.encrypting import EncryptedContainer, EncryptionOrder, encrypt_model
from pqtransfer.transfers.folder import StoredObject
from pqtransfer.transfers.job import JobContext
from tests.containers import CREATED_AT, TRANSFER_ID, make_bytes, make_identity
from tests.fakes.folders import FaultPlan, Faulty, InMemoryFolder, PlainSealer

MODEL = make_bytes("a model of three parts", 2 * SEGMENT_CAPACITY_BYTES + 5)
PART_COUNT = 3
ALICE = make_identity("alice")
BOB = make_identity("bob")


def make_order(**changes: Any) -> EncryptionOrder:
    """Alice encrypts to Bob, in parts of 1 MiB."""
    fields: dict[str, Any] = {
        "transfer_id": TRANSFER_ID,
        "suite_id": "PQT-1",
        "sender": "alice",
        "signing_key": ALICE.signing,
        "recipients": (BOB.kem.public_key,),
        "created_at": CREATED_AT,
        "part_size_bytes": SEGMENT_SIZE_BYTES,
    }
    return EncryptionOrder(**(fields | changes))


@dataclass
class World:
    """Three folders and a checkpoint store that outlive any "process"."""

    source: InMemoryFolder = field(default_factory=InMemoryFolder)
    container: InMemoryFolder = field(default_factory=InMemoryFolder)
    destination: InMemoryFolder = field(default_factory=InMemoryFolder)
    checkpoints: MemoryCheckpointStore = field(default_factory=MemoryCheckpointStore)

    def context(self, plan: FaultPlan, *, parts_in_flight: int = 1) -> JobContext:
        return JobContext(
            checkpoints=cast(MemoryCheckpointStore, Faulty(self.checkpoints, plan)),
            sealer=PlainSealer(),
            monotonic=time.monotonic,
            buffer_budget_bytes=2 * SEGMENT_SIZE_BYTES * parts_in_flight,
        )

    def encrypt(
        self, plan: FaultPlan | None = None, order: EncryptionOrder | None = None, *, parts_in_flight: int = 1
    ) -> EncryptedContainer:
        """One attempt to encrypt the object `model`."""
        plan = plan or FaultPlan()
        return encrypt_model(
            order or make_order(),
            source_folder=self.source,
            source=self.source.find("model"),
            container=cast(InMemoryFolder, Faulty(self.container, plan)),
            context=self.context(plan, parts_in_flight=parts_in_flight),
        )

    def decrypt(self, plan: FaultPlan | None = None, *, parts_in_flight: int = 1) -> StoredObject:
        """One attempt to decrypt the container to the object `result`."""
        plan = plan or FaultPlan()
        manifest = read_manifest(self.container).body
        order = DecryptionOrder(
            job_id="decryption",
            manifest=manifest,
            data_key=open_data_key(manifest, read_envelope(self.container).envelope, [BOB.kem]),
            destination_name="result",
        )
        return decrypt_model(
            order,
            container=self.container,
            destination=cast(InMemoryFolder, Faulty(self.destination, plan)),
            context=self.context(plan, parts_in_flight=parts_in_flight),
        )


def make_world(model: bytes = MODEL) -> World:
    """A world with a model in it."""
    world = World()
    world.source.put("model", model)
    return world
