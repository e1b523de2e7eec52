"""Report that keys were lost, and watch what is done about it.

incidents = connect_incidents(load_deployment(Path("deployment.json")))
incident = incidents.report("hospital-b", reason="a laptop was stolen")
report = incidents.read_report(incident.incident_id)
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from pydantic import ValidationError
from uuid6 import uuid7

from pqtransfer.aws.callers import name_caller
from pqtransfer.aws.clients import WAITING_READ_TIMEOUT_SECONDS, client_config, make_session
from pqtransfer.aws.incidents import DynamoIncidentStore
from pqtransfer.aws.invocation import FunctionCrashedError, RemoteFunction
from pqtransfer.aws.proven_callers import ProvenFunction
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.errors import InputError
from pqtransfer.keys.registration import Refusal
from pqtransfer.protection.incident_report import IncidentReport
from pqtransfer.protection.incidents import CompromiseReported, Incident, IncidentStore, Task
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.sdk.participants import refused

RESPOND_FUNCTION = "respond_to_compromise"


class InvalidReportError(InputError):
    """What was said of a compromise cannot be reported so."""


class Incidents:
    """The incidents of one deployment."""

    def __init__(self, *, store: IncidentStore, respond: RemoteFunction, name_caller: Callable[[], str]) -> None:
        """`name_caller` says who reports: the ARN that AWS has authenticated."""
        self._store = store
        self._respond = respond
        self._name_caller = name_caller

    def report(
        self,
        participant: str,
        *,
        reason: str,
        key_ids: Sequence[str] = (),
        since: datetime | None = None,
        incident_id: str | None = None,
    ) -> Incident:
        """Report keys of a participant as lost. They are revoked when this returns; the rest goes on by itself.

        Args:
            key_ids: which; all of its keys when left out.
            since: from when on somebody else may have had them; always, when left out.
            incident_id: the same id is the same report; a new one when left out.

        Raises:
            InvalidReportError, RegistrationRefusedError: what is wrong with the report.
            CloudError, FunctionCrashedError: it may not have been taken; the same report again does no harm.
        """
        try:
            reported = CompromiseReported(
                incident_id=incident_id or str(uuid7()),
                participant=participant,
                key_ids=tuple(key_ids) or None,
                since=since,
                reason=reason,
                reported_by=self._name_caller(),
                reported_at=datetime.now(UTC),
            )
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False)
            told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems[:5])
            raise InvalidReportError(f"this cannot be reported: {told}") from None
        return self._ask(reported.model_dump(mode="json"))

    def retry(self, incident_id: str) -> Incident:
        """Have everything tried again that failed in an incident; one that is closed is opened again for it.

        Raises:
            RegistrationRefusedError: there is none of this id.
            CloudError, FunctionCrashedError: it can be asked for again.
        """
        return self._ask({"action": "retry", "incident_id": incident_id})

    def _ask(self, question: JsonObject) -> Incident:
        answer = self._respond(question)
        try:
            if "error" in answer:
                raise refused(Refusal.model_validate(answer["error"]))
            return Incident.model_validate(answer["incident"])
        except (KeyError, ValidationError):
            raise FunctionCrashedError(
                RESPOND_FUNCTION, "its answer is of another version; update pqtransfer"
            ) from None

    def list_all(self) -> list[Incident]:
        """Every incident, newest first."""
        return self._store.list_all()

    def read_report(self, incident_id: str) -> IncidentReport:
        """An incident as it stands, with what became of each container.

        Raises:
            IncidentNotFoundError: there is none of this id.
        """
        incident = self._store.get(incident_id)
        return IncidentReport(incident=incident, tasks=tuple(self._read_tasks(incident_id)))

    def _read_tasks(self, incident_id: str) -> Iterator[Task]:
        cursor: str | None = None
        while True:
            page = self._store.list_tasks(incident_id, cursor=cursor)
            yield from page.tasks
            cursor = page.cursor
            if cursor is None:
                return


def connect_incidents(deployment: Deployment) -> Incidents:
    """The incidents of `deployment`, with the AWS credentials of this process (see `AWS_PROFILE`)."""
    session = make_session(region=deployment.region)
    waiting = client_config(read_timeout_seconds=WAITING_READ_TIMEOUT_SECONDS)
    return Incidents(
        store=DynamoIncidentStore.open_table(session, deployment.incidents_table, endpoint_url=deployment.endpoint_url),
        respond=ProvenFunction.connect(
            session,
            name=deployment.functions.respond_to_compromise,
            endpoint_url=deployment.endpoint_url,
            config=waiting,
            region=deployment.region,
        ),
        name_caller=lambda: name_caller(
            session.client("sts", endpoint_url=deployment.endpoint_url, config=client_config())
        ),
    )
