"""Add participants to a deployment, and look at those that are there.

participants = connect_participants(load_deployment(Path("deployment.json")))
participants.add_managed("hospital-a", buckets=["our-models"])
participants.add_external("hospital-b", keys=Path("hospital-b/public-keys.json"))
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from pqtransfer.aws.callers import name_caller
from pqtransfer.aws.clients import WAITING_READ_TIMEOUT_SECONDS, client_config, make_session
from pqtransfer.aws.invocation import FunctionCrashedError, RemoteFunction
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.aws.proven_callers import ProvenFunction
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.crypto.succession import sign_succession
from pqtransfer.errors import AccessError, InputError, IntegrityError, PqtransferError, UnavailableError
from pqtransfer.keys.participant import ParticipantKind, RegisteredParticipant, require_managed_name
from pqtransfer.keys.registration import Refusal, Registration, read_registration_request
from pqtransfer.keys.registry import KeyRegistry
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.sdk.keyfiles import load_private_identity, load_public_identity

REGISTER_FUNCTION = "register_participant"


class RegistrationRefusedError(PqtransferError):
    """The deployment refused to register the participant. `code` is the deployment's own name for the reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self._code = refusal.code

    @property
    def code(self) -> str:
        return self._code


class UnusableRegistrationError(RegistrationRefusedError, InputError):
    """What was asked cannot be used."""


class DamagedRegistrationError(RegistrationRefusedError, IntegrityError):
    """A document or proof does not hold."""


class ForbiddenRegistrationError(RegistrationRefusedError, AccessError):
    """Something that registering needs is denied."""


class InterruptedRegistrationError(RegistrationRefusedError, UnavailableError):
    """Something that registering needs did not answer; the same call may succeed later."""


class NotManagedError(InputError):
    """There is no role of this participant's to refresh."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has no role of its own: it keeps its own keys, or adding it was never finished; "
            "see `pqtransfer participants list`"
        )


REFUSALS = (
    UnusableRegistrationError,
    DamagedRegistrationError,
    ForbiddenRegistrationError,
    InterruptedRegistrationError,
)


class Participants:
    """The participants of one deployment."""

    def __init__(
        self, *, registry: KeyRegistry, register: RemoteFunction, name_caller: Callable[[], str] | None = None
    ) -> None:
        """`name_caller` says who asks, for the record."""
        self._registry = registry
        self._register = register
        self._name_caller = name_caller

    def add_managed(
        self,
        name: str,
        *,
        suite_id: str | None = None,
        principals: Sequence[str] = (),
        buckets: Sequence[str] = (),
    ) -> RegisteredParticipant:
        """Add a participant whose keys the system makes and keeps. Repeating the call finishes what was interrupted.

        Args:
            suite_id: the suite of its keys; the default suite when left out.
            principals: ARNs of roles, users or accounts that may act as the participant.
            buckets: names of the S3 buckets that workers may read models from, and write them to, in its name.

        Raises:
            MalformedRegistrationError, ManagedNameTooLongError, RegistrationRefusedError: what is wrong.
            CloudError, FunctionCrashedError: the deployment could not be asked.
        """
        require_managed_name(name)
        return self._send(
            {
                "name": name,
                "kind": ParticipantKind.MANAGED,
                "suite": suite_id,
                "principals": list(principals),
                "buckets": list(buckets),
            }
        )

    def add_external(self, name: str, *, keys: Path) -> RegisteredParticipant:
        """Add a participant that keeps its own private keys.

        Args:
            keys: its `public-keys.json`, or the directory that holds it. Keys and proof are checked here and there.

        Raises:
            as `add_managed`, and what `load_public_identity` raises.
        """
        identity = load_public_identity(keys).to_json().decode("ascii")
        return self._send({"name": name, "kind": ParticipantKind.EXTERNAL, "identity": identity})

    def replace_external(self, name: str, *, keys: Path, new_keys: Path) -> RegisteredParticipant:
        """Put new keys of a participant that keeps its own in the place of those in use. Safe to repeat.

        Args:
            keys: the key directory that is in use: its signing key says that the new ones follow.
            new_keys: the directory of the new keys, made beforehand.

        Raises:
            as `add_managed`, and what `load_private_identity` and `load_public_identity` raise.
        """
        succession = sign_succession(load_private_identity(keys), load_public_identity(new_keys))
        document = succession.to_json().decode("ascii")
        return self._send({"name": name, "kind": ParticipantKind.EXTERNAL, "succession": document})

    def refresh(self, names: Sequence[str] = ()) -> Iterator[RegisteredParticipant]:
        """Bring managed participants' roles to what is registered, and to who acts for them in the deployment now.

        Whom a role trusts is written when its participant is registered. So this is the step after an update of the
        deployment that gives somebody a role of its own. Safe to repeat; keys and registrations stay as they are.

        Args:
            names: which; none means every managed participant that was ever ready.

        Raises:
            NotManagedError: a participant that is named keeps its own keys, or was never ready.
            as `add_managed`; those that were returned before are done.
        """
        listed = [self._registry.load(name) for name in names] if names else self._registry.list_all()
        for registered in listed:
            if registered.participant.kind is ParticipantKind.MANAGED and registered.was_ready:
                newest = max(registered.keys, key=lambda key: key.version)
                yield self.add_managed(
                    registered.name,
                    suite_id=newest.suite_id,
                    principals=registered.participant.principals,
                    buckets=registered.participant.buckets,
                )
            elif names:
                raise NotManagedError(registered.name)

    def list_all(self) -> list[RegisteredParticipant]:
        """Every participant, ordered by name."""
        return self._registry.list_all()

    def show(self, name: str) -> RegisteredParticipant:
        """One participant with all of its key versions.

        Raises:
            ParticipantUnknownError: there is none of this name.
        """
        return self._registry.load(name)

    def _send(self, request: JsonObject) -> RegisteredParticipant:
        asked = {**request, "correlation_id": str(uuid4())}
        if self._name_caller is not None:
            asked["requested_by"] = self._name_caller()
        read_registration_request(asked)
        answer = self._register(asked)
        try:
            if "error" in answer:
                raise refused(Refusal.model_validate(answer["error"]))
            return Registration.model_validate(answer).registered
        except ValidationError:
            raise FunctionCrashedError(
                REGISTER_FUNCTION, "its answer is of another version; update pqtransfer"
            ) from None


def connect_participants(deployment: Deployment) -> Participants:
    """The participants of `deployment`, with the AWS credentials of this process (see `AWS_PROFILE`)."""
    session, config = make_session(region=deployment.region), client_config()
    waiting = client_config(read_timeout_seconds=WAITING_READ_TIMEOUT_SECONDS)
    return Participants(
        registry=DynamoKeyRegistry(
            session.client("dynamodb", endpoint_url=deployment.endpoint_url, config=config),
            table_name=deployment.participants_table,
        ),
        register=ProvenFunction.connect(
            session,
            name=deployment.functions.register_participant,
            endpoint_url=deployment.endpoint_url,
            config=waiting,
            region=deployment.region,
        ),
        name_caller=lambda: name_caller(session.client("sts", endpoint_url=deployment.endpoint_url, config=config)),
    )


def refused(refusal: Refusal) -> RegistrationRefusedError:
    kind = next((kind for kind in REFUSALS if kind.exit_code == refusal.exit_code), RegistrationRefusedError)
    return kind(refusal)
