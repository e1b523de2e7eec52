"""Renewing envelopes after a rotation: how many a second, and that no byte of a payload is read or written for it.

The embedded cloud holds the containers, the registry, the index and the private keys; the pages of the function that
does it in a deployment are worked off here, in this process, by the same code with the same adapters. Every request to
S3 is counted by the object that it names.
"""

import hashlib
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uuid6 import uuid7

from functions.renew_envelopes.pages import Page, PageWorker
from pqtransfer.audit.events import AuditFacts
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.containers import S3Containers
from pqtransfer.aws.folder import S3Connection
from pqtransfer.crypto.envelope import generate_data_key, seal_envelope
from pqtransfer.crypto.geometry import plan_payload
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey
from pqtransfer.crypto.manifest import Manifest, composite_sha256, sign_manifest
from pqtransfer.crypto.payload import create_payload_cipher
from pqtransfer.errors import UnavailableError
from pqtransfer.keys.events import KEY_ROTATED_DETAIL_TYPE
from pqtransfer.keys.holder import ManagedKeyHolder
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.keys.registry import find_active_key
from pqtransfer.protection.recent_registry import RecentRegistry
from pqtransfer.protection.renewing import EnvelopeRenewer
from pqtransfer.sdk.connections import Connections
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.transfers.dependencies import KeyRole, describe_dependencies
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME
from scripts.benchmarks.worker import use_profiles
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn

PARTICIPANTS = ("bench-sender", "bench-reader")
RENEWED_ENVELOPES = 10_000
SMOKE_ENVELOPES = 20
THREADS = 8
ROTATION_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class RenewalFigures:
    """What renewing took."""

    envelopes: int
    wall_seconds: float
    cpu_seconds: float
    payload_requests: int
    payload_bytes: int
    left: int

    @property
    def envelopes_per_second(self) -> float:
        return self.envelopes / self.wall_seconds


class RenewalNotDoneError(UnavailableError):
    """The envelopes were not renewed."""


class NoTrail:
    """The sending of audit events is measured by itself."""

    def record(self, *facts: AuditFacts) -> None:
        """Nothing is recorded."""


class PayloadCounter:
    """Counts requests, and bytes either way, of S3 objects by their last name."""

    def __init__(self, client: Any) -> None:
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._lock = threading.Lock()
        client.meta.events.register("before-call.s3", self._count)

    def _count(self, params: dict[str, Any], **_: Any) -> None:
        name = str(params["url_path"]).rpartition("/")[2]
        with self._lock:
            self.requests[name] += 1
            self.bytes[name] += int(params["headers"].get("Content-Length", 0) or 0)


def measure_renewals(folder: Path, *, envelopes: int) -> RenewalFigures:
    """Rotate a KEM key that so many envelopes are wrapped to, and renew all of them."""
    with EmbeddedCloud(folder / "renewals") as cloud:
        deployment = cloud.deploy()
        with use_profiles(cloud):
            _add_participants(cloud)
            return _Bench(deployment).measure(envelopes)


class _Bench:
    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        admin, worker = (make_session(profile=name, region=deployment.region) for name in ("admin", "worker"))
        connections = Connections(deployment, admin)
        self.registry, self.index, self.ledger = connections.registry, connections.dependencies, connections.ledger
        self.reader = Connections(deployment, worker).key_reader()
        self.sqs = admin.client("sqs", endpoint_url=deployment.endpoint_url, config=client_config())
        self.events = admin.client("events", endpoint_url=deployment.endpoint_url, config=client_config())
        self.connection = S3Connection.open(admin, endpoint_url=deployment.endpoint_url)
        self.containers = S3Containers(self.connection, bucket=deployment.data_bucket)

    def measure(self, envelopes: int) -> RenewalFigures:
        old = self._active(PARTICIPANTS[1], KeyPurpose.KEM)
        self._make_containers(envelopes, old)
        self._rotate(old)
        counter = PayloadCounter(self.connection.client)
        messages = [Page(key_id=old.key_id, correlation_id="bench").model_dump_json(exclude_none=True)]
        self._renewer().read_signing_key(PARTICIPANTS[1])  # the first call of a process loads what boto3 needs
        left, began, cpu_before = 0, time.perf_counter(), time.process_time()
        while messages:
            worker = PageWorker(self.index, self._renewer(), messages.append)
            left += len(worker.work(Page.model_validate_json(messages.pop(0))).left)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu_before
        if self.index.has_any(old.key_id, KeyRole.RECIPIENT):
            raise RenewalNotDoneError("envelopes are left under the old key")
        return RenewalFigures(
            envelopes=envelopes,
            wall_seconds=wall,
            cpu_seconds=cpu,
            payload_requests=counter.requests[PAYLOAD_NAME],
            payload_bytes=counter.bytes[PAYLOAD_NAME],
            left=left,
        )

    def _renewer(self) -> EnvelopeRenewer:
        return EnvelopeRenewer(
            registry=self.registry,
            directory=RecentRegistry(self.registry, monotonic=time.monotonic),
            key_reader=self.reader,
            ledger=self.ledger,
            containers=self.containers,
            index=self.index,
            trail=NoTrail(),
            minimum_suite_id=self.deployment.minimum_suite,
            session_name="bench-renewals",
        )

    def _make_containers(self, count: int, reader: PublicKey) -> None:
        holder = ManagedKeyHolder(PARTICIPANTS[0], self.registry, self.reader, "bench-renewals")
        signing_key = holder.signing_key()
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(lambda _: self._make_container(signing_key, reader), range(count)):
                pass

    def _make_container(self, signing_key: PrivateKey, reader: PublicKey) -> None:
        transfer_id, data_key, geometry = str(uuid7()), generate_data_key(), plan_payload(0)
        cipher = create_payload_cipher(
            data_key, suite_id=reader.suite_id, transfer_id=transfer_id, sender=PARTICIPANTS[0]
        )
        digests = (hashlib.sha256(transfer_id.encode()).digest(),)
        body = Manifest(
            suite=reader.suite_id,
            transfer_id=transfer_id,
            sender=PARTICIPANTS[0],
            created_at="2026-01-01T00:00:00Z",
            plaintext_length=0,
            ciphertext_length=geometry.ciphertext_length_bytes,
            part_size=geometry.part_size_bytes,
            part_sha256=digests,
            composite_sha256=composite_sha256(digests),
            floe_header=cipher.header,
        )
        envelope = seal_envelope(
            data_key,
            suite_id=reader.suite_id,
            transfer_id=transfer_id,
            floe_header=cipher.header,
            recipients=[reader],
            signer=PARTICIPANTS[0],
            signing_key=signing_key,
        )
        container = self.containers.container(f"transfers/{transfer_id}/")
        container.create_document(MANIFEST_NAME, sign_manifest(body, signing_key).to_json())
        self.index.note(describe_dependencies(envelope, manifest_key_id=signing_key.public_key.key_id))
        container.create_document(ENVELOPE_NAME, envelope.to_json())

    def _rotate(self, old: PublicKey) -> None:
        """Have the key service rotate the key, without telling the deployed function that would do our work."""
        rules = self.events.list_rules(EventBusName=self.deployment.event_bus)["Rules"]
        for rule in rules:
            if KEY_ROTATED_DETAIL_TYPE in rule.get("EventPattern", ""):
                self.events.disable_rule(Name=rule["Name"], EventBusName=self.deployment.event_bus)
        order = KeyOrder(
            action=KeyAction.ROTATE,
            participant=PARTICIPANTS[1],
            purpose=KeyPurpose.KEM,
            replaces=old.key_id,
            asked_by="bench",
            correlation_id="bench",
        )
        self.sqs.send_message(
            QueueUrl=self.deployment.key_orders_queue_url,
            MessageBody=order.model_dump_json(),
            MessageGroupId=PARTICIPANTS[1],
            MessageDeduplicationId=old.key_id,
        )
        deadline = time.monotonic() + ROTATION_PATIENCE_SECONDS
        while self._active(PARTICIPANTS[1], KeyPurpose.KEM) == old:
            if time.monotonic() >= deadline:
                raise RenewalNotDoneError("the key was not rotated")
            time.sleep(0.1)

    def _active(self, name: str, purpose: KeyPurpose) -> PublicKey:
        return find_active_key(name, purpose, registry=self.registry).public_key


def _add_participants(cloud: EmbeddedCloud) -> None:
    for name in PARTICIPANTS:
        subprocess.run(
            [
                *(str(Path(sys.executable).parent / "pqtransfer"), "participants", "add", name, "--managed"),
                *("--principal", role_arn("worker")),
            ],
            env={**cloud.variables("operator"), "PQTRANSFER_DEPLOYMENT": str(cloud.deployment_file)},
            stdout=subprocess.DEVNULL,
            check=True,
        )


def describe(figures: RenewalFigures) -> Iterator[str]:
    """The figures as lines of a table."""
    yield f"| envelopes renewed | {figures.envelopes:,}, {figures.left} left |"
    yield f"| rate | {figures.envelopes_per_second:,.0f} envelopes/s ({figures.wall_seconds:.1f} s) |"
    yield f"| CPU of this process | {1000 * figures.cpu_seconds / figures.envelopes:.1f} ms for each |"
    yield f"| requests for payloads, bytes of payloads | {figures.payload_requests}, {figures.payload_bytes} |"
