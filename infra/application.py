"""The whole application: ten stacks of one environment, checked by cdk-nag."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import App, CliCredentialsStackSynthesizer, DefaultStackSynthesizer, Environment, IStackSynthesizer, Tags

from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.overrides import load_environment
from infra.stacks.alarms import AlarmsStack
from infra.stacks.audit_functions import AuditFunctionsStack
from infra.stacks.audit_log import AuditLogStack
from infra.stacks.control import ControlStack
from infra.stacks.fleet import FleetStack
from infra.stacks.network import NetworkStack
from infra.stacks.operations import OperationsStack
from infra.stacks.protection import ProtectionStack
from infra.stacks.scaling import ScalingStack
from infra.stacks.storage import StorageStack
from infra.validation import add_checks


def build_application(app: App, *, variables: Mapping[str, str]) -> EnvironmentConfig:
    """Add the stacks of the environment that the app's context names.

    Raises:
        ConfigurationError: the configuration cannot be used; says what is wrong and how to mend it.
    """
    environment = load_environment(app.node.get_all_context(), variables)
    names = Names(environment.name, account=environment.account, region=environment.region)

    def place(description: str) -> dict[str, Any]:
        return {
            "env": Environment(account=environment.account, region=environment.region),
            "description": f"pqtransfer {environment.name}: {description}",
            "synthesizer": _synthesizer(environment),
            "environment": environment,
            "names": names,
        }

    network = NetworkStack(app, names.stack("Network"), **place("the network"))
    storage = StorageStack(
        app,
        names.stack("Storage"),
        termination_protection=environment.termination_protection,
        **place("models, states and keys"),
    )
    audit = AuditLogStack(
        app,
        names.stack("AuditLog"),
        termination_protection=environment.termination_protection,
        **place("the audit log"),
    )
    control = ControlStack(
        app, names.stack("Control"), storage=storage, audit=audit, **place("queue, events and functions")
    )
    audit_functions = AuditFunctionsStack(
        app,
        names.stack("AuditFunctions"),
        storage=storage,
        audit=audit,
        control=control,
        **place("the audit log's functions"),
    )
    protection = ProtectionStack(
        app,
        names.stack("Protection"),
        storage=storage,
        audit=audit,
        control=control,
        **place("what keeps containers under keys that count"),
    )
    operations = OperationsStack(
        app,
        names.stack("Operations"),
        storage=storage,
        audit=audit,
        control=control,
        topic=audit_functions.administrators.topic,
        **place("what is done about alerts"),
    )
    fleet = FleetStack(
        app,
        names.stack("Fleet"),
        network=network,
        storage=storage,
        audit=audit,
        control=control,
        **place("the transfer workers"),
    )
    scaling = ScalingStack(
        app,
        names.stack("Scaling"),
        storage=storage,
        audit=audit,
        control=control,
        fleet=fleet,
        **place("how many workers there are"),
    )
    AlarmsStack(
        app,
        names.stack("Alarms"),
        watched=[audit, control, audit_functions, protection, operations, scaling],
        topic=audit_functions.administrators.topic,
        health=fleet.health,
        **place("alarms on functions and queues"),
    )
    Tags.of(app).add("application", "pqtransfer")
    Tags.of(app).add("environment", environment.name)
    add_checks(app)
    return environment


def _synthesizer(environment: EnvironmentConfig) -> IStackSynthesizer:
    """The embedded cloud refuses the bootstrap's publishing role: local deploys with the caller's credentials."""
    return CliCredentialsStackSynthesizer() if environment.is_local else DefaultStackSynthesizer()
