"""The keys of a deployment's participants: look at them, rotate them, see to their backups.

keys = connect_keys(load_deployment(Path("deployment.json")))
keys.rotate("hospital-a", purposes=[KeyPurpose.KEM])
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from uuid import uuid4

from pqtransfer.aws.clients import WAITING_READ_TIMEOUT_SECONDS, client_config, make_session
from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.aws.failures import translated
from pqtransfer.aws.folder import S3Connection
from pqtransfer.aws.invocation import LambdaFunction, RemoteFunction
from pqtransfer.aws.key_backups import S3BackupStore
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.proven_callers import ProvenFunction
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.backups import BackupStore, name_backup
from pqtransfer.keys.lifecycle import KeyState, may_open
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.keys.participant import KeyVersion, ParticipantKind, RegisteredParticipant
from pqtransfer.keys.registry import KeyRegistry
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.sdk.key_results import (
    LEAST_PREFIX,
    AmbiguousKeyError,
    BackedUp,
    DrillResult,
    ExternalKeysError,
    NotDoneYetError,
    Rotated,
    require_answer,
)
from pqtransfer.transfers.dependencies import DependencyIndex, KeyRole, iterate_all

ROTATE_FUNCTION, DRILL_FUNCTION = "rotate_keys", "drill_key_restore"
WAIT_SECONDS = 60.0
LEFT_BEHIND = frozenset({KeyState.RETIRING, KeyState.RETIRED, KeyState.REVOKED})
COUNTED_AT_MOST = 100_000
"""More are not counted: two hundred pages are asked for."""
POLL_SECONDS = 0.5


class Keys:
    """The keys of one deployment."""

    def __init__(
        self,
        *,
        registry: KeyRegistry,
        backups: BackupStore,
        envelopes: DependencyIndex,
        give_order: RemoteFunction,
        drill: RemoteFunction,
        asked_by: Callable[[], str],
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._backups = backups
        self._envelopes = envelopes
        self._give_order = give_order
        self._drill = drill
        self._asked_by = asked_by
        self._sleep = sleep
        self._monotonic = monotonic

    def list_participants(self, name: str | None = None) -> list[RegisteredParticipant]:
        """One participant with all of its keys, or all of them.

        Raises:
            ParticipantUnknownError: there is none of this name.
        """
        return self._registry.list_all() if name is None else [self._registry.load(name)]

    def find(self, name: str, key_id_prefix: str) -> KeyVersion:
        """The key of a participant whose id begins so.

        Raises:
            ParticipantUnknownError, AmbiguousKeyError: there is no such participant, or not one such key.
        """
        keys = self._registry.load(name).keys
        found = [key for key in keys if key.key_id.startswith(key_id_prefix.lower())]
        if len(key_id_prefix) < LEAST_PREFIX or len(found) != 1:
            raise AmbiguousKeyError(name, key_id_prefix)
        return found[0]

    def count_envelopes(self, key: KeyVersion) -> int | None:
        """How many containers have an envelope under a KEM key that is out of use, at most `COUNTED_AT_MOST`.

        After a rotation it shows how far the envelopes have moved to the new key. None: the key is in use, or never
        was, or it only signs.

        Raises:
            CloudError: the index does not answer.
        """
        if key.purpose is not KeyPurpose.KEM or key.state not in LEFT_BEHIND or key.activated_at is None:
            return None
        return len(set(islice(iterate_all(self._envelopes, key.key_id, KeyRole.RECIPIENT), COUNTED_AT_MOST)))

    def rotate(
        self, name: str, *, purposes: Sequence[KeyPurpose] = tuple(KeyPurpose), wait_seconds: float = WAIT_SECONDS
    ) -> list[Rotated]:
        """Give a managed participant new keys now, and wait until they are in use.

        Raises:
            ParticipantUnknownError, ExternalKeysError: there is nothing that the system could rotate.
            KeyOrderRefusedError, CloudError, FunctionCrashedError: the deployment refused, or could not be asked.
            NotDoneYetError: the order is taken, and the new key was not in use when the waiting ended.
        """
        registered = self._require_managed(name)
        deadline = self._monotonic() + wait_seconds
        correlation_id = f"keys-{uuid4()}"
        ordered: dict[KeyPurpose, KeyVersion | None] = {}
        for purpose in purposes:
            ordered[purpose] = registered.find_active_key(purpose)
            replaces = ordered[purpose]
            self._send(
                KeyOrder(
                    action=KeyAction.ROTATE,
                    participant=name,
                    purpose=purpose,
                    replaces=None if replaces is None else replaces.key_id,
                    asked_by=self._asked_by(),
                    correlation_id=correlation_id,
                )
            )
        return [self._wait_for_key(name, purpose, old, deadline, correlation_id) for purpose, old in ordered.items()]

    def list_backups(self, name: str | None = None) -> list[BackedUp]:
        """Each private key that the system keeps, and whether it has a backup.

        Raises:
            ParticipantUnknownError, CloudError: there is no such participant; the bucket cannot be listed.
        """
        there = set(self._backups.list_names(prefix="" if name is None else f"{name}/"))
        return [
            BackedUp(key, name_backup(key) in there)
            for registered in self.list_participants(name)
            for key in registered.keys
            if key.secret_id is not None and may_open(key.state)
        ]

    def make_missing_backups(self, name: str | None = None, *, wait_seconds: float = WAIT_SECONDS) -> list[BackedUp]:
        """Have the backups made that are missing, wait for them, and return all as they are then.

        Raises:
            NotDoneYetError: they are ordered, and not all there when the waiting ended.
            KeyOrderRefusedError, CloudError, FunctionCrashedError: the deployment refused, or could not be asked.
        """
        deadline, correlation_id = self._monotonic() + wait_seconds, f"keys-{uuid4()}"
        lacking = {each.key.participant for each in self.list_backups(name) if not each.is_backed_up}
        for participant in sorted(lacking):
            self._send(
                KeyOrder(
                    action=KeyAction.BACK_UP,
                    participant=participant,
                    asked_by=self._asked_by(),
                    correlation_id=correlation_id,
                )
            )
        while True:
            found = self.list_backups(name)
            if all(each.is_backed_up for each in found):
                return found
            self._wait(deadline, "the missing backup", correlation_id)

    def replace_backups(self, name: str) -> list[BackedUp]:
        """Have every backup of a participant made anew, in the place of what is there; a drill shows that it is done.

        For backups that a drill could not restore. The versions before stay as long as they are locked.

        Raises:
            ParticipantUnknownError, ExternalKeysError: there is nothing that the system could back up.
            KeyOrderRefusedError, CloudError, FunctionCrashedError: the deployment refused, or could not be asked.
        """
        self._require_managed(name)
        self._send(
            KeyOrder(
                action=KeyAction.BACK_UP,
                participant=name,
                replace_backups=True,
                asked_by=self._asked_by(),
                correlation_id=f"keys-{uuid4()}",
            )
        )
        return self.list_backups(name)

    def drill(self, name: str | None = None) -> DrillResult:
        """Restore keys from their backups into the memory of a function, and prove each: one participant's, or all.

        Raises:
            KeyOrderRefusedError, CloudError, FunctionCrashedError: the deployment refused, or could not be asked.
        """
        request: JsonObject = {"action": "drill", "asked_by": self._asked_by()}
        answer = self._drill(request if name is None else {**request, "participant": name})
        return DrillResult.model_validate(require_answer(answer, DRILL_FUNCTION))

    def _wait_for_key(
        self, name: str, purpose: KeyPurpose, old: KeyVersion | None, deadline: float, correlation_id: str
    ) -> Rotated:
        while True:
            registered = self._registry.load(name)
            new = registered.find_active_key(purpose)
            if new is not None and (old is None or new.key_id != old.key_id):
                return Rotated(old=None if old is None else registered.find_key(old.key_id), new=new)
            self._wait(deadline, f"a new {purpose} key for {name}", correlation_id)

    def _wait(self, deadline: float, what: str, correlation_id: str) -> None:
        if self._monotonic() >= deadline:
            raise NotDoneYetError(what, correlation_id)
        self._sleep(POLL_SECONDS)

    def _require_managed(self, name: str) -> RegisteredParticipant:
        registered = self._registry.load(name)
        if registered.participant.kind is not ParticipantKind.MANAGED:
            raise ExternalKeysError(name)
        return registered

    def _send(self, order: KeyOrder) -> None:
        require_answer(self._give_order(order.model_dump(mode="json")), ROTATE_FUNCTION)


def connect_keys(deployment: Deployment) -> Keys:
    """The keys of `deployment`, with the AWS credentials of this process (see `AWS_PROFILE`)."""
    session, config = make_session(region=deployment.region), client_config()
    waiting = client_config(read_timeout_seconds=WAITING_READ_TIMEOUT_SECONDS)
    functions = session.client("lambda", endpoint_url=deployment.endpoint_url, config=waiting)

    def ask_who() -> str:
        sts = session.client("sts", endpoint_url=deployment.endpoint_url, config=config)
        with translated(action="ask whose credentials these are"):
            return sts.get_caller_identity()["Arn"]

    return Keys(
        registry=DynamoKeyRegistry(
            session.client("dynamodb", endpoint_url=deployment.endpoint_url, config=config),
            table_name=deployment.participants_table,
        ),
        backups=S3BackupStore(
            S3Connection.open(session, endpoint_url=deployment.endpoint_url).client,
            bucket=deployment.key_backups_bucket,
        ),
        envelopes=DynamoDependencyIndex.open(session, deployment.envelopes_table, endpoint_url=deployment.endpoint_url),
        give_order=ProvenFunction.connect(
            session,
            name=deployment.functions.rotate_keys,
            endpoint_url=deployment.endpoint_url,
            config=waiting,
            region=deployment.region,
        ),
        drill=LambdaFunction(functions, function_name=deployment.functions.drill_key_restore),
        asked_by=ask_who,
    )
