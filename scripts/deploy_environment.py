"""The command scripts/deploy: bootstrap, deploy every stack, print where everything is, write `deployment.json`.

What was deployed, by whom, and what was set otherwise than by default goes into the environment's audit log.

Local deploys to the embedded cloud, which it starts when it does not run. The other environments deploy to the AWS
account that the credentials of the shell belong to (AWS_PROFILE and the like).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.overrides import DEFAULTS
from pqtransfer.aws.clients import Session, make_session
from pqtransfer.errors import PqtransferError
from pqtransfer.sdk.deployment import Deployment
from scripts import deployment as cdk
from scripts.deployment_record import record_deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.cloud import ENVIRONMENT as LOCAL
from scripts.toolchain import ROOT

CLOUD_FOLDER = ROOT / ".local" / "cloud"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; a failure ends in a message that says what to do."""
    given, for_cdk = _parser().parse_known_args(arguments)
    path = Path(given.deployment)
    try:
        session: Session | None = None
        if given.from_outputs:
            deployment = Deployment.from_outputs(cdk.read_outputs(Path(given.from_outputs)))
        elif given.env == LOCAL:
            deployment, session = _deploy_locally(for_cdk)
        else:
            deployment, session = _deploy_to_aws(given.env, for_cdk)
        deployment.write(path)
        if session is not None:
            record_deployment(deployment, session, contexts=_contexts(for_cdk), variables=os.environ)
    except PqtransferError as error:
        sys.stderr.write(f"deploy: {error}\n")
        return error.exit_code
    print(cdk.describe(deployment, path))
    return 0


def _deploy_locally(arguments: Sequence[str]) -> tuple[Deployment, Session]:
    cloud = EmbeddedCloud(CLOUD_FOLDER)
    cloud.start()
    return cloud.deploy(arguments=arguments, quiet=False), cloud.session()


def _deploy_to_aws(environment: str, arguments: Sequence[str]) -> tuple[Deployment, Session]:
    assembly = cdk.synthesize(environment, variables=os.environ, arguments=_contexts(arguments))
    cdk.run_cdk(["bootstrap"], variables=os.environ, app=str(assembly))
    outputs = cdk.deploy(environment, variables=os.environ, app=str(assembly), arguments=arguments)
    deployment = Deployment.from_outputs(outputs)
    return deployment, make_session(region=deployment.region)


def _contexts(arguments: Sequence[str]) -> list[str]:
    """The `--context key=value` among the CDK's arguments: synthesis takes these alone."""
    found: list[str] = []
    for position, argument in enumerate(arguments):
        if argument in ("--context", "-c"):
            found += arguments[position : position + 2]
        elif argument.startswith(("--context=", "-c=")):
            found.append(argument)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/deploy", description=__doc__, epilog="Every other argument is handed to cdk deploy."
    )
    parser.add_argument("--env", required=True, choices=sorted(DEFAULTS), help="the environment to deploy")
    parser.add_argument("--deployment", default="deployment.json", metavar="FILE", help="the file to write")
    parser.add_argument(
        "--from-outputs",
        metavar="FILE",
        help="deploy nothing: read what `cdk deploy --all --outputs-file FILE` wrote",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
