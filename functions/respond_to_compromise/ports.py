"""What the answer to a compromise needs of the rest of the system."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.keys.orders import KeyOrders
from pqtransfer.keys.registry import KeyRegistry
from pqtransfer.operations.alerts import Alerts
from pqtransfer.protection.incidents import IncidentStore, ParticipantCredentialsRevoked
from pqtransfer.protection.renewing import EnvelopeRenewer
from pqtransfer.transfers.dependencies import DependencyIndex
from pqtransfer.transfers.folder import Folder
from pqtransfer.transfers.ledger import TransferLedger
from pqtransfer.transfers.request import TransferRequest


class RemovableContainers(Protocol):
    """The containers of the data bucket."""

    bucket: str

    def container(self, prefix: str) -> Folder:
        """The folder `transfers/ID/` of one."""

    def remove_model(self, transfer_id: str) -> int:
        """Delete payload and envelope in every version, for good; the manifest stays, as a record of what was there."""


class RequestSubmitter(Protocol):
    """Where requests for workers go."""

    def submit(self, request: TransferRequest, key: PrivateKey, *, at: datetime) -> None:
        """Record a request and put it on the queue, signed by its sender. Doing it again does no harm."""


class Announcer(Protocol):
    """Who tells the others."""

    def announce_credentials_revoked(self, event: ParticipantCredentialsRevoked) -> None:
        """Tell it on the event bus, durably."""


class SignatureEvidence(Protocol):
    """What is known of when something was signed."""

    def proves_older(self, manifest: SignedManifest, *, than: datetime) -> bool:
        """True when a witnessed checkpoint of the audit log shows that this very manifest was signed before `than`."""


@dataclass(frozen=True)
class Surroundings:
    """All of it. `renewer_for` gives the renewer of an incident, whose id its uses of keys are on record with."""

    registry: KeyRegistry
    index: DependencyIndex
    incidents: IncidentStore
    renewer_for: Callable[[str], EnvelopeRenewer]
    ledger: TransferLedger
    containers: RemovableContainers
    key_orders: KeyOrders
    requests: RequestSubmitter
    announcer: Announcer
    alerts: Alerts
    evidence: SignatureEvidence
    trail: AuditTrail
