"""Who calls a function of the deployed cloud is proven by its STS, which checks signatures."""

import json
from typing import Any

import boto3
import pytest

from pqtransfer.aws.clients import client_config
from pqtransfer.aws.proven_callers import PROOF_FIELD, ProvenFunction
from pqtransfer.crypto.canonical_json import JsonObject
from tests.e2e.conftest import ActAs
from tests.e2e.keys.conftest import ROTATING_READER, KeyStage

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("D4.6", "D7.1")]

ORDER: dict[str, Any] = {
    "action": "settle",
    "participant": ROTATING_READER,
    "asked_by": "somebody else",
    "correlation_id": "e2e-proven",
}


def ask(stage: KeyStage, act_as: ActAs, request: JsonObject) -> dict[str, Any]:
    """What the function answers an operator who sends just this."""
    answer = (
        act_as("operator")
        .client("lambda")
        .invoke(FunctionName=stage.deployment.functions.rotate_keys, Payload=json.dumps(request).encode())
    )
    document: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, document
    return document


def test_an_order_names_who_gave_it_and_a_forged_proof_is_refused(stage: KeyStage, act_as: ActAs) -> None:
    """The proven ARN stands beside what the caller says; a proof of another call, or by another secret, is refused, and
    nobody proves anything by saying so."""
    session = act_as("operator")
    me = session.client("sts").get_caller_identity()["Arn"]
    sent: list[JsonObject] = []

    def keep(request: JsonObject) -> JsonObject:
        sent.append(request)
        return ask(stage, act_as, request)

    deployment = stage.deployment
    proven = ProvenFunction.connect(
        boto3.Session(
            session.aws_access_key_id, session.aws_secret_access_key, session.aws_session_token, deployment.region
        ),
        name=deployment.functions.rotate_keys,
        endpoint_url=deployment.endpoint_url,
        config=client_config(),
        region=deployment.region,
    )
    proven.function = keep
    answer = proven(ORDER)
    assert answer["order"] == {**answer["order"], "proven_caller": me, "asked_by": "somebody else"}
    assert ask(stage, act_as, {**ORDER, "proven_caller": me})["order"]["proven_caller"] is None
    [good] = sent
    proof: Any = good[PROOF_FIELD]
    forged = {**proof, "authorization": proof["authorization"][:-8] + "00000000"}
    for request in (
        {**good, "participant": "somebody"},
        {**good, PROOF_FIELD: forged},
        {**good, PROOF_FIELD: {**proof, "session_token": "AAAA"}},
    ):
        assert ask(stage, act_as, request)["error"]["code"] == "CallerNotProven"
