"""Every environment synthesized once for the whole run, as `cdk synth` would; the tests read the templates."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scripts.toolchain import ROOT, find_node

# The CDK's library looks for Node when it is imported for the first time.
os.environ.setdefault("JSII_NODE", str(find_node()))
os.environ.setdefault("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "true")

ACCOUNT = "123456789012"
REGION = "eu-central-1"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0"
RECOVERY_KEY = str(ROOT / "tests" / "vectors" / "recovery-public-key.json")
AWS_CONTEXT = {
    "account": ACCOUNT,
    "region": REGION,
    "certificate_arn": CERTIFICATE,
    "recovery_public_key": RECOVERY_KEY,
}
SITE_KEY = f"arn:aws:kms:{REGION}:999999999999:key"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/pqtransfer/transfer-worker"
CONTEXTS: dict[str, dict[str, str]] = {
    "local": {},
    "dev": {
        "account": ACCOUNT,
        "region": REGION,
        "recovery_public_key": RECOVERY_KEY,
        "worker_image": f"{IMAGE}:0.1.0",
    },
    "staging": AWS_CONTEXT,
    "production": {
        **AWS_CONTEXT,
        "source_buckets": "site-models",
        "destination_buckets": "site-results",
        "source_key_arns": f"{SITE_KEY}/source",
        "destination_key_arns": f"{SITE_KEY}/destination",
        "max_receives": "50",
    },
}
STACKS = (
    "Network",
    "Storage",
    "AuditLog",
    "Control",
    "AuditFunctions",
    "Protection",
    "Operations",
    "Fleet",
    "Scaling",
    "Alarms",
)

Resource = dict[str, Any]


@dataclass(frozen=True)
class Synthesized:
    """The templates of one environment."""

    environment: str
    folder: Path

    def template(self, stack: str) -> dict[str, Any]:
        """The template of `Storage`, `Control`, ..."""
        path = self.folder / f"Pqtransfer{stack}-{self.environment}.template.json"
        template: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return template

    def resources(self, kind: str, *stacks: str) -> dict[str, Resource]:
        """Logical id -> properties of every resource of a type, in the named stacks or in all."""
        return {
            logical_id: resource.get("Properties", {})
            for stack in stacks or STACKS
            for logical_id, resource in self.template(stack)["Resources"].items()
            if resource["Type"] == kind
        }

    def statements(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every statement of every role's and managed policy's document, with the logical id that holds it."""
        for logical_id, role in self.resources("AWS::IAM::Role").items():
            for policy in role.get("Policies", []):
                yield from ((logical_id, each) for each in policy["PolicyDocument"]["Statement"])
        for kind in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
            for logical_id, policy in self.resources(kind).items():
                yield from ((logical_id, each) for each in policy["PolicyDocument"]["Statement"])

    def manifest(self) -> dict[str, Any]:
        """The manifest of the cloud assembly."""
        manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return manifest


Synthesize = Callable[[str], Synthesized]


@pytest.fixture(scope="session")
def synthesize(tmp_path_factory: pytest.TempPathFactory) -> Synthesize:
    """The templates of an environment by its name."""

    @cache
    def once(environment: str) -> Synthesized:
        folder = tmp_path_factory.mktemp(environment)
        build_app({"env": environment, **CONTEXTS[environment]}, folder=folder).synth()
        return Synthesized(environment=environment, folder=folder)

    return once


@pytest.fixture(scope="session", params=sorted(CONTEXTS))
def synthesized(request: pytest.FixtureRequest, synthesize: Synthesize) -> Synthesized:
    """The templates of each environment in turn."""
    return synthesize(request.param)


def build_app(context: Mapping[str, str], *, folder: Path) -> Any:
    """The app that app.py builds, with the feature flags of cdk.json."""
    from aws_cdk import App

    from infra.application import build_application

    flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = App(context={**flags, **context}, outdir=str(folder))
    build_application(app, variables={})
    return app
