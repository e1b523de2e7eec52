"""What a deployment says of itself in the audit log."""

import pytest

from pqtransfer.sdk.deployment import Deployment
from scripts.deployment_record import describe_deployment
from tests.fakes.trails import InMemoryAuditTrail
from tests.ocsf import require_all_ocsf
from tests.unit.sdk.test_deployment import OUTPUTS

CALLER = "arn:aws:sts::123456789012:assumed-role/deployer/jo"


@pytest.mark.requirement("D7.1", "S4.1")
def test_a_deployment_is_a_change_of_configuration() -> None:
    """Which environment, by whom, and each value that was overridden, from the command line and from the shell."""
    trail = InMemoryAuditTrail()
    contexts = ["--context", "source_buckets=our-models", "-c=lease_seconds=30", "--context=" + "x" * 5000]
    variables = {"PQTRANSFER_REGION": "eu-central-1", "AWS_SECRET_ACCESS_KEY": "secret", "PATH": "/bin"}
    trail.record(
        describe_deployment(Deployment.from_outputs(OUTPUTS), caller=CALLER, contexts=contexts, variables=variables)
    )
    require_all_ocsf(trail.events)
    (facts,) = trail.facts
    assert (facts.action, facts.actor, facts.target.type) == ("configuration.update", CALLER, "environment")
    assert facts.details["context"].startswith("source_buckets=our-models lease_seconds=30 xxx")
    assert facts.details["variables"] == "PQTRANSFER_REGION=eu-central-1"
    assert "secret" not in facts.model_dump_json()
