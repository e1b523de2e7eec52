"""`scripts/deploy --env dev`, as someone with an AWS account would run it: an emulator takes the account's place.

It obeys no policies here: the bootstrap's own roles, which the default synthesizer deploys with, are refused otherwise.
What it has no type for (flow logs) is switched off by an override; what needs a Docker engine (building the image) is
replaced by an image in ECR.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pqtransfer.sdk.deployment import Deployment, load_deployment
from scripts.embedded_cloud import server
from scripts.embedded_cloud.server import ServerState
from scripts.embedded_cloud.sessions import CloudSession, open_session
from scripts.toolchain import ROOT

pytestmark = pytest.mark.e2e

# The emulator takes the number of an account for the key of its owner.
ACCOUNT = "123456789012"
IMAGE = f"{ACCOUNT}.dkr.ecr.{server.REGION}.amazonaws.com/pqtransfer/transfer-worker:0.1.0"
RECOVERY_KEY = ROOT / "tests" / "vectors" / "recovery-public-key.json"
OVERRIDES = (
    "flow_logs=false",
    f"worker_image={IMAGE}",
    "composite_alarms=false",  # the emulator's CloudFormation knows none
    "workers_minimum=2",
    f"recovery_public_key={RECOVERY_KEY}",
)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerState]:
    """An empty account, in the region that the emulator's clients use."""
    if os.environ.get("LOCALSTACK_HOST"):
        pytest.skip("needs an account of its own")
    state = server.start_server(tmp_path_factory.mktemp("account"), port=None, obeys_policies=False)
    yield state
    server.stop_server(state)


@pytest.mark.requirement("D1.1", "D1.3", "D1.5", "D5.2", "D5.3")
def test_one_command_deploys_another_environment(account: ServerState, tmp_path: Path) -> None:
    """The command prints endpoints and health checks, writes the file, and what runs has dev's limits and overrides."""
    deployment, printed = _deploy(account, tmp_path)
    assert (deployment.environment, deployment.account_id) == ("dev", ACCOUNT)
    assert deployment.health_urls[0] in printed
    assert deployment.queue_url in printed
    owner = _open_as_owner(account)
    decide = owner.client("lambda").get_function_configuration(FunctionName=deployment.functions.decide_scaling)
    groups = owner.client("logs").describe_log_groups(logGroupNamePrefix="/pqtransfer/dev/workers")["logGroups"]
    assert decide["Environment"]["Variables"]["PQTRANSFER_WORKERS_MINIMUM"] == "2"
    assert [group["retentionInDays"] for group in groups] == [14]


def test_the_fleet_is_made_again_under_the_same_role(account: ServerState, tmp_path: Path) -> None:
    """Participants' roles trust the worker's role by its id: deleting the stack of the workers must not change it."""
    _deploy(account, tmp_path)
    owner = _open_as_owner(account)
    iam, cloudformation = owner.client("iam"), owner.client("cloudformation")
    before = iam.get_role(RoleName="pqtransfer-dev-worker")["Role"]["RoleId"]
    for part in ("Alarms", "Scaling", "Fleet"):  # what stands on the fleet goes first
        cloudformation.delete_stack(StackName=f"Pqtransfer{part}-dev")
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=f"Pqtransfer{part}-dev")
    assert iam.list_role_policies(RoleName="pqtransfer-dev-worker")["PolicyNames"] == []
    _deploy(account, tmp_path)
    assert iam.get_role(RoleName="pqtransfer-dev-worker")["Role"]["RoleId"] == before
    assert len(iam.list_role_policies(RoleName="pqtransfer-dev-worker")["PolicyNames"]) == 1


@pytest.mark.requirement("D5.6")
def test_production_is_not_deployed_to_the_account_that_happens_to_be_there(account: ServerState) -> None:
    """The account that is meant is named; credentials of another one are refused before anything is touched."""
    contexts = (
        "account=999999999999",
        "region=us-east-1",
        "certificate_arn=arn:aws:acm:us-east-1:999999999999:x",
        f"recovery_public_key={RECOVERY_KEY}",
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "scripts.deploy_environment",
            "--env",
            "production",
            *[word for each in contexts for word in ("--context", each)],
        ],
        cwd=ROOT,
        env=_credentials(account),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "choose credentials of account 999999999999" in done.stdout + done.stderr


def _deploy(account: ServerState, folder: Path) -> tuple[Deployment, str]:
    """Run the command; what it deployed, and what it printed."""
    path = folder / "deployment.json"
    overrides = [word for each in OVERRIDES for word in ("--context", each)]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.deploy_environment", "--env", "dev", "--deployment", str(path), *overrides],
        cwd=ROOT,
        env=_credentials(account),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return load_deployment(path), done.stdout


def _open_as_owner(account: ServerState) -> CloudSession:
    host = account.endpoint_url.removeprefix("http://")
    return open_session(host, access_key_id=ACCOUNT, secret_access_key=account.secret_access_key)


def _credentials(account: ServerState) -> dict[str, str]:
    """This process's environment, with the account's credentials in place of any other."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_", "PQTRANSFER_"))}
    return {
        **kept,
        "AWS_ENDPOINT_URL": account.endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
        "AWS_REGION": server.REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
