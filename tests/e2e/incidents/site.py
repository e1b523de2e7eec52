"""What sites do in the deployed cloud before and after one of their keys is lost: for the tests of this folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from pqtransfer.aws.dependency_index import COMPLETE_KEY, POSITION_KEY, DynamoDependencyIndex
from pqtransfer.keys.holder import KeyHolder
from pqtransfer.keys.participant import RegisteredParticipant
from pqtransfer.transfers.dependencies import Dependency
from pqtransfer.transfers.ledger import TransferRecord
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import role_arn
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.transfers.stage import SOURCE_BUCKET, Finished, Stage, wait_for


class Sites(Stage):
    """A stage whose participants are made by the tests that need them, under names of their own."""

    def __init__(
        self, cloud: EmbeddedCloud, deployment: object, act_as: Callable[[str | None], CloudSession], folder: Path
    ) -> None:
        super().__init__(cloud, deployment, act_as, folder)  # type: ignore[arg-type]
        self._envelopes = act_as(None).resource("dynamodb").Table(self.deployment.envelopes_table)
        self.index = DynamoDependencyIndex(self._envelopes)
        self._managed: set[str] = set()

    def add_managed(self, *names: str) -> None:
        """Register managed participants that may read from the source bucket, as an operator."""
        principals = [each for role in ("recipient", "submitter") for each in ("--principal", role_arn(role))]
        for name in names:
            self.require("participants", "add", name, "--managed", *principals, "--bucket", SOURCE_BUCKET)
        self._managed.update(names)

    def add_external(self, name: str) -> None:
        """Register a participant that keeps its keys."""
        self.require("keygen", "--out", self.key_folder(name), "--name", name)
        self.require("participants", "add", name, "--public-keys", self.key_folder(name))

    def require(self, *arguments: object, role: str = "operator") -> Finished:
        """Run a command that has to succeed."""
        finished = self.pqtransfer(*arguments, role=role)
        assert finished.exit_code == 0, finished.stderr
        return finished

    def holder(self, participant: str, *, role: str) -> KeyHolder:
        client = self.client(role)
        if participant in self._managed:
            return client.managed_holder(participant)
        return super().holder(participant, role=role)

    def registered(self, name: str) -> RegisteredParticipant:
        """What the registry says of a participant."""
        return self.client("recipient").registry.load(name)

    def send(
        self, label: str, *, sender: str, recipients: tuple[str, ...], size_bytes: int = 3 << 20
    ) -> TransferRecord:
        """Send a model through the worker, and wait until it is there."""
        data = hashlib.shake_256(label.encode()).digest(size_bytes)
        model = self.put_model(f"models/{label}", data)
        return self.wait_for_completion(self.submit(model, sender=sender, recipients=recipients))

    def sha256_of(self, label: str, *, size_bytes: int = 3 << 20) -> str:
        """The digest of the model of this label."""
        return hashlib.sha256(hashlib.shake_256(label.encode()).digest(size_bytes)).hexdigest()

    def rows(self, transfer_id: str) -> set[Dependency]:
        """What the index says a container needs."""
        return set(self.index.find_of(transfer_id))

    def forget_backfill(self) -> None:
        """Let the index be as it was before older containers were read."""
        for key in (COMPLETE_KEY, POSITION_KEY):
            self._envelopes.delete_item(Key=key)

    def wait_for_rows(self, transfer_id: str, *, epoch: int) -> set[Dependency]:
        """Wait until the index knows the envelope of this epoch and no other."""

        def look() -> set[Dependency] | None:
            rows = self.rows(transfer_id)
            return rows if {row.epoch for row in rows} == {epoch} else None

        return wait_for(f"rows of epoch {epoch} of {transfer_id}", look)
