"""A worker may die at any call to the cloud, before or after its effect: another one finishes the transfer."""

import time

import pytest

from pqtransfer.transfers.encrypting import encrypt_model
from pqtransfer.transfers.job import JobContext
from tests.containers import TRANSFER_ID, Container, open_container
from tests.fakes.folders import Crash, FaultPlan, Faulty
from tests.integration.transfers.conftest import SITE_BUCKET, Cloud
from tests.unit.transfers.jobs import BOB, MODEL, PART_COUNT, make_order

PREFIX = f"transfers/{TRANSFER_ID}/"
CALLS = 15
"""Of an undisturbed run; the first test checks it."""


def encrypt(cloud: Cloud, plan: FaultPlan) -> None:
    """One attempt, one part at a time, every call to S3, DynamoDB and KMS through the plan."""
    source_folder = cloud.folder(SITE_BUCKET)
    encrypt_model(
        make_order(),
        source_folder=source_folder,
        source=source_folder.find("model"),
        container=Faulty(cloud.folder(prefix=PREFIX), plan),  # type: ignore[arg-type]
        context=JobContext(
            checkpoints=Faulty(cloud.checkpoints, plan),  # type: ignore[arg-type]
            sealer=Faulty(cloud.sealer, plan),  # type: ignore[arg-type]
            monotonic=time.monotonic,
            buffer_budget_bytes=2 << 20,
        ),
    )


def require_whole(cloud: Cloud) -> None:
    names = {"payload", "manifest.json", "envelope.json"}
    assert cloud.keys() == {f"{PREFIX}{name}" for name in names}
    assert cloud.uploads() == []
    container = Container(*(cloud.get(f"{PREFIX}{name}") for name in ("payload", "manifest.json", "envelope.json")))
    assert open_container(container, BOB.kem) == MODEL


def test_an_undisturbed_run(cloud: Cloud) -> None:
    """Makes as many calls as the other test disturbs, and sends every part once."""
    cloud.put("model", MODEL)
    plan = FaultPlan()
    encrypt(cloud, plan)
    require_whole(cloud)
    assert len(plan.calls) == CALLS, plan.calls
    assert len(cloud.server.uploaded) == PART_COUNT


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("crash_at", range(CALLS))
def test_a_crash_at_any_call_is_finished_by_the_next_worker(cloud: Cloud, crash_at: int, after_effect: bool) -> None:
    """The result decrypts to the model, no upload is left over, and no part that was recorded is sent again."""
    cloud.put("model", MODEL)
    with pytest.raises(Crash):
        encrypt(cloud, FaultPlan(at=crash_at, after_effect=after_effect))
    recorded = {index + 1 for index in cloud.checkpoints.load_parts(TRANSFER_ID)}
    cloud.server.uploaded.clear()
    encrypt(cloud, FaultPlan())
    sent_again = {number for _, number in cloud.server.uploaded}
    assert not recorded & sent_again
    assert len(cloud.server.uploaded) == PART_COUNT - len(recorded)
    require_whole(cloud)
