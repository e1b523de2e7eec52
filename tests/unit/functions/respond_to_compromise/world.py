"""A deployment in memory: participants, containers, a key service that makes keys, and workers that re-encrypt."""

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from functions.respond_to_compromise.ports import Surroundings
from functions.respond_to_compromise.responding import Responder
from pqtransfer.crypto.identity import PrivateIdentity, PublicIdentity, generate_identity, prove_pair
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, generate_private_key
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.keys.in_memory import InMemoryKeyRegistry, InMemoryVault
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyOrder
from pqtransfer.keys.participant import (
    KeyVersion,
    PairProof,
    Participant,
    ParticipantKind,
    RegisteredParticipant,
    make_key_versions,
)
from pqtransfer.protection.incidents import CompromiseReported, Incident, ParticipantCredentialsRevoked, Task
from pqtransfer.protection.renewing import EnvelopeRenewer
from pqtransfer.protection.reserving import KeyReservations
from pqtransfer.protection.settling import settle_dependencies
from pqtransfer.sdk.in_memory import MemoryCheckpointStore
from pqtransfer.transfers.encrypting import EncryptionOrder, encrypt_model
from pqtransfer.transfers.folder import ENVELOPE_NAME, PAYLOAD_NAME
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import Progress, TransferRecord, TransferState
from pqtransfer.transfers.request import TransferKind, TransferRequest
from tests.fakes.alerts import InMemoryAlerts
from tests.fakes.dependencies import InMemoryDependencyIndex
from tests.fakes.folders import FaultPlan, Faulty, InMemoryFolder, PlainSealer
from tests.fakes.incidents import InMemoryIncidents
from tests.fakes.ledgers import InMemoryLedger
from tests.fakes.trails import InMemoryAuditTrail
from transfer_worker.pipeline import TransferPipeline

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INCIDENT_ID = "incident-1"
ROLE = "arn:aws:iam::123456789012:role/{}"


class Buckets:
    """The data bucket: every container is a folder of its own."""

    bucket = data_bucket = "models"

    def __init__(self) -> None:
        self.folders: dict[str, InMemoryFolder] = {}

    def container(self, prefix: str) -> InMemoryFolder:
        return self.folders.setdefault(prefix, InMemoryFolder())

    def site(self, bucket: str) -> InMemoryFolder:
        return self.container(bucket)

    def remove_model(self, transfer_id: str) -> int:
        folder = self.container(f"transfers/{transfer_id}/")
        return sum(folder.objects.pop(name, None) is not None for name in (PAYLOAD_NAME, ENVELOPE_NAME))


@dataclass
class Orders:
    """`KeyOrders` that keeps what was sent."""

    sent: list[KeyOrder] = field(default_factory=list)

    def send(self, orders: Iterable[KeyOrder]) -> int:
        self.sent.extend(orders)
        return len(self.sent)

    def continue_sweep(self, cursor: str) -> None:
        raise AssertionError(cursor)


@dataclass
class Evidence:
    """`SignatureEvidence` of the manifests in `proven`."""

    proven: set[str] = field(default_factory=set)

    def proves_older(self, manifest: SignedManifest, *, than: datetime) -> bool:
        assert than.tzinfo is not None
        return manifest.body.transfer_id in self.proven


class World:
    """Managed alice, bob and dora; external carol."""

    def __init__(self) -> None:
        self.registry, self.vault, self.ledger = InMemoryKeyRegistry(), InMemoryVault(), InMemoryLedger()
        self.index, self.incidents, self.buckets = InMemoryDependencyIndex(), InMemoryIncidents(), Buckets()
        self.orders, self.evidence = Orders(), Evidence()
        self.alerts, self.trail = InMemoryAlerts(), InMemoryAuditTrail()
        self.announced: list[ParticipantCredentialsRevoked] = []
        self.requests: list[TransferRequest] = []
        self.now, self.removal_wait = NOW, timedelta(0)
        self.key_uses: set[str] = set()
        """The correlation ids under which private keys were read."""
        self.checkpoints = MemoryCheckpointStore()
        self.identities: dict[str, PrivateIdentity] = {}
        self.numbers = itertools.count(1)
        for name in ("alice", "bob", "dora"):
            self.add(name, managed=True)
        self.add("carol", managed=False)

    # --- what was there before

    def add(self, name: str, *, managed: bool) -> None:
        identity = self.identities[name] = generate_identity(name, suite_id="PQT-1")
        secrets = (f"{name}/kem/1", f"{name}/signing/1") if managed else (None, None)
        keys = make_key_versions(
            identity.to_public(), version=1, state=KeyState.ACTIVE, created_at=NOW, secret_ids=secrets
        )
        participant = Participant(
            name=name,
            kind=ParticipantKind.MANAGED if managed else ParticipantKind.EXTERNAL,
            created_at=NOW,
            role_arn=ROLE.format(name) if managed else None,
        )
        self.registry.add(RegisteredParticipant(participant=participant, keys=keys))
        if managed:
            for key, private in zip(keys, (identity.kem, identity.signing), strict=True):
                self.vault.store(key, private, role_arn=ROLE.format(name))

    def send(self, *recipients: str, sender: str = "alice") -> str:
        """A container as a finished transfer leaves it; its id."""
        transfer_id = f"0198c0de-0000-7000-8000-{next(self.numbers):012}"
        identity, container = self.identities[sender], self.container(transfer_id)
        source = InMemoryFolder()
        order = EncryptionOrder(
            transfer_id=transfer_id,
            suite_id="PQT-1",
            sender=sender,
            signing_key=identity.signing,
            recipients=tuple(self.identities[name].kem.public_key for name in recipients),
            created_at="2026-02-01T00:00:00Z",
        )
        model = source.put("model", model_of(transfer_id))
        encrypt_model(order, source_folder=source, source=model, container=container, context=self.context())
        self.record(transfer_id, sender=sender, recipients=recipients)
        settle_dependencies(transfer_id, container, index=self.index)
        return transfer_id

    def record(
        self,
        transfer_id: str,
        *,
        sender: str,
        recipients: tuple[str, ...],
        state: TransferState = TransferState.COMPLETED,
    ) -> None:
        request = TransferRequest(
            transfer_id=transfer_id,
            kind=TransferKind.UPLOAD,
            sender=sender,
            recipients=recipients,
            correlation_id="c-1",
        )
        self.ledger.records[transfer_id] = TransferRecord(
            request=request, state=state, submitted_at=NOW, changed_at=NOW
        )

    def container(self, transfer_id: str) -> InMemoryFolder:
        return self.buckets.container(f"transfers/{transfer_id}/")

    def context(self) -> JobContext:
        return JobContext(checkpoints=self.checkpoints, sealer=PlainSealer(), monotonic=time.monotonic)

    # --- the answer

    def around(self, plan: FaultPlan | None = None) -> Surroundings:
        def faulty(port: Any) -> Any:
            return port if plan is None else Faulty(port, plan)

        ports: dict[str, Any] = {
            "registry": faulty(self.registry),
            "index": faulty(self.index),
            "ledger": faulty(self.ledger),
            "trail": faulty(self.trail),
        }

        def renewer_for(correlation_id: str) -> EnvelopeRenewer:
            return EnvelopeRenewer(
                **ports,
                key_reader=faulty(_ListeningReader(self, correlation_id)),
                containers=self.buckets,
                minimum_suite_id="PQT-1",
                session_name="test",
            )

        return Surroundings(
            **ports,
            incidents=faulty(self.incidents),
            renewer_for=cache(renewer_for),
            containers=self.buckets if plan is None else _FaultyBuckets(self.buckets, plan),
            key_orders=faulty(self.orders),
            requests=faulty(self),
            announcer=faulty(self),
            alerts=faulty(self.alerts),
            evidence=faulty(self.evidence),
        )

    def responder(self, plan: FaultPlan | None = None, *, has_time: Callable[[], bool] = lambda: True) -> Responder:
        return Responder(self.around(plan), now=lambda: self.now, has_time=has_time, removal_wait=self.removal_wait)

    def submit(self, request: TransferRequest, key: PrivateKey, *, at: datetime) -> None:
        """`RequestSubmitter`: the ledger, and then the queue."""
        active = self.registry.load(request.sender).find_active_key(KeyPurpose.SIGNING)
        assert active is not None
        assert key.public_key == active.public_key
        self.ledger.submit(request, at=at)
        self.requests.append(request)

    def announce_credentials_revoked(self, event: ParticipantCredentialsRevoked) -> None:
        self.announced.append(event)

    def answer(self, report: CompromiseReported, plan: FaultPlan | None = None) -> Incident:
        """Report, and run to the end, with the key service and the workers in between."""
        incident = self.responder(plan).report(report)
        for _ in range(10):
            incident = self.responder(plan).work(incident.incident_id)
            if incident.is_closed:
                break
            self.run_key_service()
            self.run_workers()
        return incident

    def tasks(self) -> dict[str, Task]:
        return {task.transfer_id: task for task in self.incidents.list_tasks(INCIDENT_ID).tasks}

    # --- the others

    def run_key_service(self) -> None:
        """Carry out the orders: a new key where there is none in use."""
        for order in self.orders.sent:
            registered = self.registry.load(order.participant)
            assert order.purpose is not None
            if registered.find_active_key(order.purpose) is None:
                self.make_key(registered, order.purpose)
        self.orders.sent.clear()

    def make_key(self, registered: RegisteredParticipant, purpose: KeyPurpose) -> None:
        private, version = generate_private_key(purpose, "PQT-1"), registered.newest_version(purpose) + 1
        managed = registered.participant.role_arn is not None
        key = KeyVersion(
            participant=registered.name,
            version=version,
            public_key=private.public_key,
            state=KeyState.PENDING,
            created_at=NOW,
            secret_id=f"{registered.name}/{purpose}/{version}" if managed else None,
        )
        old = self.identities[registered.name]
        new = PrivateIdentity(
            registered.name,
            kem=private if purpose is KeyPurpose.KEM else old.kem,
            signing=private if purpose is KeyPurpose.SIGNING else old.signing,
        )
        self.identities[registered.name] = new
        if managed:
            self.vault.store(key, private, role_arn=ROLE.format(registered.name))
        added = self.registry.add_versions(registered, [key])
        self.registry.activate(added, [key], proof=self._prove(added, key, new), at=NOW)

    def _prove(self, registered: RegisteredParticipant, key: KeyVersion, identity: PrivateIdentity) -> PairProof | None:
        other = KeyPurpose.SIGNING if key.purpose is KeyPurpose.KEM else KeyPurpose.KEM
        if registered.find_active_key(other) is None:
            return None
        proven: PublicIdentity = prove_pair(registered.name, kem=identity.kem.public_key, signing=identity.signing)
        return PairProof.of(proven)

    def run_workers(self) -> None:
        """Do what is on the queue, as a worker does."""
        for request in self.requests:
            if self.ledger.get(request.transfer_id).state is not TransferState.SUBMITTED:
                continue
            lease = self.ledger.claim(
                request.transfer_id, owner="worker", at=NOW, lease_expires_at=NOW + timedelta(minutes=1)
            )
            result = self.pipeline().run(request, self.context())
            self.ledger.complete(lease, at=NOW, result=result, progress=Progress())
        self.requests.clear()

    def pipeline(self) -> TransferPipeline:
        return TransferPipeline(
            storage=self.buckets,
            ledger=self.ledger,
            registry=self.registry,
            key_reader=self.vault,
            minimum_suite_id="PQT-1",
            worker_name="worker-1",
            trail=InMemoryAuditTrail(),
            reservations=KeyReservations(self.registry, self.index, minimum_suite_id="PQT-1"),
            now=lambda: NOW,
        )


@dataclass
class _ListeningReader:
    """Reads from the vault, and remembers in the course of what."""

    world: World
    correlation_id: str

    def read(self, key: KeyVersion, **named: Any) -> PrivateKey:
        self.world.key_uses.add(self.correlation_id)
        return self.world.vault.read(key, **named)


class _FaultyBuckets:
    """The data bucket, with every call that changes or lists something going through the plan."""

    bucket = Buckets.bucket

    def __init__(self, buckets: Buckets, plan: FaultPlan) -> None:
        self._buckets = buckets
        self._plan = plan

    def container(self, prefix: str) -> Any:
        return Faulty(self._buckets.container(prefix), self._plan)

    def remove_model(self, transfer_id: str) -> int:
        removed: int = self._plan.run("remove_model", lambda: self._buckets.remove_model(transfer_id))
        return removed


def model_of(transfer_id: str) -> bytes:
    """What was sent under this id."""
    return f"the model of {transfer_id}".encode() * 100
