"""The deployed function that rotates keys is killed in the middle of a rotation, again and again, and run again."""

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.keys.participant import KeyVersion, RegisteredParticipant
from tests.e2e.keys.conftest import KeyStage
from tests.e2e.keys.function_processes import kill_processes
from tests.e2e.transfers.stage import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.requirement("D4.3", "N3"),
    pytest.mark.skipif("LOCALSTACK_HOST" in os.environ, reason="its functions are no processes of this machine"),
]

NAME = "killed-site"
LONG_AGO = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
POLL_SECONDS = 0.005


class Rotation:
    """The rotation of one KEM key in the deployed cloud: what stands of it, and the function that does it."""

    def __init__(self, stage: KeyStage) -> None:
        owner = stage.cloud.session()
        self.stage = stage
        self.function = stage.deployment.functions.rotate_keys
        self._lambda, self._secrets, self._s3 = (owner.client(each) for each in ("lambda", "secretsmanager", "s3"))
        self.old = self.active()

    @property
    def registered(self) -> RegisteredParticipant:
        return self.stage.client("operator").registry.load(NAME)

    def active(self) -> KeyVersion:
        """The key in use; there is always one, and never another."""
        keys = [key for key in self.registered.keys if key.purpose is KeyPurpose.KEM and key.state is KeyState.ACTIVE]
        assert len(keys) == 1
        return keys[0]

    def pending(self) -> KeyVersion | None:
        return next(iter(self.registered.pending_keys), None)

    def deliver(self) -> dict[str, Any]:
        """Hand the order to the function as its queue does; when it is delivered again is the test's to say."""
        order = KeyOrder(
            action=KeyAction.ROTATE,
            participant=NAME,
            purpose=KeyPurpose.KEM,
            replaces=self.old.key_id,
            asked_by="e2e",
            correlation_id="e2e-killed",
        )
        record = {
            "messageId": str(uuid4()),
            "receiptHandle": "none",
            "body": order.model_dump_json(),
            "attributes": {"MessageGroupId": NAME},
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:key-orders.fifo",
            "awsRegion": "us-east-1",
        }
        answer = self._lambda.invoke(FunctionName=self.function, Payload=json.dumps({"Records": [record]}).encode())
        document = json.loads(answer["Payload"].read() or b"null")
        failed = "FunctionError" in answer or not isinstance(document, dict) or document.get("batchItemFailures")
        return {"failed": bool(failed), "document": document}

    def secrets(self) -> set[str]:
        names = (each["Name"] for page in self._pages() for each in page["SecretList"])
        return {name for name in names if f"/participants/{NAME}/" in name}

    def _pages(self) -> Any:
        return self._secrets.get_paginator("list_secrets").paginate()

    def is_stored(self, key: KeyVersion) -> bool:
        """Whether the private half stands in its secret."""
        try:
            found = self._secrets.describe_secret(SecretId=key.secret_id)
        except self._secrets.exceptions.ResourceNotFoundException:
            return False
        return "AWSCURRENT" in (found.get("VersionIdsToStages") or {}).get(key.key_id, [])

    def is_backed_up(self, key: KeyVersion) -> bool:
        bucket, prefix = self.stage.deployment.key_backups_bucket, name_backup(key)
        listed = self._s3.list_objects_v2(Bucket=bucket)
        return any(prefix in each["Key"] for each in listed.get("Contents", []))

    def require_nothing_lost(self) -> None:
        """One key in use, whose private half opens; every secret is named by a key of the registry."""
        key, registered = self.active(), self.registered
        [private_key] = self.stage.holder(NAME, role="recipient").opening_keys([key.key_id])
        assert private_key.public_key == key.public_key
        assert self.secrets() <= {each.secret_id for each in registered.keys}
        identity = registered.to_identity()
        assert identity is not None
        identity.require_valid()


MOMENTS: dict[str, Callable[[Rotation], bool]] = {
    "when it is called": lambda _: True,
    "when the version is registered": lambda rotation: rotation.pending() is not None,
    "when the secret is stored": lambda rotation: (key := rotation.pending()) is not None and rotation.is_stored(key),
    "when the backup is made": lambda rotation: (key := rotation.pending()) is not None and rotation.is_backed_up(key),
    "when the key is in use": lambda rotation: rotation.active().key_id != rotation.old.key_id,
}


@pytest.fixture(scope="module")
def site(stage: KeyStage) -> KeyStage:
    """A participant of this test's own."""
    principal = stage.cloud.session("recipient").client("sts").get_caller_identity()["Arn"]
    role = principal.replace(":sts:", ":iam:").replace("assumed-role", "role").rpartition("/")[0]
    added = stage.pqtransfer("participants", "add", NAME, "--managed", "--principal", role, role="operator")
    assert added.exit_code == 0, added.stderr
    return stage


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_rotation_that_is_killed_is_ended_by_the_next_run(site: KeyStage, moment: Callable[[Rotation], bool]) -> None:
    """Wherever it dies there is one key in use that opens, and no secret that nobody names; run again, the new key is
    in use, and nothing is left of what was begun."""
    rotation = Rotation(site)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(rotation.deliver)
        killed = kill_at(rotation, running, moment)
        running.exception()
    rotation.require_nothing_lost()
    assert killed or rotation.active().key_id != rotation.old.key_id

    def run_again() -> bool | None:
        pending = rotation.pending()
        if pending is not None and not rotation.is_stored(pending):  # what it waits for is over
            site.set_key(NAME, pending.key_id, created_at=LONG_AGO)
        return None if rotation.deliver()["failed"] else True

    wait_for("a run that ends", run_again)
    rotation.require_nothing_lost()
    registered, new = rotation.registered, rotation.active()
    assert new.key_id != rotation.old.key_id
    assert not registered.pending_keys
    assert rotation.secrets() == {key.secret_id for key in registered.keys if key.secret_id is not None}
    used = [key for key in registered.keys if key.activated_at is not None and key.purpose is KeyPurpose.KEM]
    assert all(rotation.is_backed_up(key) for key in used)
    replaced = registered.find_key(rotation.old.key_id)
    assert replaced is not None
    assert replaced.state is KeyState.RETIRING


def kill_at(rotation: Rotation, running: "Future[dict[str, Any]]", moment: Callable[[Rotation], bool]) -> bool:
    """Kill the function as soon as the moment is seen; False when it had ended before anybody could."""
    while not running.done():
        if moment(rotation) and kill_processes(rotation.stage.cloud, rotation.function):
            return True
        time.sleep(POLL_SECONDS)
    return False
