"""The index of which containers need which keys, on the deployed cloud."""

import pytest

from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.dependents import DependentsUnknownError
from pqtransfer.transfers.dependencies import Dependency, KeyRole
from scripts.worker_process import WorkerProcess
from tests.e2e.incidents.site import Sites
from tests.e2e.transfers.stage import wait_for

pytestmark = pytest.mark.e2e


def needs(sites: Sites, transfer_id: str, *, sender: str, recipients: tuple[str, ...], epoch: int) -> set[Dependency]:
    """The rows that a container's envelope should have."""

    def key_id(name: str, purpose: KeyPurpose) -> str:
        key = sites.registered(name).find_active_key(purpose)
        assert key is not None
        return key.key_id

    named = [(key_id(each, KeyPurpose.KEM), KeyRole.RECIPIENT) for each in recipients]
    signer = key_id(sender, KeyPurpose.SIGNING)
    named += [(signer, KeyRole.ENVELOPE_SIGNER), (signer, KeyRole.MANIFEST_SIGNER)]
    return {Dependency(key_id=key, role=role, transfer_id=transfer_id, epoch=epoch) for key, role in named}


def test_the_index_follows_what_stands_in_the_bucket(sites: Sites, worker: WorkerProcess) -> None:
    """The rows of a transfer through a worker, of a rewrap, and of an upload; and none of a transfer that failed."""
    sites.add_managed("index-a", "index-b")
    sites.add_external("index-c")
    sent = sites.send("indexed", sender="index-a", recipients=("index-b", "index-a"))
    expected = needs(sites, sent.transfer_id, sender="index-a", recipients=("index-b", "index-a"), epoch=1)
    assert sites.wait_for_rows(sent.transfer_id, epoch=1) == expected

    container = f"s3://{sites.deployment.data_bucket}/transfers/{sent.transfer_id}/"
    rewrap = sites.submit(container, kind="rewrap", sender="index-a", recipients=("index-c",))
    sites.wait_for_completion(rewrap)
    expected = needs(sites, sent.transfer_id, sender="index-a", recipients=("index-c",), epoch=2)
    assert sites.wait_for_rows(sent.transfer_id, epoch=2) == expected

    model = sites.folder / "from-here"
    model.write_bytes(b"weights" * 1000)
    uploaded = sites.client("submitter").send(
        str(model), sender=sites.holder("index-c", role="submitter"), recipients=["index-b"]
    )
    recipients = ("index-b", "index-c")
    expected = needs(sites, uploaded.transfer_id, sender="index-c", recipients=recipients, epoch=1)
    assert sites.wait_for_rows(uploaded.transfer_id, epoch=1) == expected

    failed = sites.wait_for_end(
        sites.submit("s3://pqtransfer-local-source/missing", sender="index-a", recipients=("index-b",))
    )
    wait_for("nothing of a failed transfer", lambda: not sites.rows(failed.transfer_id) or None)


def test_containers_of_before_the_index_are_found(sites: Sites, worker: WorkerProcess) -> None:
    """Without their rows, and before the backfill, nobody is told that a key is not needed; the function reads them."""
    sites.add_managed("index-old")
    sent = sites.send("older", sender="index-old", recipients=("index-old",))
    rows = sites.wait_for_rows(sent.transfer_id, epoch=1)
    sites.index.forget(rows)
    sites.forget_backfill()
    with pytest.raises(DependentsUnknownError):
        sites.index.has_dependents("aa" * 32)
    answer = sites.index_older_containers()
    assert answer["complete"] is True, answer
    assert sites.rows(sent.transfer_id) == rows
    assert not sites.index.has_dependents("aa" * 32)


@pytest.mark.requirement("D4.3")
def test_a_key_whose_row_was_lost_is_not_destroyed(sites: Sites, worker: WorkerProcess) -> None:
    """The index forgets what an envelope needs, and its key is due: it stays while the containers were not read again,
    and then its row is back."""
    sites.add_managed("forgotten-a", "forgotten-b")
    sent = sites.send("forgotten", sender="forgotten-a", recipients=("forgotten-b",))
    sites.wait_for_rows(sent.transfer_id, epoch=1)
    key = sites.registered("forgotten-b").find_active_key(KeyPurpose.KEM)
    assert key is not None
    rows = sites.rows(sent.transfer_id)
    with sites.stopped_rereading():
        sites.index.forget(rows)
        sites.forget_rereading()
        with pytest.raises(DependentsUnknownError):
            sites.index.has_dependents("aa" * 32, since=key.created_at)
    sites.wait_until_reread(since=key.created_at)
    assert sites.index.has_dependents(key.key_id, since=key.created_at)
    assert not sites.index.has_dependents("aa" * 32, since=key.created_at)
    assert sites.rows(sent.transfer_id) == rows
