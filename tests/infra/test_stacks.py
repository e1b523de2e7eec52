"""What every environment provisions, and what it must never do: read from the templates."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.constructs.worker_fleet import ask_health
from tests.infra.conftest import STACKS, Synthesize, Synthesized
from transfer_worker.health import STALE_SECONDS, Health, HealthServer

PINNED = Path(__file__).with_name("stateful_logical_ids.json")
STATEFUL = {"AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key"}
# In the storage stack, roles too must not change: others trust them, and what IAM trusts is not the name.
STORAGE_PINNED = {*STATEFUL, "AWS::IAM::Role"}
IN_AWS = pytest.mark.parametrize("environment", ["dev", "staging", "production"])


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@pytest.mark.requirement("D1.2")
def test_every_environment_is_a_network_storage_control_and_fleet(synthesized: Synthesized) -> None:
    """Nothing is left to be made by hand: network, firewall, load balancer, storage and workers."""
    for kind in (
        "AWS::EC2::VPC",
        "AWS::EC2::SecurityGroup",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::S3::Bucket",
        "AWS::DynamoDB::Table",
        "AWS::SQS::Queue",
        "AWS::ECS::Service",
    ):
        assert synthesized.resources(kind), kind


def test_logical_ids_of_what_holds_data_never_change(synthesized: Synthesized) -> None:
    """Another logical id is another resource: the old one, with its data, would be left behind or deleted."""
    found = {
        logical_id: resource["Type"]
        for logical_id, resource in synthesized.template("Storage")["Resources"].items()
        if resource["Type"] in STORAGE_PINNED
    }
    assert found == json.loads(PINNED.read_text(encoding="utf-8"))


def test_data_stands_in_stacks_of_its_own(synthesized: Synthesized) -> None:
    """Every other stack can be deleted and made again."""
    for stack in set(STACKS) - {"Storage", "AuditLog"}:
        kinds = {resource["Type"] for resource in synthesized.template(stack)["Resources"].values()}
        assert not kinds & STATEFUL


@IN_AWS
def test_production_like_environments_keep_their_data(synthesize: Synthesize, environment: str) -> None:
    """Deleting the stack leaves buckets, tables, keys and the role, except in a developer's own environment."""
    policy = "Delete" if environment == "dev" else "Retain"
    for resource in synthesize(environment).template("Storage")["Resources"].values():
        if resource["Type"] in STORAGE_PINNED:
            assert resource["DeletionPolicy"] == policy
            assert resource["UpdateReplacePolicy"] == policy


@pytest.mark.parametrize(("environment", "protected"), [("local", True), ("staging", True), ("production", True)])
def test_the_storage_stack_refuses_deletion(synthesize: Synthesize, environment: str, protected: bool) -> None:
    """CloudFormation itself refuses to delete it."""
    artifact = synthesize(environment).manifest()["artifacts"][f"PqtransferStorage-{environment}"]
    assert artifact["properties"]["terminationProtection"] is protected


def test_rows_of_transfers_never_expire(synthesized: Synthesized) -> None:
    """A queued request that comes again is known by its row; checkpoints and ended alerts go away by themselves."""
    expire = {
        logical_id: table["TimeToLiveSpecification"]["AttributeName"]
        for logical_id, table in synthesized.resources("AWS::DynamoDB::Table").items()
        if "TimeToLiveSpecification" in table
    }
    assert {logical_id[:-8]: attribute for logical_id, attribute in expire.items()} == {
        "TablesAlerts": "expires_at",
        "TablesCheckpoints": "expires_at",
        "TablesDecisions": "expires_at",  # on the size of the fleet; the audit log keeps them
    }


def test_the_queue_gives_up_only_long_after_the_workers(synthesized: Synthesized) -> None:
    """Workers count the tries of a transfer; SQS counts receives, which are more. Two leases hide a message."""
    queues = synthesized.resources("AWS::SQS::Queue", "Control")
    (requests,) = [each for logical_id, each in queues.items() if logical_id.startswith("QueueRequests")]
    (task,) = synthesized.resources("AWS::ECS::TaskDefinition").values()
    variables = {each["Name"]: each["Value"] for each in task["ContainerDefinitions"][0]["Environment"]}
    tries = int(variables["PQTRANSFER_MAX_RECEIVES"])
    assert tries == (50 if synthesized.environment == "production" else 5)
    assert requests["RedrivePolicy"]["maxReceiveCount"] == 20 * tries <= 1000  # SQS takes no more
    assert requests["VisibilityTimeout"] == 2 * int(variables["PQTRANSFER_LEASE_SECONDS"]) == 120


@pytest.mark.requirement("D3.5")
def test_ecs_asks_each_worker_whether_it_is_healthy(synthesized: Synthesized) -> None:
    """By a program that the image has; otherwise a task's health is unknown for ever, and nobody hears of it."""
    (task,) = synthesized.resources("AWS::ECS::TaskDefinition").values()
    (container,) = task["ContainerDefinitions"]
    port = container["PortMappings"][0]["ContainerPort"]
    program, *arguments = container["HealthCheck"]["Command"][1:]
    assert (program, arguments) == ("python3", ["-c", ask_health(port)])
    assert container["HealthCheck"]["Command"][0] == "CMD"
    assert str(port) in arguments[1]
    assert 3 <= container["HealthCheck"]["Retries"] <= 10


@pytest.mark.parametrize("silent_for", [0, STALE_SECONDS])
def test_the_health_check_tells_a_worker_that_hangs(silent_for: float) -> None:
    """By the exit code of the very program that ECS runs."""
    clock = [0.0]
    health = Health(worker_name="w", monotonic=lambda: clock[0])
    clock[0] = silent_for
    with HealthServer(health, host="127.0.0.1", port=0) as server:
        done = subprocess.run([sys.executable, "-c", ask_health(server.port)], capture_output=True, check=False)
    assert (done.returncode != 0) == (silent_for > 0)
    assert (b"503" in done.stderr) == (silent_for > 0)


def test_a_record_that_fails_does_not_hold_up_its_shard_for_ever(synthesized: Synthesized) -> None:
    """Tries and age are bounded, batches are halved around it, and what is given up is named in a queue."""
    mappings = synthesized.resources("AWS::Lambda::EventSourceMapping").values()
    of_streams = [each for each in mappings if "MaximumRecordAgeInSeconds" in each]
    assert len(of_streams) == 2
    for mapping in of_streams:
        assert 0 < mapping["MaximumRetryAttempts"] <= 1000
        assert 0 < mapping["MaximumRecordAgeInSeconds"] < 24 * 3600
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    mappings = synthesized.resources("AWS::Lambda::EventSourceMapping", "Control")
    (mapping,) = [each for logical_id, each in mappings.items() if logical_id.startswith("TransferChanges")]
    queue = mapping["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]
    assert queue in synthesized.resources("AWS::SQS::Queue", "Control")
    sends = [each for _, each in synthesized.statements() if each.get("Sid") == "ReportFailures"]
    assert [each["Action"] for each in sends] == ["sqs:SendMessage"] * 4  # two streams, and two rules of the bus
    assert {"Fn::GetAtt": [queue, "Arn"]} in [each["Resource"] for each in sends]


def test_everything_at_rest_is_encrypted_under_our_key(synthesized: Synthesized) -> None:
    """Tables, queues, the data bucket and the logs of workers and functions name a KMS key, and keys rotate."""
    for key in synthesized.resources("AWS::KMS::Key").values():
        assert key["EnableKeyRotation"] is True
    for table in synthesized.resources("AWS::DynamoDB::Table").values():
        assert table["SSESpecification"]["SSEType"] == "KMS"
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    for queue in synthesized.resources("AWS::SQS::Queue").values():
        assert "KmsMasterKeyId" in queue
    for group in synthesized.resources("AWS::Logs::LogGroup", "Control", "Fleet").values():
        assert "KmsKeyId" in group
        assert group["RetentionInDays"] > 0
    for bucket in synthesized.resources("AWS::S3::Bucket").values():
        assert bucket["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }


@IN_AWS
def test_buckets_and_queues_refuse_requests_without_tls(synthesize: Synthesize, environment: str) -> None:
    """Each bucket's and queue's own policy denies them."""
    synthesized = synthesize(environment)
    for kind, guarded in (("AWS::S3::BucketPolicy", "AWS::S3::Bucket"), ("AWS::SQS::QueuePolicy", "AWS::SQS::Queue")):
        policies = synthesized.resources(kind)
        assert len(policies) == len(synthesized.resources(guarded))
        for policy in policies.values():
            assert '"aws:SecureTransport": "false"' in text(policy)


@IN_AWS
def test_the_network_has_no_way_out(synthesize: Synthesize, environment: str) -> None:
    """No internet gateway, no NAT, no public address; AWS is reached inside; flows are recorded."""
    synthesized = synthesize(environment)
    for kind in ("AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EIP"):
        assert not synthesized.resources(kind), kind
    endpoints = text(synthesized.resources("AWS::EC2::VPCEndpoint"))
    for service in ("sqs", "kms", "secretsmanager", "sts", "ecr.api", "ecr.dkr", "logs", "events", "ecs", "s3"):
        assert f".{service}" in endpoints, service
    assert len(synthesized.resources("AWS::EC2::FlowLog")) == 1
    for balancer in synthesized.resources("AWS::ElasticLoadBalancingV2::LoadBalancer").values():
        assert balancer["Scheme"] == "internal"


def test_nothing_is_open_to_the_world(synthesized: Synthesized) -> None:
    """No security group lets anything in from outside of the network."""
    for group in synthesized.resources("AWS::EC2::SecurityGroup").values():
        for rule in group.get("SecurityGroupIngress", []):
            assert rule.get("CidrIp") != "0.0.0.0/0"


def test_descriptions_of_rules_are_such_as_ec2_takes(synthesized: Synthesized) -> None:
    """EC2 refuses an apostrophe, which no emulator does."""
    allowed = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
    for group in synthesized.resources("AWS::EC2::SecurityGroup").values():
        rules = [*group.get("SecurityGroupIngress", []), *group.get("SecurityGroupEgress", [])]
        for description in [group["GroupDescription"], *(rule.get("Description", "") for rule in rules)]:
            assert allowed.fullmatch(description), description


def test_a_failed_deployment_of_workers_goes_back(synthesized: Synthesized) -> None:
    """The old workers stay until the new ones are healthy; when these never are, the deployment is undone."""
    (service,) = synthesized.resources("AWS::ECS::Service").values()
    configuration = service["DeploymentConfiguration"]
    assert configuration["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert configuration["MinimumHealthyPercent"] == 100
    (group,) = synthesized.resources("AWS::ElasticLoadBalancingV2::TargetGroup").values()
    assert group["HealthCheckPath"] == "/healthz"


def test_a_worker_has_time_to_finish(synthesized: Synthesized) -> None:
    """The platform waits 120 s after SIGTERM, and the worker plans with less."""
    (task,) = synthesized.resources("AWS::ECS::TaskDefinition").values()
    (container,) = task["ContainerDefinitions"]
    variables = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert container["StopTimeout"] == 120
    assert int(variables["PQTRANSFER_STOP_TIMEOUT_SECONDS"]) < container["StopTimeout"]
    assert container["ReadonlyRootFilesystem"] is True


@pytest.mark.requirement("D1.5", "D5.2")
def test_each_environment_has_its_own_sizes_and_security(synthesize: Synthesize) -> None:
    """Production is larger and keeps more than staging, and staging than dev."""

    def measure(environment: str) -> tuple[int, int, int]:
        synthesized = synthesize(environment)
        (task,) = synthesized.resources("AWS::ECS::TaskDefinition").values()
        (decide,) = synthesized.resources("AWS::Lambda::Function", "Scaling").values()
        minimum = int(decide["Environment"]["Variables"]["PQTRANSFER_WORKERS_MINIMUM"])
        (group,) = synthesized.resources("AWS::Logs::LogGroup", "Fleet").values()
        return int(task["Cpu"]), minimum, group["RetentionInDays"]

    assert measure("dev") == (1024, 1, 14)
    assert measure("staging") == (1024, 1, 90)
    assert measure("production") == (4096, 2, 365)
    listeners = synthesize("production").resources("AWS::ElasticLoadBalancingV2::Listener")
    assert {each["Protocol"] for each in listeners.values()} == {"HTTPS"}


@pytest.mark.requirement("D4.5")
def test_no_role_may_do_everything(synthesized: Synthesized) -> None:
    """No wildcard stands for an action; for a resource only where AWS knows none."""
    without_resource = {
        "dynamodb:ListStreams",
        "ecr:GetAuthorizationToken",
        "ecs:ListTasks",  # a condition names the cluster
        "cloudwatch:GetMetricData",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
    for holder, statement in synthesized.statements():
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [each for each in actions if "*" in each], holder
        if statement["Resource"] == "*":
            assert set(actions) <= without_resource, holder


@pytest.mark.requirement("D4.5")
@IN_AWS
def test_keys_are_used_only_where_they_are_meant_to(synthesize: Synthesize, environment: str) -> None:
    """Checkpoints and backups of keys open under a context that names their purpose; all else through its service."""
    uses = [
        statement
        for _, statement in synthesize(environment).statements()
        if any(
            each.startswith("kms:")
            for each in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        )
    ]
    assert uses
    for statement in uses:
        condition = text(statement["Condition"])
        if statement["Sid"] == "SealCheckpoints":
            assert "kms:EncryptionContext:pqtransfer:purpose" in condition
            assert "kms:EncryptionContext:pqtransfer:transfer_id" in condition
        elif statement["Sid"] in ("SealKeyBackups", "OpenKeyBackups"):
            assert '"kms:EncryptionContext:pqtransfer:purpose": "key-backup"' in condition
        else:
            assert "kms:ViaService" in condition


@pytest.mark.requirement("D4.5")
def test_secrets_are_read_by_participants_alone(synthesized: Synthesized) -> None:
    """Only the participants' boundary knows GetSecretValue; workers, functions and sites do not.

    Who signs the audit log, or its checkpoints as a witness, reads the one secret that its own keys come from; who
    tells people of alerts, the one with the channels.
    """
    readers = {
        holder
        for holder, statement in synthesized.statements()
        if "GetSecretValue" in text(statement)
        and statement["Sid"] not in ("SignAudit", "ReadChannels")
        and statement["Effect"] == "Allow"
    }
    assert readers == set(synthesized.resources("AWS::IAM::ManagedPolicy"))


@pytest.mark.requirement("D4.5")
def test_who_grants_access_to_keys_cannot_grant_it_to_itself(synthesized: Synthesized) -> None:
    """Whoever writes the policies of secrets is refused to read them; who writes whom roles trust, to take them."""
    refused = {
        (holder, statement["Action"], text(statement["Resource"]))
        for holder, statement in synthesized.statements()
        if statement["Effect"] == "Deny"
    }
    granted = list(synthesized.statements())
    for grants_it, takes_it, count in (
        ("secretsmanager:PutResourcePolicy", "secretsmanager:GetSecretValue", 2),
        ("iam:UpdateAssumeRolePolicy", "sts:AssumeRole", 1),
    ):
        granting = [
            (holder, takes_it, text(statement["Resource"]))
            for holder, statement in granted
            if statement["Effect"] == "Allow" and grants_it in statement["Action"]
        ]
        assert len(granting) == count
        assert refused.issuperset(granting)


@pytest.mark.requirement("D4.5")
@IN_AWS
def test_roles_for_participants_are_made_only_inside_the_boundary(synthesize: Synthesize, environment: str) -> None:
    """Whoever makes roles must attach the boundary; and the boundary opens the participant's own secrets alone."""
    synthesized = synthesize(environment)
    makers = [each for _, each in synthesized.statements() if "iam:CreateRole" in text(each["Action"])]
    assert len(makers) == 1
    assert "iam:PermissionsBoundary" in text(makers[0]["Condition"])
    path = f":role/pqtransfer/{environment}/participants/pqtransfer-{environment}-participant-*"
    assert text(makers[0]["Resource"]).strip('"').endswith(path)
    (read,) = [each for _, each in synthesized.statements() if each.get("Sid") == "ReadOwnSecrets"]
    assert "${aws:PrincipalTag/participant}" in text(read["Resource"])


def test_outputs_name_everything_a_client_needs(synthesized: Synthesized) -> None:
    """The outputs, as CloudFormation would give them, make a deployment file."""
    from pqtransfer.sdk.deployment import Deployment

    outputs = {
        stack: {
            name: output["Value"] if isinstance(output["Value"], str) else f"value-of-{name}"
            for name, output in synthesized.template(stack).get("Outputs", {}).items()
        }
        for stack in STACKS
    }
    deployment = Deployment.from_outputs(outputs)
    assert deployment.data_bucket == "value-of-DataBucket"
    assert deployment.health_urls == ("value-of-HealthUrl",)
    assert deployment.environment == synthesized.environment
    assert deployment.minimum_suite == "PQT-1"


def test_functions_get_no_more_code_than_they_need(synthesized: Synthesized) -> None:
    """The asset of a function holds its own folder and the named parts of the package: no tests, no other function."""
    for folder in synthesized.folder.glob("asset.*"):
        functions = [path.name for path in (folder / "functions").glob("*") if path.is_dir()]
        if functions:
            assert len(functions) == 1
            assert not (folder / "pqtransfer" / "cli").exists()


def test_variables_hold_no_secret(synthesized: Synthesized) -> None:
    """Roles give access; no variable of a task or a function looks like a credential."""
    names = re.compile(r"(SECRET|PASSWORD|TOKEN|PRIVATE|ACCESS_KEY)", re.IGNORECASE)
    variables = [
        *(
            name
            for each in synthesized.resources("AWS::Lambda::Function").values()
            for name in each["Environment"]["Variables"]
        ),
        *(
            variable["Name"]
            for task in synthesized.resources("AWS::ECS::TaskDefinition").values()
            for container in task["ContainerDefinitions"]
            for variable in container["Environment"]
        ),
    ]
    assert variables
    assert [each for each in variables if names.search(each)] == ["PQTRANSFER_SECRETS_KEY_ARN"] * 2


def test_what_a_rule_of_the_bus_cannot_deliver_is_kept(synthesized: Synthesized) -> None:
    """Every target of a rule on the bus, in whatever stack, names the one dead-letter queue; rules alone may send
    there, also under its key, and an alarm watches it."""
    rules = [
        rule
        for stack in STACKS
        for rule in synthesized.resources("AWS::Events::Rule", stack).values()
        if "EventBusName" in rule
    ]
    assert len(rules) >= 6
    targets = [target for rule in rules for target in rule["Targets"]]
    assert all("Undelivered" in str(target["DeadLetterConfig"]) for target in targets)
    [policy] = [
        each
        for name, each in synthesized.resources("AWS::SQS::QueuePolicy", "Control").items()
        if "Undelivered" in name
    ]
    [statement] = [each for each in policy["PolicyDocument"]["Statement"] if each.get("Sid") == "RulesOfThisAccount"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert "aws:SourceArn" in str(statement["Condition"])
    [key] = [
        each for name, each in synthesized.resources("AWS::KMS::Key", "Storage").items() if name.startswith("KeysData")
    ]
    [usable] = [each for each in key["KeyPolicy"]["Statement"] if each.get("Sid") == "UndeliveredEvents"]
    assert set(usable["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    alarms = synthesized.resources("AWS::CloudWatch::Alarm", "Alarms")
    assert any("Undelivered" in name and "givenup" in name for name in alarms)
