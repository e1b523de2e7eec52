"""See alerts, acknowledge them, and have nobody told of some for a time.

alerts = connect_alerts(load_deployment(Path("deployment.json")))
for alert in alerts.list_open():
    print(alert.alert_id, alert.severity, alert.lead.summary)
alerts.acknowledge(alert.alert_id)
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError
from uuid6 import uuid7

from pqtransfer.aws.alert_store import DynamoAlertStore
from pqtransfer.aws.callers import name_caller
from pqtransfer.aws.clients import WAITING_READ_TIMEOUT_SECONDS, client_config, make_session
from pqtransfer.aws.invocation import FunctionCrashedError, LambdaFunction, RemoteFunction
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.keys.registration import Refusal
from pqtransfer.operations.alert_policy import AlertPolicy
from pqtransfer.operations.alert_records import AlertNotFoundError, AlertRecord, AlertStore
from pqtransfer.operations.signals import rank
from pqtransfer.operations.silences import InvalidSilenceError, Silence
from pqtransfer.sdk.deployment import Deployment
from pqtransfer.sdk.participants import refused

PROCESS_FUNCTION = "process_alerts"


class AlertDesk:
    """The alerts of one deployment."""

    def __init__(self, *, store: AlertStore, process: RemoteFunction, name_caller: Callable[[], str]) -> None:
        """`name_caller` says who asks: the ARN that AWS has authenticated."""
        self._store = store
        self._process = process
        self._name_caller = name_caller

    def list_open(self) -> Sequence[AlertRecord]:
        """What is not resolved: the worst first, and of these the oldest."""
        return sorted(self._store.list_open(), key=lambda each: (-rank(each.severity), each.opened_at, each.alert_id))

    def show(self, alert_id: str) -> AlertRecord:
        """One alert, also when it is resolved.

        Raises:
            AlertNotFoundError: there is none.
        """
        record = self._store.find(alert_id)
        if record is None:
            raise AlertNotFoundError(alert_id)
        return record

    def acknowledge(self, alert_id: str, *, is_over: bool = False) -> AlertRecord:
        """Say that you take care of an alert; with `is_over`, that nothing of it is left.

        Raises:
            RegistrationRefusedError: there is no such alert, or it is resolved.
            CloudError, FunctionCrashedError: it may not have been taken; the same again does no harm.
        """
        answer = self._ask(
            {"action": "acknowledge", "alert_id": alert_id, "by": self._name_caller(), "is_over": is_over}
        )
        try:
            return AlertRecord.model_validate(answer["alert"])
        except (KeyError, ValidationError):
            raise FunctionCrashedError(
                PROCESS_FUNCTION, "its answer is of another version; update pqtransfer"
            ) from None

    def silence(
        self, *, code: str | None = None, alert_id: str | None = None, lasts: timedelta, reason: str
    ) -> Silence:
        """Have nobody told of alerts with this code, or of one alert, for so long: a week at most.

        Raises:
            InvalidSilenceError: this cannot be silenced so.
            CloudError, FunctionCrashedError: it may not have been taken.
        """
        at = datetime.now(UTC)
        try:
            silence = Silence(
                silence_id=str(uuid7()),
                code=code,
                alert_id=alert_id,
                reason=reason,
                made_by=self._name_caller(),
                made_at=at,
                expires_at=at + lasts,
            )
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False)
            told = "; ".join(f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in problems[:5])
            raise InvalidSilenceError(f"this cannot be silenced: {told}") from None
        silence.require_short(at_most=AlertPolicy().silence_at_most)
        self._ask({"action": "silence", "silence": silence.model_dump(mode="json")})
        return silence

    def list_silences(self) -> Sequence[Silence]:
        """Those that have not ended."""
        return self._store.list_silences(at=datetime.now(UTC))

    def end_silence(self, silence_id: str) -> None:
        """Have people told again, at once.

        Raises:
            CloudError, FunctionCrashedError: it may not have been taken.
        """
        self._ask({"action": "end-silence", "silence_id": silence_id, "by": self._name_caller()})

    def _ask(self, order: JsonObject) -> JsonObject:
        answer = self._process(order)
        if "error" in answer:
            raise refused(Refusal.model_validate(answer["error"]))
        return answer


def connect_alerts(deployment: Deployment) -> AlertDesk:
    """The alerts of `deployment`, with the AWS credentials of this process (see `AWS_PROFILE`)."""
    session = make_session(region=deployment.region)
    waiting = client_config(read_timeout_seconds=WAITING_READ_TIMEOUT_SECONDS)
    return AlertDesk(
        store=DynamoAlertStore.open_table(session, deployment.alerts_table, endpoint_url=deployment.endpoint_url),
        process=LambdaFunction(
            session.client("lambda", endpoint_url=deployment.endpoint_url, config=waiting),
            function_name=deployment.functions.process_alerts,
        ),
        name_caller=lambda: name_caller(
            session.client("sts", endpoint_url=deployment.endpoint_url, config=client_config())
        ),
    )
