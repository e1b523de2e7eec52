"""Where a deployment is: read from `deployment.json`, which the deploy command writes from the stacks' outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pqtransfer.errors import InputError

DEPLOYMENT_FORMAT: Literal["pqtransfer-deployment/1"] = "pqtransfer-deployment/1"
HEALTH_PATH = "/healthz"
# How the embedded cloud is asked for what stands behind one of its load balancers.
EMBEDDED_BALANCER_PATH = "/_alb/"


class DeploymentNotFoundError(InputError):
    """There is no deployment file where one was looked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} does not exist; deploy with scripts/deploy --env ENV, or name the file of a deployment "
            "with --deployment FILE or PQTRANSFER_DEPLOYMENT"
        )


class InvalidDeploymentError(InputError):
    """A deployment file, or the outputs of a deployment, cannot be used."""


class Functions(BaseModel):
    """The names of the deployed functions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    register_participant: str
    publish_transfer_events: str
    sequence_audit_log: str
    witness_checkpoint: str
    check_audit_integrity: str
    archive_audit_log: str
    report_compliance: str
    rotate_keys: str
    drill_key_restore: str
    respond_to_compromise: str
    decide_scaling: str
    process_alerts: str


class Deployment(BaseModel):
    """Everything a client has to know about one deployed environment. Holds no secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pqtransfer-deployment/1"] = DEPLOYMENT_FORMAT
    environment: Literal["local", "dev", "staging", "production"]
    region: str
    account_id: str
    endpoint_url: str | None = None
    data_endpoint_url: str | None = None
    data_bucket: str
    queue_url: str
    dead_letter_queue_url: str
    transfers_table: str
    checkpoints_table: str
    participants_table: str
    envelopes_table: str
    incidents_table: str
    decisions_table: str
    alerts_table: str
    event_bus: str
    checkpoint_key_arn: str
    key_backups_bucket: str
    key_orders_queue_url: str
    audit_queue_url: str
    audit_dead_letter_queue_url: str
    site_audit_queue_url: str
    site_audit_dead_letter_queue_url: str
    audit_bucket: str
    audit_trust_bucket: str
    audit_state_table: str
    audit_origin: str
    audit_retention_rules: str
    alerts_topic_arn: str
    alert_events_queue_url: str
    participant_role_prefix: str
    minimum_suite: Literal["PQT-1", "PQT-2"]
    task_role_arn: str
    cluster: str
    service: str
    workers_minimum: int
    workers_maximum: int
    health_target_group_arn: str
    functions: Functions
    endpoints: dict[str, str]
    health_urls: tuple[str, ...]

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Mapping[str, str]], *, endpoint_url: str | None = None) -> Self:
        """The deployment that stack outputs (`cdk deploy --outputs-file`) tell of.

        `endpoint_url` is the address of an emulated cloud; leave it out for AWS.

        Raises:
            InvalidDeploymentError: a stack's outputs are missing: not everything was deployed.
        """
        found = {_snake(name): value for stack in outputs.values() for name, value in stack.items()}
        health_url = found.pop("health_url", "")
        balancer = found.pop("load_balancer", "")
        if endpoint_url is not None:
            health_url = f"{endpoint_url}{EMBEDDED_BALANCER_PATH}{balancer}{HEALTH_PATH}"
        functions = {name: found.pop(f"{name}_function", None) for name in Functions.model_fields}
        known = {name: value for name, value in found.items() if name in cls.model_fields}
        endpoints = {
            "api": endpoint_url or f"https://{{service}}.{found.get('region')}.amazonaws.com",
            "queue": found.get("queue_url", ""),
            "health": health_url.removesuffix(HEALTH_PATH),
        }
        values: dict[str, Any] = {
            **known,
            "endpoint_url": endpoint_url,
            "functions": functions,
            "endpoints": endpoints,
            "health_urls": [health_url],
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidDeploymentError(
                f"the stacks' outputs are not complete ({_explain(error)}); deploy all of them: "
                "cdk deploy --all --context env=ENV --outputs-file FILE"
            ) from None

    def write(self, path: Path) -> None:
        """Write the file that `load_deployment` reads; a reader never sees half of it."""
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)


def load_deployment(path: Path) -> Deployment:
    """Read a deployment file.

    Raises:
        DeploymentNotFoundError: there is none at `path`.
        InvalidDeploymentError: it is not one, or of a version that this release does not know.
    """
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DeploymentNotFoundError(path) from None
    except OSError as error:
        raise InvalidDeploymentError(f"{path} cannot be read: {error.strerror}; name a readable file") from None
    try:
        return Deployment.model_validate_json(text)
    except ValidationError as error:
        raise InvalidDeploymentError(
            f"{path} is not a deployment of format {DEPLOYMENT_FORMAT} ({_explain(error)}); "
            "write it anew with scripts/deploy --env ENV"
        ) from None


def _snake(name: str) -> str:
    """`DataBucket` -> `data_bucket`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in problems[:5])
