"""What keeps containers under keys that count: the index of envelopes, rewraps, and the answer to a compromise."""

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk.aws_events import Schedule
from constructs import Construct

from functions.index_envelopes.settings import IndexEnvelopesSettings
from functions.renew_envelopes.settings import RenewEnvelopesSettings
from functions.respond_to_compromise.settings import RespondToCompromiseSettings
from infra.constructs import audit_grants, grants, protection_grants
from infra.constructs.function_triggers import BusTrigger, ClockTrigger
from infra.constructs.python_function import PythonFunction
from infra.constructs.stream_trigger import StreamTrigger, read_stream
from infra.constructs.wildcards import acknowledge_wildcards
from infra.constructs.work_queue import WorkQueue
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.outputs import add_outputs
from infra.stacks.audit_log import AuditLogStack
from infra.stacks.control import ControlStack
from infra.stacks.storage import StorageStack
from pqtransfer.keys.events import KEY_ROTATED_DETAIL_TYPE
from pqtransfer.protection.incidents import COMPROMISE_REPORTED_DETAIL_TYPE, COMPROMISE_REPORTED_SOURCE

PARTS = ("crypto", "keys", "transfers", "audit", "operations", "recording", "protection", "aws")
FUNCTION_SECONDS = 300
MEMORY_MIB = 1024
RECEIVES_AT_MOST = 50
PAGES_AT_ONCE = 10
POLL_SECONDS = 10
LOCAL_POLL_SECONDS = 1


class ProtectionStack(Stack):
    """Everything in it can be made again; what it knows stands in the storage stack."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        storage: StorageStack,
        audit: AuditLogStack,
        control: ControlStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self._environment, self._names = environment, names
        self._storage, self._audit, self._control = storage, audit, control
        index = self._make_index()
        renew = self._make_renewal()
        respond = self._make_response()
        self._let_operators_report(respond)
        add_outputs(
            self,
            IndexEnvelopesFunction=index.function.function_name,
            RenewEnvelopesFunction=renew.function.function_name,
            RespondToCompromiseFunction=respond.function.function_name,
        )

    def _make_index(self) -> PythonFunction:
        stores = self._storage.stores
        index = self._control.functions.make(
            self,
            IndexEnvelopesSettings,
            parts=PARTS,
            values={"envelopes_table": stores.envelopes.table_name, "data_bucket": stores.bucket_name},
            statements=[
                *read_stream(stores.transfers),
                *grants.keep_envelopes(stores),
                grants.read_models(stores),
                grants.find_models(stores),
                self._control.failures.report(),
                grants.use_data_key(stores, self, "s3", "sqs", "dynamodb"),
            ],
        )
        StreamTrigger(self, "EndedTransfers", table=stores.transfers, function=index, failures=self._control.failures)
        hourly = Schedule.rate(Duration.hours(1))
        ClockTrigger(self, "Backfill", function=index, schedule=hourly, payload={"action": "backfill"})
        return index

    def _make_renewal(self) -> PythonFunction:
        stores = self._storage.stores
        queue = self._make_queue("Renewals")
        renew = self._control.functions.make(
            self,
            RenewEnvelopesSettings,
            parts=PARTS,
            values={**self._shared_values(), "renewals_queue_url": queue.messages.queue_url},
            statements=[
                *protection_grants.renew_envelopes(stores, self._audit.stores, self, self._names),
                grants.use_table("ReadTransfers", stores.transfers, "GetItem"),
                queue.work_off("WorkOffPages"),
                self._control.failures.report(),
                grants.use_data_key(stores, self, "s3", "sqs", "dynamodb"),
            ],
            memory_mib=MEMORY_MIB,
            timeout_seconds=FUNCTION_SECONDS,
            identity=self._storage.protection.role,
        )
        queue.trigger(renew.function, at_once=None if self._environment.is_local else PAGES_AT_ONCE)
        BusTrigger(
            self,
            "Rotations",
            function=renew,
            bus=self._control.bus,
            detail_type=KEY_ROTATED_DETAIL_TYPE,
            failures=self._control.failures,
        )
        return renew

    def _make_response(self) -> PythonFunction:
        stores = self._storage.stores
        queue = self._make_queue("Incidents")
        respond = self._control.functions.make(
            self,
            RespondToCompromiseSettings,
            parts=PARTS,
            values={
                **self._shared_values(),
                "incidents_table": stores.incidents.table_name,
                "incidents_queue_url": queue.messages.queue_url,
                "queue_url": self._control.queue.requests.queue_url,
                "key_orders_queue_url": self._control.keys.orders.queue_url,
                "event_bus": self._names.event_bus,
                "audit_bucket": self._audit.stores.bucket_name,
                "audit_trust_bucket": self._audit.stores.trust_bucket_name,
                "audit_origin": self._names.audit_origin,
                "removal_wait_minutes": str(self._environment.removal_wait_minutes),
                "poll_seconds": str(LOCAL_POLL_SECONDS if self._environment.is_local else POLL_SECONDS),
            },
            statements=[
                *protection_grants.renew_envelopes(stores, self._audit.stores, self, self._names),
                *protection_grants.respond(stores),
                *audit_grants.read_audit(self._audit.stores, self),
                queue.work_off("WorkOffIncidents"),
                self._control.failures.report(),
                iam.PolicyStatement(
                    sid="AskOthers",
                    actions=["sqs:SendMessage", *(["sqs:SendMessageBatch"] if stores.embedded else [])],
                    resources=[self._control.queue.requests.queue_arn, self._control.keys.orders.queue_arn],
                ),
                self._control.bus.put_events(),
                grants.use_data_key(stores, self, "s3", "sqs", "dynamodb", "events"),
            ],
            memory_mib=MEMORY_MIB,
            timeout_seconds=FUNCTION_SECONDS,
            identity=self._storage.incident_response.role,
        )
        queue.trigger(respond.function)
        BusTrigger(
            self,
            "Compromises",
            function=respond,
            bus=self._control.bus,
            detail_type=COMPROMISE_REPORTED_DETAIL_TYPE,
            source=COMPROMISE_REPORTED_SOURCE,
            failures=self._control.failures,
        )
        often = Schedule.rate(Duration.minutes(15))
        ClockTrigger(self, "Resume", function=respond, schedule=often, payload={"action": "resume"})
        return respond

    def _let_operators_report(self, respond: PythonFunction) -> None:
        """Operators report compromises, and watch what is done about them."""
        stores = self._storage.stores
        statements = [
            iam.PolicyStatement(
                sid="ReportCompromise", actions=["lambda:InvokeFunction"], resources=[respond.function.function_arn]
            ),
            grants.use_table("WatchIncidents", stores.incidents, "GetItem", "Query"),
            grants.use_table("CountEnvelopes", stores.envelopes, "GetItem", "Query"),
        ]
        policy = iam.Policy(self, "OperatorsOfIncidents", statements=statements, roles=[self._control.roles.operator])
        acknowledge_wildcards(policy, statements)

    def _shared_values(self) -> dict[str, str]:
        stores = self._storage.stores
        return {
            "participants_table": stores.participants.table_name,
            "transfers_table": stores.transfers.table_name,
            "envelopes_table": stores.envelopes.table_name,
            "data_bucket": stores.bucket_name,
            "audit_queue_url": self._audit.stores.queue.queue_url,
            "minimum_suite": self._environment.minimum_suite,
        }

    def _make_queue(self, id: str) -> WorkQueue:
        return WorkQueue(
            self,
            id,
            environment=self._environment,
            key=self._storage.stores.data_key,
            function_seconds=FUNCTION_SECONDS,
            receives_at_most=RECEIVES_AT_MOST,
        )
