"""One embedded cloud: start it, deploy to it, act in it under a role, stop it.

    with EmbeddedCloud(folder) as cloud:
        deployment = cloud.deploy()
        cloud.session("worker").client("sqs").receive_message(QueueUrl=deployment.queue_url)

Where LOCALSTACK_HOST is set, no process is started: the LocalStack that answers there is used instead.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pqtransfer.sdk.deployment import Deployment
from scripts import deployment as cdk
from scripts.embedded_cloud import server
from scripts.embedded_cloud.object_locks import apply_object_locks
from scripts.embedded_cloud.profiles import ADMIN_PROFILE, ProfileFiles
from scripts.embedded_cloud.server import ACCOUNT, HOST, REGION, CloudStartError, ServerState
from scripts.embedded_cloud.sessions import CloudSession, assume_role, open_session

ENVIRONMENT = "local"
BOOTSTRAP_STACK = "CDKToolkit"
ROLES = ("worker", "submitter", "recipient", "operator", "custodian")
DEPLOYMENT_FILE = "deployment.json"


class EmbeddedCloud:
    """A cloud whose state, log, profiles and deployment file live in `folder`."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self._wanted_port = port
        self._state: ServerState | None = None
        self._foreign_host = os.environ.get("LOCALSTACK_HOST") or None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, or find it running.

        Raises:
            CloudStartError: it did not come up.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._foreign_host:
            if not server.is_healthy(f"http://{self._foreign_host}"):
                raise CloudStartError(f"nothing answers at LOCALSTACK_HOST={self._foreign_host}; start it, or unset it")
            self._state = None
        else:
            self._state = server.find_server(self.folder) or server.start_server(self.folder, port=self._wanted_port)
        if not self.is_deployed:
            access_key_id, secret = self._admin_keys()
            self.profiles.write_admin(access_key_id=access_key_id, secret_access_key=secret)

    def attach(self) -> bool:
        """Find it running; False when it is not."""
        self._state = None if self._foreign_host else server.find_server(self.folder)
        return self._foreign_host is not None or self._state is not None

    def stop(self) -> None:
        """Stop what was started. What was deployed is gone with it."""
        if self._state is not None:
            server.stop_server(self._state)
            self._state = None
        server.forget_server(self.folder)
        self.deployment_file.unlink(missing_ok=True)

    @property
    def localstack_host(self) -> str:
        """`HOST:PORT`, the way localstack-client wants it."""
        return self._foreign_host or f"{HOST}:{self._running().port}"

    @property
    def endpoint_url(self) -> str:
        """Where every service answers."""
        return f"http://{self.localstack_host}"

    @property
    def profiles(self) -> ProfileFiles:
        """The AWS config files."""
        return ProfileFiles(self.folder / "aws", self.endpoint_url)

    @property
    def deployment_file(self) -> Path:
        """Where `deploy` writes what it deployed."""
        return self.folder / DEPLOYMENT_FILE

    @property
    def is_deployed(self) -> bool:
        """Whether something was deployed to it since it started."""
        return self.deployment_file.exists()

    @property
    def log_file(self) -> Path:
        """The emulator's log."""
        return self.folder / "cloud.log"

    def variables(self, profile: str = ADMIN_PROFILE) -> dict[str, str]:
        """The environment of a process that is to act under `profile`: this one's, without other AWS settings."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_", "PQTRANSFER_"))
        }
        return {
            **kept,
            "AWS_CONFIG_FILE": str(self.profiles.config),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.profiles.credentials),
            "AWS_PROFILE": profile,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }

    def session(self, role: str | None = None) -> CloudSession:
        """Clients under a role, named (`worker`) or by its ARN; under the owner's account when none is given."""
        access_key_id, secret = self._admin_keys()
        admin = open_session(self.localstack_host, access_key_id=access_key_id, secret_access_key=secret)
        if role is None:
            return admin
        return assume_role(admin, self.localstack_host, role if role.startswith("arn:") else role_arn(role))

    def deploy(
        self, *, arguments: Sequence[str] = (), quiet: bool = True, say: Callable[[str], None] = lambda _: None
    ) -> Deployment:
        """Bootstrap where that was not done yet, deploy every stack, write `deployment.json` and the profiles.

        `arguments` are for the CDK. Repeating it updates in place; what did not change is not synthesized again.

        Raises:
            DeployError: the CDK failed.
        """
        log = self.folder / "cdk.log" if quiet else None
        variables = self.variables()
        if not self._is_bootstrapped():
            say("cdk bootstrap")
            cdk.bootstrap(f"aws://{ACCOUNT}/{REGION}", variables=variables, log=log)
        say(f"cdk deploy --all --context env={ENVIRONMENT}")
        # The CDK compares what is deployed either way; an assembly that was made from the same files is the same.
        app = cdk.synthesize(ENVIRONMENT, variables=variables, arguments=arguments, reuse=True, log=log)
        outputs = cdk.deploy(ENVIRONMENT, variables=variables, app=str(app), arguments=arguments, log=log)
        apply_object_locks(app, self.session().client("s3"))
        deployment = Deployment.from_outputs(outputs, endpoint_url=self.endpoint_url)
        deployment.write(self.deployment_file)
        for role in ROLES:
            self.profiles.add_role(role, role_arn(role))
        return deployment

    def add_participant(self, name: str, deployment: Deployment) -> str:
        """Add the profile of a managed participant; return its name."""
        profile = f"participant-{name}"
        self.profiles.add_role(profile, f"{deployment.participant_role_prefix}{name}")
        return profile

    def make_bucket(self, name: str) -> None:
        """Make a site's own bucket: these belong to no stack."""
        s3 = self.session().client("s3")
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=name)

    def _is_bootstrapped(self) -> bool:
        cloudformation = self.session().client("cloudformation")
        with contextlib.suppress(cloudformation.exceptions.ClientError):
            return bool(cloudformation.describe_stacks(StackName=BOOTSTRAP_STACK)["Stacks"])
        return False

    def _admin_keys(self) -> tuple[str, str]:
        if self._foreign_host:
            return os.environ.get("AWS_ACCESS_KEY_ID", "test"), os.environ.get("AWS_SECRET_ACCESS_KEY", "test")
        return server.ROOT_ACCESS_KEY_ID, self._running().secret_access_key

    def _running(self) -> ServerState:
        if self._state is None:
            raise CloudStartError("the embedded cloud does not run; start it with scripts/cloud start")
        return self._state


def role_arn(role: str) -> str:
    """The ARN of a role of the local environment by its short name: one of `ROLES`."""
    return f"arn:aws:iam::{ACCOUNT}:role/pqtransfer-{ENVIRONMENT}-{role}"
