"""Commands under a role that was not granted what they need: refused by the cloud, and said so.

`tests/e2e/test_deployment.py` asks the cloud call by call; here somebody uses the commands.
"""

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from scripts.embedded_cloud.sessions import CloudSession, assume_role
from tests.e2e.transfers.stage import EXTERNAL, MANAGED, SENDER, Model, Stage, wait_for
from tests.e2e.workers import StartWorker

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("D4.5")]


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("recipient", ("send", "{model}", "--as", SENDER, "--to", MANAGED, "--no-wait")),
        ("recipient", ("send", "{file}", "--key", "{keys}", "--to", MANAGED)),
        ("submitter", ("participants", "add", "site-x", "--managed")),
        ("recipient", ("participants", "add", "site-x", "--managed")),
        ("operator", ("receive", "{transfer}", "--as", MANAGED, "--out", "{folder}/out")),
        ("recipient", ("cancel", "{transfer}")),
    ],
    ids=[
        "a recipient submits", "a recipient uploads", "a submitter registers", "a recipient registers",
        "an operator reads a model", "a recipient cancels",
    ],
)  # fmt: skip
def test_a_role_is_refused_what_it_was_not_granted(
    stage: Stage, start_worker: StartWorker, tmp_path: Path, role: str, command: tuple[str, ...]
) -> None:
    """Exit code 4 with the cloud's own refusal; nothing was recorded, nothing was queued."""
    model = stage.put_model("models/small", b"a small model")
    (tmp_path / "file").write_bytes(b"a small model")
    if command[0] == "receive":
        stage.wait_until_roles_are_old()
        start_worker()
        transfer_id = stage.submit(model)
        stage.wait_for_completion(transfer_id)
        stage.wait_for_empty_queue()
    else:
        transfer_id = stage.submit(model) if command[0] == "cancel" else ""
    told = [
        each.format(
            model=model.uri,
            file=tmp_path / "file",
            keys=stage.key_folder(EXTERNAL),
            transfer=transfer_id,
            folder=tmp_path,
        )
        for each in command
    ]
    before = stage.queue_length()
    known = len(list(stage.client("submitter").list_recent(limit=1000)))
    refused = stage.pqtransfer(*told, "--json", role=role)
    assert refused.exit_code == 4, refused.stderr
    assert refused.error["code"] == "CloudAccessDenied"
    assert "AccessDenied" in refused.error["message"]
    assert stage.queue_length() == before
    assert len(list(stage.client("submitter").list_recent(limit=1000))) == known
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("reader", "of"), [(SENDER, MANAGED), (MANAGED, SENDER), ("worker", MANAGED)])
def test_a_private_key_is_read_by_its_participant_alone(stage: Stage, reader: str, of: str) -> None:
    """Neither another participant nor a worker in its own name: AccessDenied, whatever the stage of the secret."""
    secrets = stage.cloud.session().client("secretsmanager").list_secrets()["SecretList"]
    names = [each["Name"] for each in secrets if f"/participants/{of}/" in each["Name"]]
    assert len(names) == 2
    own = _as_participant(stage, of).client("secretsmanager")
    other = (stage.cloud.session("worker") if reader == "worker" else _as_participant(stage, reader)).client(
        "secretsmanager"
    )
    for name in names:
        assert json.loads(own.get_secret_value(SecretId=name)["SecretString"])
        with pytest.raises(ClientError) as caught:
            other.get_secret_value(SecretId=name)
        assert caught.value.response["Error"]["Code"] in ("AccessDeniedException", "AccessDenied")


def _as_participant(stage: Stage, name: str) -> CloudSession:
    """In a participant's role, which a recipient may take."""
    arn = f"{stage.deployment.participant_role_prefix}{name}"
    return assume_role(stage.cloud.session("recipient"), stage.cloud.localstack_host, arn)


def test_a_worker_under_another_role_ends_and_harms_nothing(
    stage: Stage, model: Model, start_worker: StartWorker
) -> None:
    """It may not even take the message, says so and ends with exit code 4; the message waits for one that may."""
    stage.submit(model)
    stranger = start_worker(variables=stage.cloud.variables("recipient"))
    assert wait_for("the end of the worker", lambda: stranger.exit_code) == 4
    (said,) = [line for line in stranger.read_log() if line.get("message") == "the worker cannot go on"]
    assert said["code"] == "CloudAccessDenied"
    assert stage.queue_length() == (1, 0)
