"""The deployment file: written from stack outputs, read back the same, and clear about what is wrong with it."""

from pathlib import Path

import pytest

from pqtransfer.sdk.deployment import (
    Deployment,
    DeploymentNotFoundError,
    InvalidDeploymentError,
    load_deployment,
)

OUTPUTS = {
    "PqtransferStorage-dev": {
        "DataBucket": "bucket",
        "TransfersTable": "transfers",
        "CheckpointsTable": "checkpoints",
        "ParticipantsTable": "participants",
        "EnvelopesTable": "envelopes",
        "IncidentsTable": "incidents",
        "DecisionsTable": "decisions",
        "AlertsTable": "alerts",
        "CheckpointKeyArn": "arn:key",
        "TaskRoleArn": "arn:worker",
        "KeyBackupsBucket": "key-backups",
        "ExportsOutputRefSomething": "for other stacks",
    },
    "PqtransferAuditLog-dev": {
        "AuditQueueUrl": "https://audit.fifo",
        "AuditDeadLetterQueueUrl": "https://audit-dead.fifo",
        "SiteAuditQueueUrl": "https://site-audit.fifo",
        "SiteAuditDeadLetterQueueUrl": "https://site-audit-dead.fifo",
        "AuditBucket": "audit",
        "AuditTrustBucket": "audit-trust",
        "AuditStateTable": "audit-state",
        "AuditOrigin": "pqtransfer-dev.123456789012.eu-central-1/audit",
        "AuditRetentionRules": "default=7:30",
    },
    "PqtransferAuditFunctions-dev": {
        "SequenceAuditLogFunction": "sequence",
        "WitnessCheckpointFunction": "witness",
        "CheckAuditIntegrityFunction": "check",
        "ArchiveAuditLogFunction": "archive",
        "ReportComplianceFunction": "report",
        "AlertsTopicArn": "arn:topic",
        "ProcessAlertsFunction": "alerts",
        "AlertEventsQueueUrl": "https://sqs/alert-events",
    },
    "PqtransferControl-dev": {
        "QueueUrl": "https://queue",
        "KeyOrdersQueueUrl": "https://key-orders.fifo",
        "RotateKeysFunction": "rotate",
        "DrillKeyRestoreFunction": "drill",
        "DeadLetterQueueUrl": "https://dead",
        "EventBus": "bus",
        "ParticipantRolePrefix": "arn:role-",
        "MinimumSuite": "PQT-2",
        "RegisterParticipantFunction": "register",
        "PublishTransferEventsFunction": "publish",
        "RespondToCompromiseFunction": "respond",
    },
    "PqtransferScaling-dev": {
        "DecideScalingFunction": "decide",
        "WorkersMinimum": "1",
        "WorkersMaximum": "2",
    },
    "PqtransferFleet-dev": {
        "Environment": "dev",
        "Region": "eu-central-1",
        "AccountId": "123456789012",
        "Cluster": "cluster",
        "Service": "service",
        "LoadBalancer": "pqtransfer-dev",
        "HealthTargetGroupArn": "arn:group",
        "HealthUrl": "http://balancer/healthz",
    },
}


@pytest.mark.requirement("D1.3")
def test_outputs_become_a_file_that_reads_back_the_same(tmp_path: Path) -> None:
    """What the deploy command writes is what clients load."""
    deployment = Deployment.from_outputs(OUTPUTS)
    path = tmp_path / "deployment.json"
    deployment.write(path)
    assert load_deployment(path) == deployment
    assert deployment.data_bucket == "bucket"
    assert deployment.functions.register_participant == "register"
    assert deployment.minimum_suite == "PQT-2"
    assert deployment.health_urls == ("http://balancer/healthz",)
    assert [each.name for each in tmp_path.iterdir()] == ["deployment.json"]


def test_an_emulated_cloud_is_reached_at_its_endpoint() -> None:
    """Its load balancers answer under a path of the endpoint."""
    deployment = Deployment.from_outputs(OUTPUTS, endpoint_url="http://127.0.0.1:4566")
    assert deployment.endpoint_url == "http://127.0.0.1:4566"
    assert deployment.health_urls == ("http://127.0.0.1:4566/_alb/pqtransfer-dev/healthz",)


def test_a_stack_that_was_not_deployed_is_named() -> None:
    """Half a deployment is none."""
    outputs = {name: values for name, values in OUTPUTS.items() if "Storage" not in name}
    with pytest.raises(InvalidDeploymentError, match=r"data_bucket.*deploy all of them"):
        Deployment.from_outputs(outputs)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The message names the file and both ways to another."""
    with pytest.raises(DeploymentNotFoundError, match=r"scripts/deploy --env ENV.*--deployment FILE.*PQTRANSFER_DEP"):
        load_deployment(tmp_path / "deployment.json")
    with pytest.raises(DeploymentNotFoundError):
        load_deployment(tmp_path / "deployment.json" / "below-a-file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": "pqtransfer-deployment/1"}',
        Deployment.from_outputs(OUTPUTS).model_dump_json().replace("deployment/1", "deployment/2").encode(),
        Deployment.from_outputs(OUTPUTS).model_dump_json().replace('"region"', '"regino"').encode(),
    ],
)
def test_a_file_that_is_no_deployment(tmp_path: Path, content: bytes) -> None:
    """Broken, incomplete, of another version or with an unknown key: one error, which says how to mend it."""
    path = tmp_path / "deployment.json"
    path.write_bytes(content)
    with pytest.raises(InvalidDeploymentError, match="write it anew with scripts/deploy"):
        load_deployment(path)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    """Not a file: still no traceback of another kind."""
    with pytest.raises(InvalidDeploymentError, match="cannot be read"):
        load_deployment(tmp_path)
