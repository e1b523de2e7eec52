"""Who may do what, read from the templates: each grant has a use, and stands with the role that uses it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.conftest import IMAGE, REGION, SITE_KEY, STACKS, Synthesize, Synthesized

pytestmark = pytest.mark.requirement("D4.5")
IN_AWS = pytest.mark.parametrize("environment", ["dev", "staging", "production"])


def actions_of(statement: dict[str, Any]) -> set[str]:
    """The actions of a statement, one or many."""
    actions = statement["Action"]
    return {actions} if isinstance(actions, str) else set(actions)


def find_statements(synthesized: Synthesized, sid: str) -> list[dict[str, Any]]:
    """Every statement with this name."""
    return [each for _, each in synthesized.statements() if each.get("Sid") == sid]


def worker_statements(synthesized: Synthesized) -> Iterator[dict[str, Any]]:
    """What the workers may do."""
    (policy,) = synthesized.resources("AWS::IAM::Policy", "Fleet").values()
    yield from policy["PolicyDocument"]["Statement"]


def test_the_role_that_participants_trust_outlives_the_fleet(synthesized: Synthesized) -> None:
    """It stands with the data, under its fixed name; the fleet only gives it its permissions."""
    name = f"pqtransfer-{synthesized.environment}-worker"
    named = {
        stack
        for stack in STACKS
        for role in synthesized.resources("AWS::IAM::Role", stack).values()
        if role.get("RoleName") == name
    }
    assert named == {"Storage"}
    roles = synthesized.resources("AWS::IAM::Role", "Storage")
    trusted = {
        name.replace("-worker", f"-{each}") for each in ("worker", "key-service", "protection", "incident-response")
    }
    assert {role["RoleName"] for role in roles.values()} == trusted
    assert not any("Policies" in role for role in roles.values())
    (policy,) = synthesized.resources("AWS::IAM::Policy", "Fleet").values()
    (holder,) = policy["Roles"]
    assert holder["Fn::ImportValue"].startswith(
        f"PqtransferStorage-{synthesized.environment}:ExportsOutputRefWorkerRole"
    )
    assert "TaskRoleArn" in synthesized.template("Storage")["Outputs"]


def test_no_worker_starts_before_it_may_work(synthesized: Synthesized) -> None:
    """The service waits for the permissions of its role."""
    (permissions,) = synthesized.resources("AWS::IAM::Policy", "Fleet")
    (service,) = [
        each for each in synthesized.template("Fleet")["Resources"].values() if each["Type"] == "AWS::ECS::Service"
    ]
    assert permissions in service["DependsOn"]


def test_stacks_depend_on_each_other_in_one_direction(synthesized: Synthesized) -> None:
    """Storage needs nobody; whoever gives the worker's role its permissions comes last."""
    artifacts = synthesized.manifest()["artifacts"]

    def needs(stack: str) -> set[str]:
        found = artifacts[f"Pqtransfer{stack}-{synthesized.environment}"].get("dependencies", [])
        return {each.removeprefix("Pqtransfer").partition("-")[0] for each in found if not each.endswith(".assets")}

    assert needs("Storage") == needs("Network") == needs("AuditLog") == set()
    assert needs("Control") == {"Storage", "AuditLog"}
    assert needs("AuditFunctions") == {"Storage", "AuditLog", "Control"}
    in_order = {"AuditLog", "Control", "AuditFunctions", "Protection", "Operations", "Fleet", "Scaling"}
    assert needs("Alarms") == in_order
    assert needs("Scaling") == {"Storage", "AuditLog", "Control", "Fleet"}
    assert needs("Protection") == {"Storage", "AuditLog", "Control"}
    assert needs("Operations") == {"Storage", "AuditLog", "Control", "AuditFunctions"}
    assert needs("Fleet") == {"Storage", "AuditLog", "Control", "Network"}


def test_a_worker_uses_tables_as_its_adapters_do(synthesized: Synthesized) -> None:
    """Exactly the calls of the ledger, the checkpoints and the registry, and no index."""
    used = {
        each["Sid"]: {action.removeprefix("dynamodb:") for action in actions_of(each)}
        for each in worker_statements(synthesized)
        if any(action.startswith("dynamodb:") for action in actions_of(each))
    }
    assert used == {
        "UseTransfers": {"GetItem", "PutItem", "UpdateItem"},
        "UseCheckpoints": {"GetItem", "Query", "PutItem", "DeleteItem", "BatchWriteItem"},
        "ReadRegistry": {"Query"},
        "NoteEnvelopes": {"PutItem"},
    }
    assert "/index/" not in str(list(worker_statements(synthesized)))


@IN_AWS
def test_who_notes_rows_cannot_take_any_away(synthesize: Synthesize, environment: str) -> None:
    """Sites and workers add rows to the index that keeps keys from being destroyed: they delete none, change none, and
    do not say that it is complete."""
    synthesized = synthesize(environment)
    noting = find_statements(synthesized, "NoteEnvelopes")
    assert noting
    for each in noting:
        assert actions_of(each) == {"dynamodb:PutItem"}
        assert each["Condition"] == {
            "ForAllValues:StringNotEquals": {"dynamodb:LeadingKeys": ["backfill"]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        }


@IN_AWS
def test_no_function_can_report_a_compromise(synthesize: Synthesize, environment: str) -> None:
    """Functions put events in the system's own name alone; a report of lost keys counts only in another one. What a
    function gives up of such events is kept."""
    synthesized = synthesize(environment)
    for each in find_statements(synthesized, "PutEvents"):
        assert each["Condition"]["StringEquals"]["events:source"] == "pqtransfer"
    rules = synthesized.resources("AWS::Events::Rule", "Protection").values()
    patterns = [
        rule["Properties"]["EventPattern"] if "Properties" in rule else rule["EventPattern"]
        for rule in rules
        if "EventPattern" in str(rule)
    ]
    assert sorted((each["source"], each["detail-type"]) for each in patterns) == [
        (["pqtransfer"], ["KeyRotated"]),
        (["pqtransfer.security"], ["CompromiseReported"]),
    ]
    kept = synthesized.resources("AWS::Lambda::EventInvokeConfig", "Protection").values()
    assert len(kept) == 2
    assert all("OnFailure" in each["DestinationConfig"] for each in kept)


def test_the_registry_is_listed_by_operators_and_key_service_alone(synthesized: Synthesized) -> None:
    """No other role scans a table, and these scan no other table."""
    scans = [(holder, each) for holder, each in synthesized.statements() if "dynamodb:Scan" in actions_of(each)]
    holders = sorted(holder[: len("RolesOperator")] for holder, _ in scans)
    assert holders == ["KeysDrillKeyR", "KeysRotateKey", "RenewEnvelope", "RespondToComp", "RolesOperator"]
    for _, statement in scans:
        assert actions_of(statement) == {"dynamodb:Scan"}
        assert "TablesParticipants" in str(statement["Resource"])


def test_keys_of_sites_are_used_through_s3_alone(synthesize: Synthesize) -> None:
    """What sites encrypt with keys of their own is read and written, and the keys are good for nothing else."""
    synthesized = synthesize("production")
    via_s3 = {"StringEquals": {"kms:ViaService": [f"s3.{REGION}.amazonaws.com"]}}
    found = {
        each["Sid"]: (actions_of(each), each["Resource"], each["Condition"])
        for each in worker_statements(synthesized)
        if SITE_KEY in str(each["Resource"])
    }
    assert found == {
        "OpenSources": ({"kms:Decrypt"}, f"{SITE_KEY}/source", via_s3),
        "SealDestinations": ({"kms:GenerateDataKey", "kms:Decrypt"}, f"{SITE_KEY}/destination", via_s3),
    }
    assert not find_statements(synthesize("staging"), "OpenSources")


def test_an_image_that_is_named_may_be_pulled(synthesize: Synthesize) -> None:
    """From exactly its repository; and the CDK's warning, that nobody may, is answered."""
    synthesized = synthesize("dev")
    (task,) = synthesized.resources("AWS::ECS::TaskDefinition").values()
    assert task["ContainerDefinitions"][0]["Image"] == f"{IMAGE}:0.1.0"
    (pull,) = find_statements(synthesized, "PullImage")
    repository = IMAGE.partition("/")[2]
    assert pull["Resource"] == f"arn:aws:ecr:{REGION}:{IMAGE.partition('.')[0]}:repository/{repository}"
    assert len(find_statements(synthesized, "LogInToRegistry")) == 1
    assert not find_statements(synthesize("local"), "PullImage")
    for file in synthesized.folder.glob("*.json"):
        assert "Proper policies need to be attached" not in file.read_text(encoding="utf-8"), file


@IN_AWS
def test_payloads_and_manifests_are_never_overwritten(synthesize: Synthesize, environment: str) -> None:
    """The bucket itself refuses every write of them that does not say `If-None-Match`; an envelope is replaced.

    The requests of a multipart upload before its completion take no such header and make no object: they pass.
    """
    (statement,) = [
        each
        for policy in synthesize(environment).resources("AWS::S3::BucketPolicy").values()
        for each in policy["PolicyDocument"]["Statement"]
        if each.get("Sid") == "RefuseOverwriting"
    ]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", {"AWS": "*"})
    assert statement["Action"] == "s3:PutObject"
    assert statement["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }
    names = [each["Fn::Join"][1][1] for each in statement["Resource"]]
    assert names == ["/transfers/*/payload", "/transfers/*/manifest.json"]


def test_the_embedded_cloud_has_no_such_condition(synthesize: Synthesize) -> None:
    """Its requests carry no such keys, so that the rule would refuse every upload."""
    assert "if-none-match" not in str(synthesize("local").template("Storage"))


def test_no_two_policies_of_a_role_have_the_same_name(synthesized: Synthesized) -> None:
    """A role has one inline policy of a name: the second stack that gives it one would take the first one's away."""
    named = [
        (str(role), policy["PolicyName"])
        for stack in STACKS
        for policy in synthesized.resources("AWS::IAM::Policy", stack).values()
        for role in policy["Roles"]
    ]
    names = [name for _, name in named]
    assert len(set(names)) == len(names), sorted(names)


@IN_AWS
def test_who_answers_a_compromise_adds_no_key_and_deletes_versions_alone(
    synthesize: Synthesize, environment: str
) -> None:
    """It may touch what a revocation writes, so no public key, principal or role; and hides no object by a marker."""
    synthesized = synthesize(environment)
    (revoke,) = find_statements(synthesized, "RevokeKeys")
    assert actions_of(revoke) == {"dynamodb:UpdateItem"}
    assert revoke["Condition"]["Null"] == {"dynamodb:Attributes": "false"}
    (attributes,) = revoke["Condition"]["ForAllValues:StringEquals"].values()
    assert set(attributes) == {
        *("participant", "item", "state", "activated_at", "state_changed_at", "revocation", "pair_proof"),
        *("active_kem", "active_signing"),
    }
    (remove,) = find_statements(synthesized, "RemoveReencrypted")
    assert actions_of(remove) == {"s3:DeleteObjectVersion"}
